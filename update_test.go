package batch_test

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

func TestUpdate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", Completions: new(3), Suspend: true, Executor: succeed})
		require.EqualValues(t, 1, get(t, c, "j").Generation)
		err := c.Update(t.Context(), "j", func(j *batch.Job) { j.Name, j.Completions, j.Parallelism = "k", new(4), new(-1) })
		invalid, ok := errors.AsType[*batch.ValidationError](err)
		require.True(t, ok)
		require.Equal(t, "j", invalid.Job)
		require.Len(t, invalid.Fields, 3)
		require.EqualValues(t, 1, get(t, c, "j").Generation, "nothing has changed")

		calls := 0
		require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) {
			if calls++; calls == 1 {
				require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.BackoffLimit = new(17) }))
			}
			require.Equal(t, 3, *j.Completions)
			j.Parallelism = new(*j.BackoffLimit)
		}))
		require.Equal(t, 2, calls, "the job was updated meanwhile")
		job, err := c.Job("j")
		require.NoError(t, err)
		require.Equal(t, 17, *job.Parallelism, "and the change saw that")
		require.EqualValues(t, 3, get(t, c, "j").Generation)

		require.ErrorIs(t, c.Update(t.Context(), "j", func(*batch.Job) {
			require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteBackground))
		}), batch.ErrNotFound, "deleted meanwhile")
		require.Panics(t, func() {
			mustCreate(t, c, batch.Job{Name: "j", Suspend: true, Executor: succeed})
			c.Update(t.Context(), "j", func(*batch.Job) { panic("gotcha") })
		})
		require.NoError(t, c.Suspend(t.Context(), "j"), "a panic leaves nothing locked")
	})
}

// An update must not reach a new job of the same name unseen (R116).
func TestUpdateOfARecreatedJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", Suspend: true, BackoffLimit: new(1), Executor: succeed})
		var seen []int
		require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) {
			if seen = append(seen, *j.BackoffLimit); len(seen) == 1 {
				require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteBackground))
				mustCreate(t, c, batch.Job{Name: "j", Suspend: true, BackoffLimit: new(2), Executor: succeed})
			}
			j.BackoffLimit = new(*j.BackoffLimit + 10)
		}))
		require.Equal(t, []int{1, 2}, seen)
		job, err := c.Job("j")
		require.NoError(t, err)
		require.Equal(t, 12, *job.BackoffLimit)
	})
}

// A change that changes nothing is none (R112).
func TestUpdateOfNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", Suspend: true, Executor: succeed})
		require.NoError(t, c.Suspend(t.Context(), "j"))
		require.NoError(t, c.Update(t.Context(), "j", func(*batch.Job) {}))
		require.EqualValues(t, 1, get(t, c, "j").Generation)
	})
}

// Executors of any type may stay, and be replaced: they are not compared.
func TestUpdateWithStrangeExecutors(t *testing.T) {
	executors := map[string]batch.Executor{
		"a function":            fn(func(context.Context) error { return nil }),
		"an uncomparable value": uncomparableExecutor{[]int{1}, map[string]int{"a": 1}, func() {}},
		"a nil pointer":         (*pointerExecutor)(nil),
		"a pointer":             &pointerExecutor{},
		"a command":             batch.Command{Args: []string{"true"}},
	}
	for name, executor := range executors {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				mustCreate(t, c, batch.Job{Name: "j", BackoffLimit: new(0), Suspend: true, Executor: executor})
				require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Parallelism = new(3) }))
				if name != "a command" { // real programs and virtual time do not mix
					require.NoError(t, c.Resume(t.Context(), "j"))
					synctest.Wait()
				}
				require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Executor = succeed }))
				if name == "a command" {
					require.NoError(t, c.Resume(t.Context(), "j"))
				}
				_, err := c.Wait(t.Context(), "j")
				require.Equal(t, name == "a nil pointer", err != nil, "%v", err)
			})
		})
	}
}

type uncomparableExecutor struct {
	list []int
	m    map[string]int
	f    func()
}

func (e uncomparableExecutor) Execute(context.Context, batch.Attempt) error { e.f(); return nil }

type pointerExecutor struct{ n int }

func (e *pointerExecutor) Execute(context.Context, batch.Attempt) error { e.n++; return nil }

func TestElasticJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		var runs [6]int
		var mu sync.Mutex
		mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(4), Parallelism: new(4),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				mu.Lock()
				runs[a.Index]++
				mu.Unlock()
				if a.Index%2 == 1 {
					return nil
				}
				if err := sleep(ctx, time.Hour); err != exit(3) {
					return err
				}
				return nil
			})})
		resize := func(n int) batch.Status {
			t.Helper()
			time.Sleep(time.Minute)
			require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Completions, j.Parallelism = new(n), new(n) }))
			settle()
			return get(t, c, "j")
		}
		s := resize(3)
		require.Equal(t, "1", s.CompletedIndexes.String())
		require.Equal(t, 2, s.Active)
		s = resize(1)
		require.Empty(t, s.CompletedIndexes.String(), "R152")
		require.Equal(t, 1, s.Active)
		require.Zero(t, s.Succeeded+s.Failed)
		s = resize(6)
		require.Equal(t, "1,3,5", s.CompletedIndexes.String())
		require.Equal(t, 3, s.Active)
		_, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, [6]int{1, 2, 2, 2, 1, 1}, runs, "R153")
	})
}

// TestChangedBackoffRaisesTheGeneration wants an update of a back-off that is a value
// to be a change of the spec, and one of a function not to be.
func TestChangedBackoffRaisesTheGeneration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", Suspend: true, Executor: succeed})
		steps := []struct {
			b    batch.Backoff
			want int64
		}{
			{b: batch.ConstantBackoff(time.Second), want: 2},
			{b: batch.ConstantBackoff(time.Second), want: 2},
			{b: batch.ConstantBackoff(time.Minute), want: 3},
			{b: batch.ExponentialBackoff(time.Second, time.Minute, 0), want: 4},
			{b: batch.ExponentialBackoff(time.Second, time.Minute, 0), want: 4},
			{b: batch.ExponentialBackoff(time.Second, time.Hour, 0), want: 5},
			{want: 6},
		}
		for _, step := range steps {
			require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Backoff = step.b }))
			require.Equal(t, step.want, get(t, c, "j").Generation)
		}
		require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.RestartBackoff = batch.ConstantBackoff(1) }))
		require.Equal(t, int64(7), get(t, c, "j").Generation)
	})
}

func TestDeadlineFollowsAnUpdate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		start := time.Now()
		look, deadlines := make(chan struct{}), make(chan time.Time)
		mustCreate(t, c, batch.Job{Name: "j", ActiveDeadline: new(time.Minute), Executor: fn(func(ctx context.Context) error {
			for range look {
				deadline, _ := ctx.Deadline()
				deadlines <- deadline
			}
			return nil
		})})
		look <- struct{}{}
		require.WithinDuration(t, start.Add(time.Minute), <-deadlines, time.Millisecond)
		require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.ActiveDeadline = new(time.Hour) }))
		look <- struct{}{}
		require.WithinDuration(t, start.Add(time.Hour), <-deadlines, time.Millisecond)
		close(look)
	})
}

// A job whose declaration was made at run time is declared by Update.
func TestUpdateDeclares(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c := newController(t, batch.Options{Store: &store})
		rules := func(match func(error) bool) []batch.FailureRule {
			return []batch.FailureRule{{Action: batch.ActionFailJob, OnError: match}}
		}
		matches := func(error) bool { return true }
		apply(t, c, batch.Job{
			Name: "j", Completions: new(3), Backoff: slowly, RestartBackoff: batch.ConstantBackoff(time.Hour),
			FailurePolicy: rules(matches), Executor: untilDone,
		})
		apply(t, c, batch.Job{Name: "over", Executor: succeed})
		complete(t, c, "over")
		shut(t, c)
		c = newController(t, batch.Options{Store: &store})
		update := func(change func(*batch.Job)) error { return c.Update(t.Context(), "j", change) }

		require.NoError(t, update(func(j *batch.Job) {
			require.Nil(t, j.Executor)
			require.Nil(t, j.Backoff)
			require.Nil(t, j.FailurePolicy[0].OnError)
			j.Parallelism = new(2)
		}))
		require.True(t, get(t, c, "j").Is(batch.ConditionStalled), "nobody has set an executor")
		err := update(func(j *batch.Job) { j.Executor, j.Backoff = succeed, slowly })
		invalid, ok := errors.AsType[*batch.ValidationError](err)
		require.True(t, ok, "%v", err)
		require.Equal(
			t, "spec.podFailurePolicy.rules[0]", invalid.Fields[0].Field, "the rule matches errors, and has no function",
		)
		require.True(t, get(t, c, "j").Is(batch.ConditionStalled))
		require.NoError(t, update(func(j *batch.Job) {
			j.Executor, j.Backoff, j.FailurePolicy = succeed, slowly, rules(matches)
			require.Equal(t, time.Hour, j.RestartBackoff.BackOff().NextBackOff(), "a constant one is known")
		}))
		require.Equal(t, 3, complete(t, c, "j").Succeeded)
		require.NoError(t, c.Update(t.Context(), "over", func(j *batch.Job) { j.Executor = untilDone }))
		require.True(t, get(t, c, "over").Is(batch.ConditionComplete))
		shut(t, c)
		c = newController(t, batch.Options{Store: &store})
		require.Equal(t, 2, get(t, c, "j").Parallelism)
	})
}

