package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/race"
)

// Everything at once, on a few names: it only has to end well.
func TestConcurrentUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 8, Logger: slog.New(slog.DiscardHandler)})
		names := []string{"a", "b", "c"}
		executor := batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			fmt.Fprintln(a.Stdout(), "hello")
			a.Progress(1, 2, "x")
			switch a.Number % 4 {
			case 0:
				return sleep(ctx, 5*time.Millisecond)
			case 1:
				panic("boom")
			}
			a.SetReady(false)
			return nil
		})
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				ctx := t.Context()
				for i := range 60 {
					name := names[(w+i)%len(names)]
					c.Create(ctx, batch.Job{Name: name, CompletionMode: batch.Indexed, Completions: new(5), Parallelism: new(5),
						Backoff:      batch.ConstantBackoff(time.Millisecond),
						BackoffLimit: new(100), RestartPolicy: []string{batch.RestartNever, batch.RestartOnFailure}[i%2],
						Executor: executor})
					doSomething(ctx, c, name, w+i, i)
					time.Sleep(time.Millisecond)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Minute)
		for _, name := range names {
			if s, err := c.Get(name); err == nil && !s.Finished() {
				require.NoError(t, c.Update(t.Context(), name, func(j *batch.Job) {
					j.Suspend, j.Completions, j.Parallelism = false, new(5), new(5)
				}))
				s, err = c.Wait(t.Context(), name)
				require.True(t, err != nil || s.Succeeded == 5, "%v", s)
			}
			if s, err := c.Get(name); err == nil {
				require.Zero(t, s.Active+s.Terminating+s.Abandoned, "%v", s)
			}
		}
	})
}

// doSomething calls a method of the controller, the n-th of them.
func doSomething(ctx context.Context, c *batch.Controller, name string, n, i int) {
	switch n % 8 {
	case 0:
		c.Suspend(ctx, name)
	case 1:
		c.Resume(ctx, name)
	case 2:
		c.Update(ctx, name, func(j *batch.Job) { j.Completions, j.Parallelism = new(i%7), new(i%7) })
	case 3:
		c.Delete(ctx, name, []string{batch.DeleteBackground, batch.DeleteForeground, batch.DeleteOrphan}[i%3])
	case 4, 5:
		for _, a := range attemptsIfAny(c, name) {
			c.Disrupt(ctx, name, a.UID, []string{"EvictionByEvictionAPI", "DeletionByPodGC", "TerminationByKubelet"}[i%3])
			for range c.Logs(ctx, name, a.Name, -1, false) {
			}
		}
	case 6:
		for s := range c.All() {
			_, _ = s.Explain(), s.String()
		}
		c.Events(ctx, name)
	case 7:
		c.Resume(ctx, name)
		ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		c.Wait(ctx, name)
		cancel()
	}
}

// A sightings knows what was seen of a job at each revision.
type sightings struct {
	mu  sync.Mutex
	all map[uint64]string
}

// add records a status. A revision always shows the same status.
func (s *sightings) add(t *testing.T, status batch.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprint(
		status.Succeeded, status.Failed, status.Active, status.Ready, status.CompletedIndexes.Len(), status.State(),
	)
	if before, ok := s.all[status.Revision]; ok && before != text {
		t.Errorf("revision %d is %s and %s", status.Revision, before, text)
	}
	s.all[status.Revision] = text
}

// get reads the status of the job until it has finished.
func (s *sightings) get(t *testing.T, c *batch.Controller) {
	for last := (batch.Status{}); !last.Finished(); {
		status := get(t, c, "job")
		if status.Revision < last.Revision || status.Succeeded < last.Succeeded {
			t.Errorf("%v goes back to %v", last, status)
		}
		s.add(t, status)
		last = status
	}
}

// watch watches the job until it has finished.
func (s *sightings) watch(t *testing.T, c *batch.Controller) {
	last := uint64(0)
	for change, err := range c.Watch(t.Context(), 0) {
		if err != nil || change.Status.Revision <= last {
			t.Errorf("revision %d after %d: %v", change.Status.Revision, last, err)
			return
		}
		last = change.Status.Revision
		s.add(t, change.Status)
		if change.Status.Finished() {
			return
		}
	}
}

