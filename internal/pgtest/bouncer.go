//go:build unix

package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// ErrNoBouncer is returned where PgBouncer is not installed.
var ErrNoBouncer = errors.New("no PgBouncer: apt-get install pgbouncer")

// A Bouncer is a PgBouncer in front of a server.
type Bouncer struct {
	server *Server
	port   int
	cmd    *exec.Cmd
}

// StartBouncer starts a PgBouncer in a pool mode, such as "session", with its files in
// the server's folder.
func StartBouncer(s *Server, mode string) (*Bouncer, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			return nil, ErrNoBouncer
		}
	}
	b := &Bouncer{server: s}
	if b.port, err = freePort(); err != nil {
		return nil, err
	}
	config := filepath.Join(s.folder, fmt.Sprintf("bouncer-%d.ini", b.port))
	text := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = %s
default_pool_size = 50
`, s.port, b.port, mode)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	var printed bytes.Buffer
	b.cmd = exec.Command(program, "-q", config)
	b.cmd.SysProcAttr, b.cmd.Dir, b.cmd.Stderr = s.as, s.folder, &printed
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	if err := b.waitUntilUp(); err != nil {
		return nil, fmt.Errorf("%w: %s", errors.Join(err, b.Stop()), &printed)
	}
	return b, nil
}

func (b *Bouncer) waitUntilUp() error {
	const patience = time.Minute
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", b.port))
		if err == nil {
			return conn.Close()
		}
		if time.Since(start) > patience {
			return err
		}
	}
}

// URL is what to connect to.
func (b *Bouncer) URL() string { return b.server.URLAt(b.port) }

// Stop ends PgBouncer, and what is connected.
func (b *Bouncer) Stop() error {
	if err := b.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = b.cmd.Wait() // it was killed
	return nil
}
