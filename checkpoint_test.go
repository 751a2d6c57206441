package batch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A relay is what attempts found and saved, in order.
type relay struct {
	mu    sync.Mutex
	found []string
}

func (r *relay) run(a batch.Attempt, save string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found = append(r.found, fmt.Sprintf("%d.%d:%s", a.Index, a.Number+a.Restarts, a.Checkpoint()))
	if save == "" {
		return nil
	}
	return a.SaveCheckpoint(context.Background(), []byte(save))
}

var errAgain = errors.New("again")

func TestNextAttemptReceivesTheCheckpoint(t *testing.T) {
	tests := map[string]struct {
		job  batch.Job
		want []string
	}{
		"of an index": {
			job:  batch.Job{CompletionMode: batch.Indexed, Completions: new(2)},
			want: []string{"0.0:", "0.1:0.0", "0.2:0.1", "1.0:", "1.1:1.0", "1.2:1.1"},
		},
		"of an index with a limit of its own": {
			job:  batch.Job{CompletionMode: batch.Indexed, Completions: new(1), BackoffLimitPerIndex: new(5)},
			want: []string{"0.0:", "0.1:0.0", "0.2:0.1"},
		},
		"of a job without indexes": {job: batch.Job{}, want: []string{"-1.0:", "-1.1:-1.0", "-1.2:-1.1"}},
		"of a restart in place": {
			job:  batch.Job{RestartPolicy: batch.RestartOnFailure, RestartBackoff: batch.ConstantBackoff(0)},
			want: []string{"-1.0:", "-1.1:-1.0", "-1.2:-1.1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var r relay
			job := test.job
			job.Name, job.Backoff = "job", batch.ConstantBackoff(0)
			job.Executor = batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				n := a.Number + a.Restarts
				if err := r.run(a, fmt.Sprintf("%d.%d", a.Index, n)); err != nil || n == 2 {
					return err
				}
				return errAgain
			})
			_, err := batch.Run(t.Context(), job)
			require.NoError(t, err)
			require.Equal(t, test.want, r.found)
		})
	}
}

// TestCheckpointsGoToOneAttemptEach has attempts without an index fail together.
func TestCheckpointsGoToOneAttemptEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r relay
		_, err := batch.Run(t.Context(), batch.Job{Name: "job", Completions: new(3), Parallelism: new(3),
			Backoff: batch.ConstantBackoff(time.Second),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Number >= 3 {
					return r.run(a, "")
				}
				err := r.run(a, fmt.Sprint("of ", a.Number))
				time.Sleep(time.Duration(1+a.Number) * time.Millisecond)
				return errors.Join(err, errAgain)
			})})
		require.NoError(t, err)
		found := make([]string, len(r.found))
		for i, text := range r.found {
			found[i] = text[strings.Index(text, ":"):]
		}
		require.ElementsMatch(t, []string{":", ":", ":", ":of 0", ":of 1", ":of 2"}, found)
	})
}

func TestCheckpointSurvivesTheController(t *testing.T) {
	for _, mode := range []string{batch.Indexed, batch.NonIndexed} {
		synctest.Test(t, func(t *testing.T) {
			var store batchtest.MemoryStore
			var r relay
			job := batch.Job{Name: "job", CompletionMode: mode, Completions: new(1),
				Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
					if err := r.run(a, fmt.Sprint("of ", a.Number)); err != nil || a.Number == 2 {
						return err
					}
					<-ctx.Done()
					return ctx.Err()
				})}
			for range 3 {
				c, err := batch.New(t.Context(), batch.Options{Store: &store})
				require.NoError(t, err)
				_, err = c.Apply(t.Context(), job)
				require.NoError(t, err)
				synctest.Wait()
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				require.NoError(t, c.Shutdown(ended))
			}
			index := map[string]int{batch.Indexed: 0, batch.NonIndexed: -1}[mode]
			require.Equal(
				t, []string{fmt.Sprintf("%d.0:", index), fmt.Sprintf("%d.1:of 0", index), fmt.Sprintf("%d.2:of 1", index)}, r.found,
			)
			for record, err := range store.Load(t.Context()) {
				require.NoError(t, err)
				require.NotContains(t, record.Key, "checkpoint", "a finished job needs none")
			}
		})
	}
}

