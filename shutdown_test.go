package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

func TestSoftShutdown(t *testing.T) {
	for _, limit := range []int{0, 3} {
		t.Run(fmt.Sprint("MaxActive ", limit), func(t *testing.T) {
			bubble(t, func(t *testing.T) { testSoftShutdown(t, limit) })
		})
	}
}

func testSoftShutdown(t *testing.T, limit int) {
	c := newController(t, batch.Options{MaxActive: limit})
	mustCreate(t, c, batch.Job{Name: "runs", Completions: new(2), Executor: takes(time.Hour)})
	mustCreate(t, c, batch.Job{Name: "retries", Executor: fails(errDisk)})
	mustCreate(t, c, batch.Job{Name: "restarts", RestartPolicy: batch.RestartOnFailure, Executor: fails(errDisk)})
	mustCreate(t, c, batch.Job{Name: "suspended", Suspend: true, Executor: succeed})
	mustCreate(t, c, batch.Job{
		Name: "timed", AttemptTimeout: new(10 * time.Minute), BackoffLimit: new(0), Executor: untilDone,
	})
	time.Sleep(time.Second)
	mustCreate(t, c, batch.Job{Name: "pending", Parallelism: new(9), Completions: new(9), Executor: takes(2 * time.Hour)})
	start := time.Now()
	time.AfterFunc(time.Minute, func() {
		if err := c.Create(t.Context(), batch.Job{Name: "late", Executor: succeed}); !errors.Is(err, batch.ErrShutdown) {
			t.Errorf("Create during the shutdown: %v", err)
		}
		if _, err := c.Get("runs"); err != nil {
			t.Errorf("Get during the shutdown: %v", err)
		}
	})
	waited := make(chan error, 1)
	go func() { _, err := c.Wait(t.Context(), "retries"); waited <- err }()
	require.NoError(t, c.Shutdown(t.Context()))
	require.ErrorIs(t, <-waited, batch.ErrShutdown)
	want := 2 * time.Hour
	if limit > 0 {
		want = time.Hour - time.Second // its slots were taken: "pending" got one that "retries" gave back
	}
	require.GreaterOrEqual(t, time.Since(start), want)
	synctest.Wait()
	for s := range c.All() {
		require.Zero(t, s.Active+s.Pending+s.Terminating, "%v", s)
		require.NotEmpty(t, s.Explain())
	}
	require.Equal(t, 1, get(t, c, "runs").Succeeded, "what ran was let run")
	require.False(t, get(t, c, "runs").Finished())
	require.Zero(t, get(t, c, "restarts").Failed, "what waited does not count")
	_, err := c.Wait(t.Context(), "timed")
	failed(t, err, batch.ReasonBackoffLimitExceeded)
	require.Equal(t, start.Add(10*time.Minute-time.Second), attemptsOf(t, c, "timed")[0].FinishedAt, "timeouts go on")
	require.NoError(t, c.Shutdown(ended(errCause)), "again")
}

func TestHardShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		obeys := fn(func(ctx context.Context) error { <-ctx.Done(); time.Sleep(4 * time.Second); return context.Cause(ctx) })
		mustCreate(t, c, batch.Job{
			Name: "obeys", Parallelism: new(3), Completions: new(5), BackoffLimit: new(0), Executor: obeys,
		})
		mustCreate(t, c, batch.Job{Name: "succeeds", Parallelism: new(1), Completions: new(2),
			TerminationGracePeriod: new(time.Minute),
			Executor: fn(func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Minute - time.Second)
				return nil
			})})
		mustCreate(t, c, batch.Job{
			Name: "restarts", RestartPolicy: batch.RestartOnFailure, BackoffLimit: new(0), Executor: obeys,
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		require.NoError(t, c.Shutdown(ctx))
		require.Equal(t, time.Hour+time.Minute-time.Second, time.Since(start))
		for s := range c.All() {
			require.Zero(t, s.Failed+s.Succeeded+s.Active+s.Terminating, "%v", s)
			require.False(t, s.Finished())
		}
		for _, a := range attemptsOf(t, c, "obeys") {
			require.Equal(t, batch.AttemptFailed, a.Phase)
			require.ErrorIs(t, a.Err, batch.ErrShutdown)
		}
	})
}

func TestShutdownAbandons(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, err := batch.New(t.Context(), batch.Options{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		release := make(chan struct{})
		stuck := fn(func(context.Context) error { <-release; return nil })
		for i := range 7 {
			mustCreate(t, c, batch.Job{Name: fmt.Sprint("stuck", i), TerminationGracePeriod: new(time.Minute), Executor: stuck})
		}
		mustCreate(t, c, batch.Job{Name: "deleted", TerminationGracePeriod: new(time.Hour), Executor: stuck})
		mustCreate(t, c, batch.Job{Name: "lost", BackoffLimit: new(0), Executor: stuck})
		mustCreate(t, c, batch.Job{Name: "obeys", Executor: untilDone})
		synctest.Wait()
		var names []string
		for s := range c.All() {
			if s.Name != "obeys" {
				names = append(names, attemptsOf(t, c, s.Name)[0].Name)
			}
		}
		slices.Sort(names)
		require.NoError(t, c.Disrupt(t.Context(), "lost", attemptsOf(t, c, "lost")[0].Name, "DeletionByPodGC"))
		require.NoError(t, c.Delete(t.Context(), "deleted", batch.DeleteBackground))
		time.Sleep(2 * time.Hour)

		start := time.Now()
		err = c.Shutdown(ended(errCause))
		abandoned, ok := errors.AsType[*batch.AbandonedError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, names, abandoned.Attempts)
		require.Regexp(t, `^batch: executors that have not returned: (\S+, ){4}\S+ and 4 more$`, err.Error())
		require.WithinDuration(t, start.Add(time.Minute), time.Now(), time.Second)
		require.Equal(t, 1, get(t, c, "stuck0").Terminating)

		_, err = c.Wait(t.Context(), "stuck0")
		require.ErrorIs(t, err, batch.ErrShutdown, "nobody waits for what never ends")
		for _, err := range c.Watch(t.Context(), get(t, c, "stuck0").Revision) {
			if err != nil {
				require.ErrorIs(t, err, batch.ErrShutdown)
			}
		}
		again := make(chan error, 1)
		go func() { again <- c.Shutdown(t.Context()) }()
		synctest.Wait()
		close(release)
		require.NoError(t, <-again)
		require.Equal(t, 0, get(t, c, "stuck0").Terminating)
		require.Equal(t, 0, get(t, c, "stuck0").Succeeded)
	})
}

func TestConcurrentShutdowns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 2})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				for k := range 20 {
					err := c.Create(t.Context(), batch.Job{
						Name: fmt.Sprintf("j%d-%d", i, k), Completions: new(3), Parallelism: new(2), Executor: takes(time.Second),
					})
					if err != nil && !errors.Is(err, batch.ErrShutdown) {
						t.Error(err)
					}
					time.Sleep(time.Millisecond)
				}
			})
			wg.Go(func() {
				time.Sleep(10 * time.Millisecond)
				if err := c.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for s := range c.All() {
			require.Zero(t, s.Active+s.Terminating)
		}
	})
}

// A shutdown before anything began, and with nothing ever.
func TestShutdownOfNothing(t *testing.T) {
	c, err := batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	require.NoError(t, c.Shutdown(t.Context()))
	require.NoError(t, c.Shutdown(ended(errCause)))
}
