package batch_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// TestWatcherThatIsFarBehind wants every removal to be told, however many there are.
func TestWatcherThatIsFarBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "first", Suspend: true, Executor: succeed})
		const n = 3000
		removed := make(map[string]bool)
		for change, err := range c.Watch(t.Context(), 0) {
			require.NoError(t, err)
			if change.Status.Name == "first" && change.Added {
				for i := range n {
					_, err := c.Run(t.Context(), batch.Job{Name: fmt.Sprint("j", i), Executor: succeed})
					require.NoError(t, err)
					require.NoError(t, c.Delete(t.Context(), fmt.Sprint("j", i), batch.DeleteBackground))
				}
			}
			if change.Deleted {
				removed[change.Status.Name] = true
			}
			if len(removed) == n {
				return
			}
		}
	})
}

// kindOf is what Kubernetes calls a change.
func kindOf(change batch.Change) string {
	switch {
	case change.Added:
		return "ADDED"
	case change.Deleted:
		return "DELETED"
	}
	return "MODIFIED"
}

func TestWatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "a", Suspend: true, Executor: takes(time.Second)})
		since := get(t, c, "a").Revision
		require.NoError(t, c.Resume(t.Context(), "a")) // between Get and Watch
		var seen []string
		last := since
		for change, err := range c.Watch(t.Context(), since) {
			require.NoError(t, err)
			require.Greater(t, change.Status.Revision, last)
			last = change.Status.Revision
			seen = append(seen, fmt.Sprintf("%s %s %s", kindOf(change), change.Status.Name, change.Status.State()))
			switch len(seen) {
			case 2:
				mustCreate(t, c, batch.Job{Name: "b", Suspend: true, Executor: succeed})
			case 3:
				require.NoError(t, c.Delete(t.Context(), "b", batch.DeleteBackground))
				require.NoError(t, c.Delete(t.Context(), "a", batch.DeleteBackground))
			}
			if len(seen) == 5 {
				break
			}
		}
		require.Equal(
			t,
			[]string{
				"MODIFIED a Running", "MODIFIED a Complete", "ADDED b Suspended", "DELETED b Terminating", "DELETED a Complete",
			},
			seen,
		)
	})
}

func TestWatchEnds(t *testing.T) {
	for range 10 { // which of several reasons comes first is not up to chance
		bubble(t, func(t *testing.T) {
			c := newController(t, batch.Options{})
			mustCreate(t, c, batch.Job{Name: "a", Executor: succeed})
			_, err := c.Wait(t.Context(), "a")
			require.NoError(t, err)
			watch := func(ctx context.Context, since uint64) (n int, err error) {
				for change, e := range c.Watch(ctx, since) {
					if err = e; err == nil {
						require.NotZero(t, change.Status.Revision)
						n++
					}
				}
				return n, err
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errCause)
			defer cancel()
			n, err := watch(ctx, 0)
			require.Equal(t, 1, n)
			require.ErrorIs(t, err, errCause)
			go func() {
				time.Sleep(time.Hour)
				c.Shutdown(context.Background())
			}()
			_, err = watch(t.Context(), get(t, c, "a").Revision) // the shutdown may be a change
			require.ErrorIs(t, err, batch.ErrShutdown)
			n, err = watch(t.Context(), 0)
			require.Equal(t, 1, n, "jobs can still be read")
			require.ErrorIs(t, err, batch.ErrShutdown)
		})
	}
}

func TestWatchTooOld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "first", Suspend: true, Executor: succeed})
		since := get(t, c, "first").Revision
		for range 1100 {
			mustCreate(t, c, batch.Job{Name: "j", Suspend: true, Executor: succeed})
			get(t, c, "j")
			require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteBackground))
		}
		n := 0
		for _, err := range c.Watch(t.Context(), since) {
			n++
			require.ErrorIs(t, err, batch.ErrTooOld)
		}
		require.Equal(t, 1, n)
		for change, err := range c.Watch(t.Context(), 0) {
			require.NoError(t, err)
			require.True(t, change.Added)
			require.Equal(t, "first", change.Status.Name)
			break
		}
	})
}

