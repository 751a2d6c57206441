// Package api answers the HTTP requests of Kubernetes clients about the jobs of
// a controller: discovery, jobs, their pods and events, logs and watches.
package api

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/fieldmanager"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
)

// defaultMaxWatches is how many watches and followed logs are open at once.
const defaultMaxWatches = 2000

// Config says what a Server serves and to whom.
type Config struct {
	// Controller has the jobs. Required.
	Controller *batch.Controller
	// Runner makes jobs of manifests. Nil makes none.
	Runner *convert.Runner
	// Namespace is where the jobs are; empty means "default".
	Namespace string
	// Write opens what changes jobs.
	Write bool
	// Hosts are the names, other than those of the loopback interface, by which
	// the server may be addressed; "*" allows any.
	Hosts []string
	// Authenticate names the user who sends a request. Nil lets everybody in as
	// "anonymous". An error is answered with 401 Unauthorized.
	Authenticate func(*http.Request) (user string, err error)
	// MaxWatches is how many watches and followed logs may be open at once; zero
	// means 2000.
	MaxWatches int
	// Logger receives what a client cannot be told, such as panics and jobs that
	// cannot go on after a restart. Nil means silence.
	Logger *slog.Logger
}

// A Server answers requests. Its methods may be called by several goroutines at
// once.
type Server struct {
	config    Config
	started   uint64 // the version of what never changes
	cache     *watchcache.Cache
	resources []*resource
	streams   chan struct{} // has room for as many as may be open
	restoring sync.WaitGroup
	cancel    context.CancelFunc // ends restoring
	docs      documents
	bundles   bundles
	scheme    *runtime.Scheme
	fields    *fieldmanager.Manager
}

// New returns a server. It declares the jobs again that clients have created
// before a restart, and then runs nothing until it is asked.
func New(config Config) *Server {
	config.Namespace = cmp.Or(config.Namespace, "default")
	config.MaxWatches = cmp.Or(config.MaxWatches, defaultMaxWatches)
	config.Logger = cmp.Or(config.Logger, slog.New(slog.DiscardHandler))
	if config.Runner == nil {
		config.Runner = new(convert.Runner)
	}
	s := &Server{
		config:  config,
		started: uint64(time.Now().UnixMicro()),
		cache:   watchcache.New(config.Controller),
		streams: make(chan struct{}, config.MaxWatches),
	}
	s.resources = s.served()
	s.scheme = newScheme()
	s.fields = fieldmanager.New(s.scheme)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.restoring.Go(func() { s.restore(ctx) })
	return s
}

// newScheme knows the kinds that clients send.
func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		batchv1.AddToScheme, corev1.AddToScheme, authorizationv1.AddToScheme, authenticationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err) // the same kind twice
		}
	}
	return scheme
}

// Close ends all watches and all that New has begun, and returns when nothing
// runs any more.
func (s *Server) Close() {
	s.cancel()
	s.cache.Close()
	s.restoring.Wait()
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache, private")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	a := &answer{server: s, w: w, r: r, warned: make(map[string]bool)}
	defer a.recover()
	if err := a.serve(); err != nil {
		a.fail(err)
	}
}

// serve finds out who asks for what.
func (a *answer) serve() error {
	if err := a.guard(); err != nil {
		return err
	}
	if handler := a.server.plain(a.r.URL.Path); handler != nil {
		return a.servePlain(handler)
	}
	return a.serveResource()
}
