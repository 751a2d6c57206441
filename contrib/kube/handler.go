package kube

import (
	"log/slog"
	"net/http"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/kube/internal/api"
	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
)

// Options configure a [Handler]. The zero value shows the jobs of a controller
// to clients on the same machine, and changes nothing.
type Options struct {
	// Namespace is where the jobs are; empty means "default". There is no other.
	Namespace string

	// CronJobs is the controller of CronJobs with the same controller of jobs, which
	// are served as CronJobs of batch/v1. Nil serves none. Those that Go code has
	// declared run their executor for kubectl create job --from, too, and can have
	// all changed but their template. Shut it down after [Server.Close].
	CronJobs *cron.Controller

	// Write opens what changes jobs: create, update, patch and delete. Without
	// it such requests are answered 403 Forbidden.
	Write bool
	// Runner makes jobs of the manifests that clients create, or have created
	// before a restart. Nil makes none of them. A container that names a command
	// is refused unless the runner's Commands is set: who may create such a job
	// may run anything that this process may run.
	Runner *Runner

	// Hosts are the host names by which clients address the server, other than
	// localhost and the addresses of the loopback interface, which are always
	// answered; "*" stands for any. Requests to other names are refused, as a
	// web page that leads its own name here would send.
	Hosts []string
	// Authenticate names the user who sends a request; an error is answered 401
	// Unauthorized. Nil lets everybody in, as "anonymous": then the listener
	// must see to it that only the right ones get here.
	Authenticate func(*http.Request) (user string, err error)
	// OpenProbes answers /healthz, /livez and /readyz without asking who wants to
	// know, whatever host name they are asked by.
	OpenProbes bool
	// MaxWatches is how many watches and followed logs may be open at once;
	// further ones are answered 429 Too Many Requests. Zero means 2000.
	MaxWatches int
	// Logger receives what a client cannot be told, such as panics and jobs that
	// cannot go on after a restart. Nil means silence.
	Logger *slog.Logger
}

// ConditionFinished is a condition of jobs that clusters do not have: a [Handler]
// shows it as True, with the reason of the other one, once a job is Complete or
// Failed.
const ConditionFinished = kinds.ConditionFinished

// A Server is what [Handler] returns.
type Server struct{ api *api.Server }

// Handler serves the jobs of a controller to clients of Kubernetes, such as
// kubectl: its jobs as batch/v1 Jobs, their attempts as Pods, and their events.
// Jobs that Go code creates and jobs that clients create are the same jobs.
//
// If the controller has a store, jobs that clients have created survive the
// process, with their manifests and all variables in them. A new handler for a new
// controller declares them again, by and by and as they are, and they go on, with
// Write or without. The Runner decides anew what their containers may do: a job
// whose function is not there any more, or that needs Commands which are not
// allowed any more, waits with the condition Stalled, which says what is in the
// way; the Logger is told, too. Jobs of Go code are left to
// [batch.Controller.Apply] and [Runner.Restore].
//
// The handler can be put into any mux; below a prefix, with [http.StripPrefix].
// It costs nothing while nobody asks: only open watches follow the controller.
//
// It differs from a cluster in this:
//   - A job has one more condition, Finished, which is True once the job is
//     Complete or Failed: kubectl wait --for=condition=Finished ends either way.
//   - There is one namespace, and no bare pods: a pod is an attempt of a job.
//   - Deleting a job without a propagation policy stops its pods, with a
//     warning, where a cluster keeps them. kubectl always names a policy.
//   - Deleting a pod that has ended hides it. One that runs has the grace period
//     of its template, with a warning if another one was asked for, or force.
//   - jobs/status can be written if spec.managedBy names another controller, by the rules
//     of an API server, but not in a dry run; of uncountedTerminatedPods nothing is kept.
//   - A job that changes all the time is shown as it was a moment ago: 10 ms, and 1 ms
//     for each open watch, up to a second. Its conditions are shown at once.
//   - Finalizers are refused, and owner references to
//     anything but a CronJob that is served here.
//   - Events are gone when their job, or their pod, is.
//   - Pods that were stopped because their job failed stay, with their logs.
//   - The log of a pod of Go code has the lines of all its runs. Of a job that a
//     client has created it has what [Runner].LogLimit says; where lines are not kept
//     any more, a line says how many.
//   - exec, attach, port-forward and scale are answered 501 Not Implemented.
//   - YAML bodies may not have aliases, patches are limited to 1 MiB, and JSON
//     patches to 1000 operations.
func Handler(c *batch.Controller, o Options) *Server {
	return &Server{api.New(api.Config{
		Controller: c, CronJobs: o.CronJobs, Runner: o.Runner.convert(),
		Namespace: o.Namespace, Write: o.Write, Hosts: o.Hosts,
		Authenticate: o.Authenticate, OpenProbes: o.OpenProbes, MaxWatches: o.MaxWatches, Logger: o.Logger,
	})}
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.api.ServeHTTP(w, r) }

// Close ends all watches and followed logs' claim on the controller, declares no
// further jobs, and returns when nothing of the handler runs any more. Close it
// before the server that it serves for: an [http.Server] waits for open watches
// when it shuts down.
func (s *Server) Close() { s.api.Close() }
