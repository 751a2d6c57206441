package batch_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// TestWrap wants every attempt to run inside of what Wrap returns, however it was declared
// its job and how, and jobs to show the executors that they were given.
func TestWrap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls []string
		wrap := func(next batch.Executor) batch.Executor {
			return batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				inside, ok := batch.AttemptFrom(ctx)
				require.True(t, ok)
				require.Equal(t, a.UID(), inside.UID())
				calls = append(calls, "around "+a.Job)
				return next.Execute(ctx, a)
			})
		}
		work := func(name string) batch.Executor {
			return batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
				calls = append(calls, name)
				return nil
			})
		}
		store := new(batchtest.MemoryStore)
		start := func() *batch.Controller {
			return newController(t, batch.Options{Store: store, Wrap: wrap})
		}
		c := start()
		require.NoError(t, c.Create(t.Context(), batch.Job{Name: "a", Executor: work("created")}))
		complete(t, c, "a")
		suspended := batch.Job{Name: "b", Suspend: true, Executor: &batch.Command{Args: []string{"none"}}}
		apply(t, c, suspended)
		shown, err := c.Job("b")
		require.NoError(t, err)
		require.Equal(t, suspended.Executor, shown.Executor)
		shut(t, c)

		c = start()
		require.NoError(t, c.Update(t.Context(), "b", func(j *batch.Job) { j.Executor, j.Suspend = work("updated"), false }))
		complete(t, c, "b")
		require.Equal(t, []string{"around a", "created", "around b", "updated"}, calls)
	})
}

// TestWrapOfHostileExecutors wants a panic handler to work, what is Pending to be so, and
// the executor itself where Wrap returns nil.
func TestWrapOfHostileExecutors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rescue := func(next batch.Executor) batch.Executor {
			if _, ok := next.(batch.Command); ok {
				return nil
			}
			return batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) (err error) {
				defer func() {
					if v := recover(); v != nil {
						err = fmt.Errorf("rescued: %v", v)
					}
				}()
				return next.Execute(ctx, a)
			})
		}
		c := newController(t, batch.Options{Wrap: rescue})
		_, err := c.Run(t.Context(), batch.Job{Name: "a", BackoffLimit: new(0),
			Executor: fn(func(context.Context) error { panic("disk") })})
		require.ErrorContains(t, err, "rescued: disk")
		apply(t, c, batch.Job{Name: "pending", Executor: distant{}})
		settle()
		require.Equal(t, 1, get(t, c, "pending").Pending)
		_, err = c.Run(t.Context(), batch.Job{
			Name: "c", BackoffLimit: new(0), Executor: batch.Command{Args: []string{"/none"}},
		})
		require.Equal(t, 127, failed(t, err, batch.ReasonBackoffLimitExceeded).Attempts[0].ExitCode)
	})
}

// A distant executor takes a minute, and never says that it has started.
type distant struct{}

func (distant) HoldsPending() bool { return true }

func (distant) Execute(ctx context.Context, _ batch.Attempt) error {
	return sleepUnlessDone(ctx, time.Minute)
}
