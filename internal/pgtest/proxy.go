//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// A Proxy passes connections to a server on, and can cut them, or hold back what they
// bring.
type Proxy struct {
	listener net.Listener
	to       string
	all      sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	conns map[net.Conn]struct{}
	held  chan struct{} // nil unless bytes are held back; closed when they are not any more
}

// NewProxy returns a proxy of a port of 127.0.0.1.
func NewProxy(port int) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, to: fmt.Sprintf("127.0.0.1:%d", port), conns: make(map[net.Conn]struct{})}
	p.all.Go(p.accept)
	return p, nil
}

// Port is where the proxy listens.
func (p *Proxy) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// Close ends the proxy and its connections.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.Hold(false)
	p.Cut()
	p.all.Wait()
	return err
}

// Cut ends all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// Hold holds all bytes back, as a network does that loses them, or does not any more.
func (p *Proxy) Hold(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && p.held == nil:
		p.held = make(chan struct{})
	case !on && p.held != nil:
		close(p.held)
		p.held = nil
	}
}

func (p *Proxy) accept() {
	for {
		from, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.all.Go(func() { p.pass(from) })
		}
	}
}

func (p *Proxy) pass(from net.Conn) {
	defer from.Close()
	to, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.to)
	if err != nil {
		return
	}
	defer to.Close()
	p.keep(from, true)
	defer p.keep(from, false)
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(gated{from, p}, to) // a connection that is cut has no error of interest
		from.Close()
	})
	_, _ = io.Copy(gated{to, p}, from)
	to.Close()
	back.Wait()
}

func (p *Proxy) keep(c net.Conn, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if on {
		p.conns[c] = struct{}{}
	} else {
		delete(p.conns, c)
	}
}

// gated is a connection that is written to as long as nothing is held back.
type gated struct {
	net.Conn
	proxy *Proxy
}

func (g gated) Write(b []byte) (int, error) {
	g.proxy.mu.Lock()
	held := g.proxy.held
	g.proxy.mu.Unlock()
	if held != nil {
		<-held
	}
	return g.Conn.Write(b)
}
