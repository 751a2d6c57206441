package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// definition is that of a job with one attempt at a time.
func definition(execute func(ctx context.Context, x Attempt) error) *Definition {
	return &Definition{
		Spec: engine.Spec{Completions: 1, Parallelism: 1, BackoffLimit: 6, BackoffLimitPerIndex: engine.None,
			MaxFailedIndexes: engine.None, ActiveDeadline: engine.None, AttemptTimeout: engine.None, TTL: engine.None,
			FixedDelay: true, Delay: 30 * time.Second},
		Execute: execute,
		Judge: func(err, _ error) Verdict {
			return Verdict{engine.Result{Code: 1, ErrorRule: engine.None}, err.Error()}
		},
	}
}

// A directory that takes long to be removed keeps its own job waiting and no other,
// also if a timer ends its attempt at which others are due as well: their retries and
// removals come in time.
func TestASlowRemovalDelaysNobody(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{Parent: t.Context(), FinishedJobs: -1, Brief: true})
		removing, goOn := make(chan string), make(chan struct{})
		r.removeAll = func(dir string) error {
			removing <- dir
			<-goOn
			return os.RemoveAll(dir)
		}
		large := startLarge(t, r)
		var others []*Job
		for i := range 8 {
			others = append(others, startRetrying(t, r, fmt.Sprint("other-", i)))
		}
		dir := <-removing
		require.DirExists(t, dir)
		for _, other := range others {
			_, err := other.Wait(t.Context())
			require.NoError(t, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, r.All(), 1, "the time to live of the others is over")

		patience, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := large.Wait(patience)
		require.ErrorIs(t, err, context.DeadlineExceeded, "its directory is there")
		close(goOn)
		_, err = large.Wait(t.Context())
		require.NoError(t, err)
		require.NoDirExists(t, dir)
		left, err := r.Shutdown(t.Context())
		require.NoError(t, err)
		require.True(t, left.IsZero())
	})
}

// startLarge starts a job whose attempt waits for its restart when the job's deadline
// comes, after half a minute: then its directory is removed.
func startLarge(t *testing.T, r *Runner) *Job {
	t.Helper()
	def := definition(func(_ context.Context, x Attempt) error {
		_, err := x.Dir()
		return errors.Join(err, os.ErrInvalid)
	})
	def.Spec.OnFailure, def.Spec.ActiveDeadline = true, 30*time.Second
	j, err := r.Create(t.Context(), "large", def)
	require.NoError(t, err)
	return j
}

// startRetrying starts a job that fails three times, with half a minute between its
// tries, and is removed a minute after its end.
func startRetrying(t *testing.T, r *Runner, name string) *Job {
	t.Helper()
	start, tries := time.Now(), 0
	def := definition(func(context.Context, Attempt) error {
		if late := time.Since(start) - time.Duration(tries)*30*time.Second; late != 0 {
			t.Errorf("%s: try %d is late by %v", name, tries, late)
		}
		if tries++; tries < 4 {
			return os.ErrInvalid
		}
		return nil
	})
	def.Spec.TTL = time.Minute
	j, err := r.Create(t.Context(), name, def)
	require.NoError(t, err)
	return j
}