// A declaration by Update does not undo what happens meanwhile.
func TestUpdateDeclaresAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c := newController(t, batch.Options{Store: &store})
		apply(t, c, batch.Job{Name: "j", Completions: new(3), Executor: untilDone})
		shut(t, c)
		c = newController(t, batch.Options{Store: &store})
		calls := 0
		require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) {
			if calls++; calls == 1 {
				require.NoError(t, c.Suspend(t.Context(), "j"))
			}
			j.Executor = succeed
		}))
		require.Equal(t, 2, calls)
		require.True(t, get(t, c, "j").Suspend)
		require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteBackground))
		err := c.Update(t.Context(), "j", func(j *batch.Job) { j.Executor = succeed })
		require.ErrorIs(t, err, batch.ErrNotFound)
	})
}

// TestSameJobWrittenTwice declares a job whose functions are written in two places.
func TestSameJobWrittenTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		one := batch.Job{Name: "j", Suspend: true, Executor: fn(func(context.Context) error { return fs.ErrExist }),
			Backoff:       batch.BackoffFunc(func() backoff.BackOff { return &backoff.StopBackOff{} }),
			LimitKey:      func(int) string { return "one" },
			FailurePolicy: []batch.FailureRule{{Action: batch.ActionIgnore, OnError: batch.ErrorAs[*fs.PathError]()}}}
		other := one
		other.Executor = fn(func(context.Context) error { return errDisk })
		other.Backoff = batch.BackoffFunc(func() backoff.BackOff { return &backoff.ZeroBackOff{} })
		other.LimitKey = func(int) string { return "other" }
		other.FailurePolicy = []batch.FailureRule{{Action: batch.ActionIgnore, OnError: func(err error) bool {
			return errors.Is(err, errDisk)
		}}}
		for range 2 {
			c := newController(t, batch.Options{Store: store})
			for _, job := range []batch.Job{one, other, one, other} {
				require.Equal(t, int64(1), apply(t, c, job).Generation)
				declared, err := c.Job("j")
				require.NoError(t, err)
				require.Equal(t, job.FailurePolicy[0].OnError(errDisk), declared.FailurePolicy[0].OnError(errDisk))
				require.Equal(t, job.LimitKey(0), declared.LimitKey(0))
			}
			shut(t, c)
		}
	})
}

// TestFunctionsAreNotCompared wants the function that was handed in last to count, and
// the same job written twice to be the same.
func TestFunctionsAreNotCompared(t *testing.T) {
	errA, errB := errors.New("a"), errors.New("b")
	job := func(target error) batch.Job {
		return batch.Job{Name: "j", Suspend: true, BackoffLimit: new(3), Executor: fails(errB),
			Backoff:       batch.BackoffFunc(func() backoff.BackOff { return &backoff.ZeroBackOff{} }),
			FailurePolicy: []batch.FailureRule{{Action: batch.ActionFailJob, OnError: batch.ErrorIs(target)}}}
	}
	ways := map[string]func(c *batch.Controller) error{
		"Apply": func(c *batch.Controller) error {
			_, err := c.Apply(t.Context(), job(errB))
			return err
		},
		"Update": func(c *batch.Controller) error {
			return c.Update(t.Context(), "j", func(j *batch.Job) { j.FailurePolicy[0].OnError = batch.ErrorIs(errB) })
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				mustCreate(t, c, job(errA))
				require.NoError(t, way(c))
				require.Equal(t, int64(1), get(t, c, "j").Generation)
				declared, err := c.Job("j")
				require.NoError(t, err)
				require.True(t, declared.FailurePolicy[0].OnError(errB))
				require.NoError(t, c.Resume(t.Context(), "j"))
				status, err := c.Wait(t.Context(), "j")
				failed(t, err, batch.ReasonPodFailurePolicy)
				require.Equal(t, 1, status.Failed)
			})
		})
	}
}
