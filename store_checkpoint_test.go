package batch_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

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
// the job, in whichever commits they are: nobody could load that.
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
