package clients

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/kube"
)

// A world is a controller, and a listener that serves it.
type world struct {
	testing.TB
	controller *batch.Controller
	cronJobs   *cron.Controller // nil: they are not served
	listener   *kube.Listener
	kubeconfig string
	release    func() // lets the containers go on that run func/wait
}

// newWorld serves until the test ends. The options' runner is one that allows
// everything if there is none.
func newWorld(t testing.TB, o kube.Options) *world {
	t.Helper()
	c, err := batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	return newWorldOf(t, c, o)
}

// newWorldOf is newWorld with that controller.
func newWorldOf(t testing.TB, c *batch.Controller, o kube.Options) *world {
	t.Helper()
	released := make(chan struct{})
	w := &world{
		TB:         t,
		controller: c,
		cronJobs:   o.CronJobs,
		kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"),
		release:    sync.OnceFunc(func() { close(released) }),
	}
	if o.Runner == nil {
		o.Runner = &kube.Runner{Commands: true}
	}
	o.Runner.Functions = functions(released)
	var err error
	w.listener, err = kube.Listen(c, o, kube.ListenOptions{Kubeconfig: w.kubeconfig})
	require.NoError(t, err)
	w.serve()
	return w
}

// serve serves until the test ends.
func (w *world) serve() {
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.listener.Serve(ctx) }()
	w.Cleanup(func() {
		w.release()
		cancel()
		require.NoError(w, <-served)
		if w.cronJobs != nil {
			require.NoError(w, w.cronJobs.Shutdown(context.Background()))
		}
		require.NoError(w, w.controller.Shutdown(ctx))
	})
}

// functions are what containers may run.
func functions(released <-chan struct{}) map[string]kube.Function {
	return map[string]kube.Function{
		"hello": func(_ context.Context, a batch.Attempt, c kube.Container) error {
			fmt.Fprintln(a.Stdout(), "hello from", c.Name)
			fmt.Fprintln(a.Stderr(), "that was all")
			return nil
		},
		"greet": func(_ context.Context, a batch.Attempt, _ kube.Container) error {
			in, err := batch.Input[struct {
				Args []string
				Env  map[string]string
			}](a)
			fmt.Fprintln(a.Stdout(), in.Args, in.Env["NAME"])
			return err
		},
		"wait": func(ctx context.Context, a batch.Attempt, _ kube.Container) error {
			return wait(ctx, a, released)
		},
		"stubborn": func(context.Context, batch.Attempt, kube.Container) error {
			<-released
			return nil
		},
		"fail": func(_ context.Context, a batch.Attempt, _ kube.Container) error {
			fmt.Fprintln(a.Stderr(), "cannot open the database")
			return exitError(3)
		},
		"again": func(ctx context.Context, a batch.Attempt, _ kube.Container) error {
			fmt.Fprintln(a.Stdout(), "run", a.Restarts)
			if a.Restarts == 0 {
				return exitError(4)
			}
			return wait(ctx, a, released)
		},
	}
}

// wait waits until it is released.
func wait(ctx context.Context, a batch.Attempt, released <-chan struct{}) error {
	fmt.Fprintln(a.Stdout(), "waiting")
	select {
	case <-released:
		fmt.Fprintln(a.Stdout(), "released")
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// An exitError is an error with an exit code.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
func (e exitError) ExitCode() int { return int(e) }

// eventually waits until something holds.
func (w *world) eventually(holds func() bool) {
	w.Helper()
	require.Eventually(w, holds, 2*time.Minute, 10*time.Millisecond)
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}
