package kube

import (
	"cmp"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
)

// ListenOptions say where a [Listener] listens. The zero value is any free port
// of the loopback interface.
type ListenOptions struct {
	// Addr is the TCP address, "host:port"; empty means "127.0.0.1:0", which is
	// any free port.
	Addr string
	// AllowRemote permits an Addr that other machines can reach. Without it such
	// an address is an error. Whoever has the kubeconfig can then do from there
	// what the [Options] allow.
	AllowRemote bool
	// Hosts are further names and IP addresses of this machine, for clients that
	// do not use the host of Addr: they stand in the certificate, and requests to
	// them are answered. If Addr has no host, as ":6443", the kubeconfig names
	// the first of them.
	Hosts []string
	// Credentials is a file that keeps the token and the key of the certificate, so
	// that clients find their way after a restart, too, if Addr has a port. It is
	// made if it is not there, with mode 0600, and refused if others may read it.
	// Empty means that both end with the listener.
	Credentials string
	// Kubeconfig is the file that [Listen] writes for clients, readable by its
	// owner only: see [Listener.WriteKubeconfig]. Empty means none.
	Kubeconfig string
}

// How long clients may take. Watches and logs are not limited by these.
const (
	headerTime  = 10 * time.Second // to send the header of a request
	bodyTime    = 60 * time.Second // to send the body as well
	idleTime    = 2 * time.Minute  // until the next request of a connection
	goodbyeTime = 5 * time.Second  // to read the rest of an answer at the end
	largestHead = 128 << 10        // bytes of a request's header
)

// A Listener serves a [Handler] over TLS to those who have its bearer token. Its
// certificate is signed by itself; clients find it, and the token, in the
// kubeconfig.
type Listener struct {
	url         string
	namespace   string
	token       string
	certificate tls.Certificate
	listener    net.Listener
	handler     *Server
	server      *http.Server
	stop        context.CancelFunc // ends the requests that run
}

// Listen opens the listener of a handler for a controller, and writes its
// kubeconfig. Clients are answered as soon as [Listener.Serve] runs.
//
// The Authenticate of the handler's options must be nil: that is the listener's
// part. Its user is called "batch".
func Listen(c *batch.Controller, o Options, l ListenOptions) (*Listener, error) {
	if o.Authenticate != nil {
		return nil, errors.New("kube: Listen: Options.Authenticate must be nil: the listener authenticates by its own token")
	}
	addr, err := l.resolve()
	if err != nil {
		return nil, err
	}
	secret, err := loadCredentials(l.Credentials)
	if err != nil {
		return nil, fmt.Errorf("kube: Credentials: %w", err)
	}
	certificate, err := newCertificate(secret.key, l.names())
	if err != nil {
		return nil, fmt.Errorf("kube: make a certificate: %w", err)
	}
	listener, err := net.ListenTCP("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	s := &Listener{
		url:         "https://" + net.JoinHostPort(l.clientHost(addr), fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)),
		namespace:   cmp.Or(o.Namespace, "default"),
		token:       secret.token,
		certificate: certificate,
		listener:    listener,
	}
	s.prepare(c, o, l)
	if l.Kubeconfig == "" {
		return s, nil
	}
	if err := s.WriteKubeconfig(l.Kubeconfig); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Serve listens and serves until ctx ends: [Listen] and [Listener.Serve] in one.
// With it, a service answers kubectl by one line:
//
//	go kube.Serve(ctx, controller, kube.Options{}, kube.ListenOptions{Kubeconfig: "batch.kubeconfig"})
func Serve(ctx context.Context, c *batch.Controller, o Options, l ListenOptions) error {
	s, err := Listen(c, o, l)
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

// resolve is the address to listen on, if that is allowed.
func (l *ListenOptions) resolve() (*net.TCPAddr, error) {
	addr, err := net.ResolveTCPAddr("tcp", cmp.Or(l.Addr, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("kube: Addr %q: %w", l.Addr, err)
	}
	if !addr.IP.IsLoopback() && !l.AllowRemote {
		return nil, fmt.Errorf("kube: Addr %q can be reached from other machines, and AllowRemote is not set", l.Addr)
	}
	return addr, nil
}

// names are what the certificate is for.
func (l *ListenOptions) names() []string {
	names := append([]string{"localhost", "127.0.0.1", "::1"}, l.Hosts...)
	if host, _, err := net.SplitHostPort(l.Addr); err == nil && host != "" {
		names = append(names, host)
	}
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// clientHost is the host that clients of this listener dial.
func (l *ListenOptions) clientHost(addr *net.TCPAddr) string {
	if !addr.IP.IsUnspecified() && addr.IP != nil {
		return addr.IP.String()
	}
	return slices.Concat(l.Hosts, []string{"127.0.0.1"})[0]
}

// prepare makes the handler and the server of it.
func (s *Listener) prepare(c *batch.Controller, o Options, l ListenOptions) {
	o.Authenticate = s.authenticate
	o.Hosts = slices.Concat(o.Hosts, l.names())
	s.handler = Handler(c, o)
	logger := cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.server = &http.Server{
		Handler:           limitBodies(s.handler),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{s.certificate}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    largestHead,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
}

// limitBodies sets a time limit to the bodies of requests. A server's ReadTimeout
// would end watches too.
func limitBodies(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			// Every connection of this server can set deadlines.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
		}
		h.ServeHTTP(w, r)
	})
}

var errToken = errors.New("the request does not have the token")

// authenticate lets in who has the token.
func (s *Listener) authenticate(r *http.Request) (user string, err error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) != 1 {
		return "", errToken
	}
	return kubeconfigName, nil
}

// URL is where clients find the server, such as "https://127.0.0.1:43210".
func (s *Listener) URL() string { return s.url }

// Serve answers requests until ctx ends, and returns nil then; or the error that
// made it give up before. When it returns, the listener is closed, watches have
// ended, and nothing of it runs any more. The controller goes on. Serve may be
// called once.
func (s *Listener) Serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.server.ServeTLS(s.listener, "", "") }()
	select {
	case err := <-failed:
		return errors.Join(s.ended(err), s.Close())
	case <-ctx.Done():
	}
	return errors.Join(s.shutdown(context.WithoutCancel(ctx)), s.ended(<-failed))
}

// shutdown ends watches, lets other requests come to their end, and closes the
// connections of those that do not.
func (s *Listener) shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, goodbyeTime)
	defer cancel()
	s.stop()
	s.handler.Close()
	err := s.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	return s.ended(err)
}

// ended is err unless it only says that the listener was closed.
func (s *Listener) ended(err error) error {
	if err == nil || errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("kube: serve: %w", err)
}

// Close closes a listener that does not serve, and ends one that does without
// waiting for requests.
func (s *Listener) Close() error {
	s.stop()
	s.handler.Close()
	return s.ended(errors.Join(s.server.Close(), s.listener.Close()))
}
