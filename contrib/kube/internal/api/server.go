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
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// defaultMaxWatches is how many watches and followed logs are open at once.
const defaultMaxWatches = 2000

// Config is kube.Options, which says what the fields mean, for a controller.
type Config struct {
	Controller   *batch.Controller // required
	CronJobs     *cron.Controller
	Runner       *convert.Runner
	Namespace    string
	Write        bool
	Hosts        []string
	Authenticate func(*http.Request) (user string, err error)
	OpenProbes   bool
	MaxWatches   int
	Logger       *slog.Logger
}

// A Server answers requests. Its methods may be called by several goroutines at
// once.
type Server struct {
	config    Config
	host      *kinds.Host
	kinds     []*kinds.Kind
	restoring sync.WaitGroup
	cancel    context.CancelFunc // ends restoring
	docs      documents
	bundles   bundles
}

// New returns a server. It declares the CronJobs and jobs again that clients have created
// before a restart, and then runs nothing until it is asked.
func New(config Config) *Server {
	config.Logger = cmp.Or(config.Logger, slog.New(slog.DiscardHandler))
	s := &Server{config: config, host: &kinds.Host{
		Controller: config.Controller,
		CronJobs:   config.CronJobs,
		Runner:     cmp.Or(config.Runner, new(convert.Runner)),
		Namespace:  cmp.Or(config.Namespace, "default"),
		Write:      config.Write,
		Known:      config.Authenticate != nil,
		Started:    uint64(time.Now().UnixMicro()),
		Cache:      watchcache.New(config.Controller, config.CronJobs),
		Streams:    make(wire.Streams, cmp.Or(config.MaxWatches, defaultMaxWatches)),
		Scheme:     newScheme(),
	}}
	s.kinds = s.host.All()
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.restoring.Go(func() { s.host.Restore(ctx, config.Logger) })
	return s
}

// newScheme knows the kinds that clients send.
func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		batchv1.AddToScheme, corev1.AddToScheme, authorizationv1.AddToScheme, authenticationv1.AddToScheme,
		policyv1.AddToScheme} {
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
	s.host.Cache.Close()
	s.restoring.Wait()
}

// find returns the kind of that name, or nil.
func (s *Server) find(gv schema.GroupVersion, plural string) *kinds.Kind {
	for _, k := range s.kinds {
		if k.GroupVersion() == gv && k.Plural == plural {
			return k
		}
	}
	return nil
}

// An answer is a request that is being answered by a server.
type answer struct {
	*wire.Answer
	server *Server
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache, private")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	a := &answer{wire.New(w, r, s.host.Scheme), s}
	defer a.Recover(s.config.Logger)
	if err := a.serve(); err != nil {
		a.Fail(err)
	}
}

// serve finds out who asks for what.
func (a *answer) serve() error {
	if err := a.guard(); err != nil {
		return err
	}
	if handler := a.server.plain(a.Request.URL.Path); handler != nil {
		return a.servePlain(handler)
	}
	return a.serveKind()
}