// fastJob is a job of n completions that take no time. Few of them fail, print or look at
// their context.
func fastJob(n int, calls, failures *atomic.Int64) batch.Job {
	return batch.Job{Name: "job", Completions: new(n), Parallelism: new(5), BackoffLimit: new(n),
		Backoff: batch.ConstantBackoff(0), History: new(100),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			switch call := calls.Add(1); {
			case call%5003 == 0:
				failures.Add(1)
				return errors.New("now and then")
			case call%4001 == 0:
				return ctx.Err() // a context that is used costs more
			case call%3001 == 0:
				fmt.Fprintln(a.Stdout(), "hello")
			case call%2003 == 0:
				runtime.Gosched()
			}
			return nil
		})}
}

// Attempts that take no time are counted apart from the job, until the job is read
// at it.
func TestLookingAtAFastJob(t *testing.T) {
	n := 1_000_000
	if race.Enabled {
		n = 100_000
	}
	for _, mode := range []string{batch.NonIndexed, batch.Indexed} {
		for _, meddled := range []bool{false, true} {
			t.Run(fmt.Sprint(mode, " ", meddled), func(t *testing.T) {
				c := newController(t, batch.Options{Logger: slog.New(slog.DiscardHandler)})
				defer func() { require.NoError(t, c.Shutdown(t.Context())) }()
				var calls, failures atomic.Int64
				job := fastJob(n, &calls, &failures)
				job.CompletionMode = mode
				mustCreate(t, c, job)
				seen := sightings{all: make(map[uint64]string)}
				var lookers sync.WaitGroup
				lookers.Go(func() { seen.get(t, c) })
				lookers.Go(func() { seen.watch(t, c) })
				if meddled {
					lookers.Go(func() { meddle(t, c) })
				}
				status, err := c.Wait(t.Context(), "job")
				require.NoError(t, err)
				lookers.Wait()
				require.NoError(t, batch.Check(c, "job"))
				require.Equal(t, n, status.Succeeded)
				attempts, err := c.Attempts(t.Context(), "job")
				require.NoError(t, err)
				require.Len(t, attempts, 100)
				if !meddled {
					require.Equal(t, int64(n)+failures.Load(), calls.Load())
					require.Equal(t, int(failures.Load()), status.Failed)
				}
			})
		}
	}
}

// meddle looks at a job closely, and changes it, until it has finished.
func meddle(t *testing.T, c *batch.Controller) {
	ctx := t.Context()
	for i := 0; ; i++ {
		if err := batch.Check(c, "job"); err != nil {
			t.Error(err)
		}
		attempts, err := c.Attempts(t.Context(), "job")
		if err != nil {
			t.Error(err)
		}
		switch i % 4 {
		case 0:
			err = c.Suspend(ctx, "job")
		case 1:
			err = c.Resume(ctx, "job")
		case 2:
			err = c.Update(ctx, "job", func(j *batch.Job) { j.Parallelism = new(1 + i%7) })
		case 3:
			if last := attempts[len(attempts)-1]; last.Phase == batch.AttemptRunning {
				err = c.Disrupt(ctx, "job", last.UID, "EvictionByEvictionAPI")
			}
		}
		switch {
		case err == nil, errors.Is(err, batch.ErrNotFound):
		case errors.Is(err, batch.ErrAttemptEnded):
			if get(t, c, "job").Finished() {
				return
			}
		default:
			t.Error(err)
			return
		}
		if get(t, c, "job").Finished() {
			return
		}
		for range 100 { // what runs gets on between two changes
			runtime.Gosched()
		}
	}
}

// An executor that does not look at its context costs no allocation.
func TestNoAllocations(t *testing.T) {
	run := func(n int) float64 {
		return testing.AllocsPerRun(3, func() {
			_, err := batch.Run(context.Background(), batch.Job{
				Name: "j", CompletionMode: batch.Indexed, Completions: new(n), Parallelism: new(2), Executor: succeed,
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	const few, many = 5_000, 25_000
	perAttempt := (run(many) - run(few)) / (many - few)
	require.Less(t, perAttempt, 0.01)
}