func TestCheckpointLimits(t *testing.T) {
	run := func(job batch.Job, f func(a batch.Attempt) error) {
		job.Name, job.BackoffLimit = "job", new(0)
		job.Executor = batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error { return f(a) })
		_, err := batch.Run(t.Context(), job)
		require.NoError(t, err)
	}
	run(batch.Job{CheckpointLimit: new(3)}, func(a batch.Attempt) error {
		err := a.SaveCheckpoint(context.Background(), []byte("four"))
		require.ErrorIs(t, err, batch.ErrTooLarge)
		require.EqualError(t, err, "batch: too large: checkpoint of 4 bytes: at most 3 are allowed")
		require.Nil(t, a.Checkpoint(), "nothing has changed")
		require.NoError(t, a.SaveCheckpoint(context.Background(), nil))
		require.Equal(t, []byte{}, a.Checkpoint(), "an empty one is one")
		return nil
	})
	run(batch.Job{}, func(a batch.Attempt) error {
		require.NoError(t, a.SaveCheckpoint(context.Background(), make([]byte, 1<<20)))
		require.Error(t, a.SaveCheckpoint(context.Background(), make([]byte, 1<<20+1)))
		return nil
	})
	require.ErrorIs(t, batch.Attempt{}.SaveCheckpoint(context.Background(), nil), batch.ErrAttemptEnded)
	require.Nil(t, batch.Attempt{}.Checkpoint())
}

func TestCheckpointIsACopy(t *testing.T) {
	_, err := batch.Run(t.Context(), batch.Job{Name: "job",
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			data := []byte("before")
			require.NoError(t, a.SaveCheckpoint(context.Background(), data))
			copy(data, "change")
			copy(a.Checkpoint(), "change")
			require.Equal(t, "before", string(a.Checkpoint()))
			return nil
		})})
	require.NoError(t, err)
}

// TestOldAttemptDoesNotOverwriteACheckpoint has two attempts of an index overlap.
func TestOldAttemptDoesNotOverwriteACheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := batch.New(t.Context(), batch.Options{})
		require.NoError(t, err)
		late := make(chan error, 1)
		require.NoError(t, c.Create(t.Context(), batch.Job{Name: "job", CompletionMode: batch.Indexed, Completions: new(1),
			Backoff: batch.ConstantBackoff(0),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				if a.Number == 0 {
					<-ctx.Done()
					time.Sleep(time.Second)
					late <- a.SaveCheckpoint(context.Background(), []byte("late"))
					return ctx.Err()
				}
				require.NoError(t, a.SaveCheckpoint(context.Background(), []byte("newer")))
				time.Sleep(2 * time.Second)
				require.Equal(t, "newer", string(a.Checkpoint()))
				return nil
			})}))
		synctest.Wait()
		attempts, err := c.Attempts(t.Context(), "job")
		require.NoError(t, err)
		require.NoError(t, c.DeleteAttempt(t.Context(), "job", attempts[0].Name))
		_, err = c.Wait(t.Context(), "job")
		require.NoError(t, err)
		require.ErrorIs(t, <-late, batch.ErrAttemptEnded)
		require.NoError(t, c.Shutdown(t.Context()))
	})
}

// restarted runs a job for a second, shuts its controller down, and lets another
// one go on.
func restarted(t *testing.T, store batch.Store, job batch.Job) *batch.Controller {
	c := newController(t, batch.Options{Store: store})
	apply(t, c, job)
	time.Sleep(time.Second)
	shut(t, c)
	c = newController(t, batch.Options{Store: store})
	apply(t, c, job)
	return c
}

func TestRestartInPlaceKeepsItsCheckpointOverAProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		found := make(map[int]string)
		job := batch.Job{Name: "job", Completions: new(2), Parallelism: new(2), RestartPolicy: batch.RestartOnFailure,
			RestartBackoff: batch.ConstantBackoff(time.Minute),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Restarts == 0 {
					return errors.Join(a.SaveCheckpoint(context.Background(), fmt.Append(nil, "of ", a.Number)), errors.New("again"))
				}
				time.Sleep(time.Duration(2-a.Number) * time.Second)
				found[a.Number] = string(a.Checkpoint())
				return nil
			})}
		c := restarted(t, &store, job)
		complete(t, c, "job")
		shut(t, c)
		require.Equal(t, map[int]string{0: "of 0", 1: "of 1"}, found)
	})
}

func TestRestartInPlaceOverAProcessStillLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		job := batch.Job{Name: "job", RestartPolicy: batch.RestartOnFailure,
			RestartBackoff: batch.ConstantBackoff(time.Minute),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Restarts == 0 {
					a.SetOutput("first")
					return errors.New("again")
				}
				_, err := fmt.Fprintln(a.Stdout(), "hello")
				return err
			})}
		c := restarted(t, &store, job)
		complete(t, c, "job")
		shut(t, c)
	})
}

func TestCheckpointOfADeletedJobIsNotStored(t *testing.T) {
	for _, how := range []string{batch.DeleteBackground, batch.DeleteOrphan} {
		t.Run(string(how), func(t *testing.T) {
			var store batchtest.MemoryStore
			c, err := batch.New(t.Context(), batch.Options{Store: &store})
			require.NoError(t, err)
			started, goOn, saved := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			require.NoError(t, c.Create(t.Context(), batch.Job{Name: "job",
				Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
					close(started)
					<-goOn
					saved <- a.SaveCheckpoint(context.Background(), []byte("x"))
					return nil
				})}))
			<-started
			require.NoError(t, c.Delete(t.Context(), "job", how))
			close(goOn)
			require.NoError(t, <-saved)
			require.NoError(t, c.Shutdown(t.Context()))
			for r, err := range store.Load(t.Context()) {
				require.NoError(t, err)
				require.Empty(t, r.Job)
			}
			c, err = batch.New(t.Context(), batch.Options{Store: &store})
			require.NoError(t, err)
			require.NoError(t, c.Shutdown(t.Context()))
		})
	}
}

// A success that does not count leaves its checkpoint to the attempt that does
// the work again.
func TestCheckpointOfAnUncountedSuccessStays(t *testing.T) {
	stops := map[string]func(t *testing.T, c *batch.Controller, store batch.Store) *batch.Controller{
		"shutdown": func(t *testing.T, c *batch.Controller, store batch.Store) *batch.Controller {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			require.NoError(t, c.Shutdown(ctx))
			return newController(t, batch.Options{Store: store})
		},
		"suspension": func(t *testing.T, c *batch.Controller, _ batch.Store) *batch.Controller {
			require.NoError(t, c.Suspend(t.Context(), "job"))
			synctest.Wait()
			require.NoError(t, c.Resume(t.Context(), "job"))
			return c
		},
	}
	for name, stop := range stops {
		for _, mode := range []string{batch.NonIndexed, batch.Indexed} {
			t.Run(fmt.Sprint(name, " ", mode), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var store batchtest.MemoryStore
					c := newController(t, batch.Options{Store: &store})
					var found []string
					job := batch.Job{Name: "job", CompletionMode: mode,
						Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
							found = append(found, string(a.Checkpoint()))
							if len(found) > 1 {
								return nil
							}
							require.NoError(t, a.SaveCheckpoint(context.Background(), []byte("far")))
							<-ctx.Done()
							return nil
						})}
					apply(t, c, job)
					time.Sleep(time.Second)
					c = stop(t, c, &store)
					apply(t, c, job)
					complete(t, c, "job")
					shut(t, c)
					require.Equal(t, []string{"", "far"}, found)
				})
			})
		}
	}
}

// A checkpoint that is saved while its job is deleted does not come back without
// the job, in whichever commits they are: that could not be loaded.
func TestCheckpointsDuringDeletions(t *testing.T) {
	var store batchtest.MemoryStore
	c, err := batch.New(t.Context(), batch.Options{Store: &store})
	require.NoError(t, err)
	saves := batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		for ctx.Err() == nil && a.SaveCheckpoint(context.Background(), []byte("far")) == nil {
		}
		return nil
	})
	const users, jobs = 50, 400
	var all sync.WaitGroup
	for i := range users {
		all.Go(func() {
			for n := range jobs {
				name := fmt.Sprintf("j-%d-%d", i, n)
				if err := c.Create(t.Context(), batch.Job{Name: name, Parallelism: new(4), Completions: new(1000),
					Executor: saves}); err != nil {
					t.Error(err)
				}
				if err := c.Delete(t.Context(), name, batch.DeleteBackground); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.NoError(t, c.Shutdown(t.Context()))
	require.Equal(t, []string{"/clock", "/dirs", "/format"}, recorded(t, &store))
}