// Watchers that come, go and resume anywhere learn how every job ended.
func TestManyWatchers(t *testing.T) {
	c := newController(t, batch.Options{Logger: slog.New(slog.DiscardHandler)})
	const jobs, watchers = 100, 8
	mustCreate(t, c, batch.Job{Name: "first", Suspend: true, Executor: succeed})
	since := get(t, c, "first").Revision
	var wg sync.WaitGroup
	for range watchers {
		wg.Go(func() {
			final := map[string]batch.Status{}
			last := since
			for len(final) < jobs {
				n := 0
				for change, err := range c.Watch(t.Context(), last) {
					if err != nil || change.Status.Revision <= last {
						t.Errorf("revision %d after %d: %v", change.Status.Revision, last, err)
						return
					}
					last = change.Status.Revision
					if change.Deleted {
						final[change.Status.Name] = change.Status
					}
					if n++; n%7 == 0 || len(final) == jobs {
						break // and resume
					}
				}
			}
			for name, s := range final {
				if s.Succeeded != 20 || !s.Is(batch.ConditionComplete) {
					t.Errorf("%s: %v", name, s)
				}
			}
		})
	}
	for i := range jobs {
		wg.Go(func() {
			name := fmt.Sprint("j", i)
			if err := c.Create(t.Context(), batch.Job{Name: name, Completions: new(20), Parallelism: new(2),
				Executor: succeed}); err != nil {
				t.Error(err)
			}
			if _, err := c.Wait(t.Context(), name); err != nil {
				t.Error(err)
			}
			if err := c.Delete(t.Context(), name, batch.DeleteBackground); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// Who watches a fast job is told when it goes on, although attempts that take no
// time are counted apart from it.
func TestFastJobIsWatched(t *testing.T) {
	for _, mode := range []string{batch.NonIndexed, batch.Indexed} {
		t.Run(string(mode), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				const n, first, second = 1000, 500, 501
				watched, goOn := make(chan struct{}), make(chan struct{})
				calls := 0
				mustCreate(t, c, batch.Job{Name: "job", CompletionMode: mode, Completions: new(n),
					Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
						switch calls++; calls {
						case first:
							<-watched
						case second:
							<-goOn
						}
						return nil
					})})
				synctest.Wait()
				var seen []int
				for change, err := range c.Watch(t.Context(), 0) {
					require.NoError(t, err)
					seen = append(seen, change.Status.Succeeded)
					if len(seen) == 2 {
						break
					}
					close(watched)
				}
				require.Equal(t, []int{first - 1, second - 1}, seen)
				close(goOn)
				status, err := c.Wait(t.Context(), "job")
				require.NoError(t, err)
				require.Equal(t, n, status.Succeeded)
			})
		})
	}
}

// TestWhatIsSeenToGoIsNotFound wants a job that a watcher has seen go not to be found any
// more.
func TestWhatIsSeenToGoIsNotFound(t *testing.T) {
	c := newController(t, batch.Options{})
	const jobs = 2000
	creating := make(chan struct{})
	go func() {
		defer close(creating)
		for i := range jobs {
			job := batch.Job{Name: fmt.Sprint("j", i), TTLAfterFinished: new(time.Duration(0)), Executor: succeed}
			if err := c.Create(t.Context(), job); err != nil {
				t.Error(err)
			}
		}
	}()
	gone := 0
	for change, err := range c.Watch(t.Context(), 0) {
		require.NoError(t, err)
		if !change.Deleted {
			continue
		}
		_, err := c.Get(change.Status.Name)
		require.ErrorIs(t, err, batch.ErrNotFound)
		if gone++; gone == jobs {
			break
		}
	}
	<-creating
}
