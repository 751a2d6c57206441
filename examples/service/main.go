// Service is an HTTP service that runs jobs on request, in its own process.
//
//	go run ./examples/service -root $(go env GOROOT)/src
//
//	curl -i localhost:8080/jobs -d '{"kind":"checksum","name":"sums","path":"net","shards":4}'
//	curl localhost:8080/jobs                          # all jobs
//	curl localhost:8080/jobs/sums                     # one; "explain" says in a sentence how it is
//	curl localhost:8080/jobs/sums/results             # of each shard; /failures says which have failed
//	curl localhost:8080/jobs/sums/attempts
//	curl localhost:8080/jobs/sums/events
//	curl localhost:8080/jobs/sums/logs                # of the newest attempt, or ?attempt=NAME, ?tail=N
//
//	curl localhost:8080/jobs -d '{"kind":"countdown","name":"tick","seconds":60}'
//	curl -N "localhost:8080/jobs/tick/logs?follow=1"  # until the attempt has ended
//	curl -X POST localhost:8080/jobs/tick/suspend     # and /resume
//	curl -X POST "localhost:8080/jobs/tick/cancel?reason=enough"   # fails it; or ?index=N
//	curl -X POST localhost:8080/jobs/tick/again       # or ?failed=1, only what has not succeeded
//	curl -X DELETE localhost:8080/jobs/tick           # or ?propagation=Foreground, Orphan
//
// With -backup FOLDER it writes an archive of all files below -root each night, as the
// job of a CronJob:
//
//	curl localhost:8080/cronjobs                      # when it comes next, and how it last went
//	curl -X POST localhost:8080/cronjobs/backup/run   # now
//
// With -store FILE, jobs survive the service: one that is stopped in the middle of them
// goes on when it is started again. What a job is to do is its input, and stored with it.
//
// With -postgres URL it is one of several that share a database: one of them works, and
// another one goes on when that stops. Every one of them shows the jobs, but for their
// logs; what changes a job is refused by all but the one that works.
//
// With -webhook URL it posts the status of each job that has ended there, and tries again
// until the answer is a success:
//
//	go run ./examples/service -webhook http://localhost:9090/ended
//
// What it shows of package batch: one [batch.Controller] for the life of the
// service; statuses, attempts and events that encode as JSON as they are; logs
// that can be followed; errors by kind, each with its HTTP status; and an end
// in good order. On Ctrl-C or SIGTERM the HTTP server stops first, then the
// controllers: nothing new is started, running attempts may finish within -grace, and
// are cancelled after it.
//
// The service listens on this machine only, reads nothing outside of -root, and
// refuses what web pages of other origins ask for. It has no other protection.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// A config is what the flags say.
type config struct {
	addr, root       string
	store            string
	maxActive        int
	grace            time.Duration
	backup, at, zone string
	postgres         string
	webhook          string
}

// run is the program; it returns the exit code. It serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var cfg config
	flags := flag.NewFlagSet("service", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.addr, "addr", "127.0.0.1:8080", "the `address` to listen on")
	flags.StringVar(&cfg.root, "root", ".", "the `folder` whose files jobs may read")
	flags.StringVar(&cfg.store, "store", "", "the `file` that keeps jobs over a restart; none if empty")
	flags.IntVar(&cfg.maxActive, "max-active", 8, "how many attempts may run at once over all jobs")
	flags.DurationVar(&cfg.grace, "grace", 10*time.Second, "how long attempts may go on when the service is to stop")
	flags.StringVar(&cfg.backup, "backup", "", "the `folder`, not below -root, for nightly archives; none if empty")
	flags.StringVar(&cfg.at, "backup-at", "30 2 * * *", "the `schedule` of the backup")
	flags.StringVar(
		&cfg.zone, "backup-zone", "", "the `zone` of the schedule, such as Europe/Berlin; empty means the local one",
	)
	flags.StringVar(&cfg.postgres, "postgres", "", "the `URL` of a database that several services share; none if empty")
	flags.StringVar(&cfg.webhook, "webhook", "", "the `URL` to which the end of each job is posted; none if empty")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // flags has told why
	}
	if err := serve(ctx, cfg, stdout, slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		fmt.Fprintln(stderr, "service:", err)
		return 1
	}
	return 0
}

// serve runs the service until ctx ends and everything has stopped.
func serve(ctx context.Context, cfg config, stdout io.Writer, logger *slog.Logger) (err error) {
	hook, err := newWebhook(cfg.webhook)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(cfg.root) // no path and no link leads out of it
	if err != nil {
		return err
	}
	defer root.Close()
	listener, err := net.Listen("tcp", cfg.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	c, closeStore, err := newController(ctx, cfg, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	w := &worker{jobs: c, root: root, cfg: cfg, logger: logger, ended: make(chan struct{})}
	if w.works() == nil {
		if err := w.begin(ctx); err != nil {
			return errors.Join(err, c.Shutdown(ctx))
		}
	}
	server := newServer(newHandler(c, w.current, root.FS()))
	fmt.Fprintf(stdout, "listening on http://%s\n", listener.Addr())

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return server.Serve(listener) })
	g.Go(func() error { return w.run(ctx) })
	if hook != "" {
		g.Go(func() error { return hook.serve(ctx, c) })
	}
	g.Go(func() error {
		<-ctx.Done()
		fmt.Fprintln(stdout, "stopping")
		return stop(ctx, server, w, cfg.grace)
	})
	err = g.Wait()
	fmt.Fprintln(stdout, "stopped")
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// schedule returns a controller of CronJobs: of the backup, if there is to be one.
func schedule(ctx context.Context, c *batch.Controller, root *os.Root, cfg config, logger *slog.Logger) (
	*cron.Controller, error) {
	cronJobs, err := cron.New(c, cron.Options{Logger: logger})
	if err != nil || cfg.backup == "" {
		return cronJobs, err
	}
	b, err := newBackup(root, cfg.backup)
	if err == nil {
		_, err = cronJobs.Apply(ctx, nightly(b, cfg.at, cfg.zone))
	}
	if err != nil {
		return nil, errors.Join(err, cronJobs.Shutdown(ctx))
	}
	return cronJobs, nil
}

func newServer(h http.Handler) *http.Server {
	// Those who follow a log would keep the server from stopping: the end of
	// this context, which is that of all requests, ends them.
	requests, endRequests := context.WithCancel(context.Background())
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return requests },
	}
	server.RegisterOnShutdown(endRequests)
	return server
}

// stop ends the server first, so that no job comes in any more, and then the
// controllers, that of the CronJobs before that of their jobs: softly while grace
// lasts, and by force after it.
func stop(ctx context.Context, server *http.Server, w *worker, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		server.Close() // whoever still waits for an answer has waited enough
	}
	return errors.Join(w.stop(ctx), w.jobs.Shutdown(ctx))
}
