package batch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// eachStore runs a test without a store, and with one.
func eachStore(t *testing.T, test func(t *testing.T, o batch.Options)) {
	t.Run("without a store", func(t *testing.T) { bubble(t, func(t *testing.T) { test(t, batch.Options{}) }) })
	t.Run("with a store", func(t *testing.T) {
		bubble(t, func(t *testing.T) { test(t, batch.Options{Store: new(batchtest.MemoryStore)}) })
	})
}

func TestApplyTwice(t *testing.T) {
	eachStore(t, func(t *testing.T, o batch.Options) {
		c := newController(t, o)
		var starts atomic.Int32
		job := batch.Job{
			Name: "j", Labels: map[string]string{},
			Executor: fn(func(ctx context.Context) error { starts.Add(1); return lasts(ctx, time.Second) }),
		}
		first := apply(t, c, job)
		require.Equal(t, "Running", first.State())
		settle()
		again := apply(t, c, job)
		require.Equal(t, first.UID, again.UID)
		require.EqualValues(t, 1, again.Generation)
		require.Equal(t, 1, complete(t, c, "j").Succeeded)
		over := apply(t, c, job)
		require.Equal(t, first.UID, over.UID)
		require.True(t, over.Is(batch.ConditionComplete))
		require.EqualValues(t, 1, starts.Load())
	})
}

func TestApplyIsRefused(t *testing.T) {
	eachStore(t, func(t *testing.T, o batch.Options) {
		c := newController(t, o)
		good := batch.Job{Name: "j", Suspend: true, Executor: succeed}
		s, err := c.Apply(t.Context(), batch.Job{Name: "j", Parallelism: new(-1)})
		require.EqualError(t, err, `batch: job "j" is invalid: Parallelism: Invalid value: -1: must be greater than or `+
			`equal to 0; `+
			`Executor: Required value: a job needs something to run`)
		require.Zero(t, s)
		_, err = c.Apply(ended(errCause), good)
		require.ErrorIs(t, err, errCause)
		_, err = c.Get("j")
		require.ErrorIs(t, err, batch.ErrNotFound)
		apply(t, c, good)
		require.ErrorIs(t, c.Create(t.Context(), good), batch.ErrExists)
		_, err = c.Apply(ended(errCause), good)
		require.ErrorIs(t, err, errCause)
		shut(t, c)
		_, err = c.Apply(t.Context(), good)
		require.ErrorIs(t, err, batch.ErrShutdown)
		_, err = c.Apply(t.Context(), batch.Job{Name: "new", Executor: succeed})
		require.ErrorIs(t, err, batch.ErrShutdown)
	})
}

// everything is a job with a value in every field.
func everything() batch.Job {
	return batch.Job{
		Name: "j", Labels: map[string]string{"team": "x"}, Annotations: map[string]string{"note": "y"},
		Executor: untilDone, ContainerName: "worker",
		Completions: new(8), Parallelism: new(4), CompletionMode: batch.Indexed, RestartPolicy: batch.RestartNever,
		BackoffLimit: new(5), BackoffLimitPerIndex: new(2), MaxFailedIndexes: new(3),
		Backoff:        batch.ConstantBackoff(time.Second),
		ActiveDeadline: new(time.Hour), AttemptTimeout: new(time.Minute), TerminationGracePeriod: new(time.Second),
		TTLAfterFinished: new(24 * time.Hour), Suspend: true, ReplacementPolicy: batch.ReplaceFailed,
		FailurePolicy: []batch.FailureRule{
			{Action: batch.ActionFailJob, OnExitCodes: &batch.ExitCodes{In: []int{42}}},
			{
				Action:       batch.ActionIgnore,
				OnConditions: []batch.Condition{{Type: batch.ConditionDisruptionTarget, Status: "True"}},
			},
			{Action: batch.ActionCount, OnError: batch.ErrorIs(errCause)}},
		SuccessPolicy: []batch.SuccessRule{{SucceededIndexes: indexes("0-3"), SucceededCount: new(2)}},
		History:       new(10), LogLimit: new(1000),
	}
}

// changes of a declaration, by the field that may not change; none if it may.
var declarations = map[string]struct {
	change func(j *batch.Job)
	field  string
}{
	"labels":             {func(j *batch.Job) { j.Labels["team"] = "z" }, ""},
	"annotations":        {func(j *batch.Job) { j.Annotations = nil }, ""},
	"parallelism":        {func(j *batch.Job) { j.Parallelism = new(2) }, ""},
	"both sizes":         {func(j *batch.Job) { j.Parallelism, j.Completions = new(6), new(6) }, ""},
	"backoff limit":      {func(j *batch.Job) { j.BackoffLimit = nil }, ""},
	"max failed indexes": {func(j *batch.Job) { j.MaxFailedIndexes = nil }, ""},
	"backoff":            {func(j *batch.Job) { j.Backoff = batch.ConstantBackoff(time.Minute) }, ""},
	"deadline":           {func(j *batch.Job) { j.ActiveDeadline = nil }, ""},
	"TTL":                {func(j *batch.Job) { j.TTLAfterFinished = new(time.Minute) }, ""},
	"suspend":            {func(j *batch.Job) { j.Suspend = false }, ""},
	"history":            {func(j *batch.Job) { j.History = new(3) }, ""},
	"log limit":          {func(j *batch.Job) { j.LogLimit = nil }, ""},
	"completions":        {func(j *batch.Job) { j.Completions = new(9) }, "spec.completions"},
	"container":          {func(j *batch.Job) { j.ContainerName = "other" }, "spec.template"},
	"attempt timeout":    {func(j *batch.Job) { j.AttemptTimeout = nil }, "spec.template"},
	"grace period":       {func(j *batch.Job) { j.TerminationGracePeriod = nil }, "spec.template"},
	"limit per index":    {func(j *batch.Job) { j.BackoffLimitPerIndex = new(1) }, "spec.backoffLimitPerIndex"},
	"failure policy":     {func(j *batch.Job) { j.FailurePolicy = nil }, "spec.podFailurePolicy"},
	"a rule's codes":     {func(j *batch.Job) { j.FailurePolicy[0].OnExitCodes.In = []int{43} }, "spec.podFailurePolicy"},
	"a rule without its function": {func(j *batch.Job) {
		j.FailurePolicy[2] = batch.FailureRule{Action: batch.ActionCount, OnExitCodes: &batch.ExitCodes{In: []int{1}}}
	}, "spec.podFailurePolicy"},
	"a rule with a function": {func(j *batch.Job) {
		j.FailurePolicy[0] = batch.FailureRule{Action: batch.ActionFailJob, OnError: batch.ErrorIs(errCause)}
	}, "spec.podFailurePolicy"},
	"success policy": {func(j *batch.Job) { j.SuccessPolicy = nil }, "spec.successPolicy"},
	"managed by":     {func(j *batch.Job) { j.ManagedBy = new("acme.io/foo") }, "spec.managedBy"},
}

// A declaration that has changed is an update, in the same process as in a later
// one.
func TestApplyAChange(t *testing.T) {
	for name, tc := range declarations {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted %v", name, restart), func(t *testing.T) {
				bubble(t, func(t *testing.T) { testApplyAChange(t, tc.change, tc.field, restart) })
			})
		}
	}
}

func testApplyAChange(t *testing.T, change func(j *batch.Job), field string, restart bool) {
	var store disk
	c := newController(t, batch.Options{Store: &store})
	mustCreate(t, c, everything())
	settle()
	before, beforeSpec := get(t, c, "j"), describeSpec(t, c, "j")
	if restart {
		shut(t, c)
		c = newController(t, batch.Options{Store: &store})
	}
	changed := everything()
	change(&changed)
	after, err := c.Apply(t.Context(), changed)
	if field == "" {
		require.NoError(t, err)
		require.Equal(t, before.UID, after.UID)
		settle()
		once := describeSpec(t, c, "j")
		require.JSONEq(t, resolved(t, changed), once)
		generation := get(t, c, "j").Generation
		require.Equal(t, once, describeSpec(t, fresh(t, &store), "j"), "another spec is stored")
		apply(t, c, changed)
		require.Equal(t, generation, get(t, c, "j").Generation)
		require.Equal(t, once, describeSpec(t, c, "j"))
		return
	}
	invalid, ok := errors.AsType[*batch.ValidationError](err)
	require.True(t, ok, "not a ValidationError: %v", err)
	require.Equal(t, "j", invalid.Job)
	require.Len(t, invalid.Fields, 1)
	require.Equal(t, field, invalid.Fields[0].Field)
	require.Equal(t, "Invalid", invalid.Fields[0].Kind)
	require.Equal(t, stored(before), stored(get(t, c, "j")))
	require.Equal(t, beforeSpec, describeSpec(t, c, "j"))
	require.Equal(t, restart, get(t, c, "j").Is(batch.ConditionStalled))
	settle()
	require.Equal(t, beforeSpec, describeSpec(t, fresh(t, &store), "j"))
	apply(t, c, everything())
	require.False(t, get(t, c, "j").Is(batch.ConditionStalled))
	require.Equal(t, stored(before), stored(get(t, c, "j")))
}

// resolved is a job with its defaults, as a controller has it.
func resolved(t *testing.T, job batch.Job) string {
	t.Helper()
	job.Name, job.Executor = "resolved", succeed
	c := newController(t, batch.Options{})
	mustCreate(t, c, job)
	return strings.ReplaceAll(describeSpec(t, c, "resolved"), "resolved", "j")
}

// describeSpec writes down a job's spec, but for its functions.
func describeSpec(t *testing.T, c *batch.Controller, name string) string {
	t.Helper()
	job, err := c.Job(name)
	require.NoError(t, err)
	return specText(t, job)
}

// What was changed by Update stays, unless the declaration changes that, too.
func TestApplyKeepsUpdates(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarted %v", restart), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store disk
				c := newController(t, batch.Options{Store: &store})
				job := batch.Job{
					Name: "j", Completions: new(100), Parallelism: new(1), Labels: map[string]string{"a": "1"}, Executor: untilDone,
				}
				apply(t, c, job)
				require.NoError(t, c.Suspend(t.Context(), "j"))
				require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) {
					j.Parallelism, j.BackoffLimit, j.Labels = new(7), new(0), map[string]string{"a": "2"}
				}))
				again := func() {
					if restart {
						shut(t, c)
						c = newController(t, batch.Options{Store: &store})
					}
				}
				again()
				s := apply(t, c, job)
				require.True(t, s.Suspend)
				require.Equal(t, 7, s.Parallelism)
				require.EqualValues(t, 3, s.Generation)
				again()
				job.Parallelism = new(3)
				s = apply(t, c, job)
				require.True(t, s.Suspend)
				require.Equal(t, 3, s.Parallelism)
				require.EqualValues(t, 4, s.Generation)
				spec, err := c.Job("j")
				require.NoError(t, err)
				require.Equal(t, 0, *spec.BackoffLimit)
				require.Equal(t, map[string]string{"a": "2"}, spec.Labels)
			})
		})
	}
}

// Executors are code: what was declared last counts, in the same process as in
// another one.
func TestApplyAnotherExecutor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c := newController(t, batch.Options{Store: &store})
		ran := make(chan string, 10)
		says := func(what string) batch.Executor {
			return batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				ran <- fmt.Sprintf("%s %d", what, a.Index)
				return lasts(ctx, time.Second)
			})
		}
		job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(4), Executor: says("first")}
		apply(t, c, job)
		require.Equal(t, "first 0", <-ran)
		job.Executor = says("second")
		apply(t, c, job)
		require.Equal(t, "second 1", <-ran)
		shut(t, c)

		c = newController(t, batch.Options{Store: &store})
		job.Executor = says("third")
		apply(t, c, job)
		require.Equal(t, "third 1", <-ran)
		require.EqualValues(t, 1, get(t, c, "j").Generation)
		shut(t, c)
		c = newController(t, batch.Options{Store: &store})
		job.Executor = batch.Command{Args: []string{"true"}}
		require.NoError(t, c.Suspend(t.Context(), "j"))
		apply(t, c, job)
		spec, err := c.Job("j")
		require.NoError(t, err)
		require.Equal(t, batch.Command{Args: []string{"true"}}, spec.Executor)
	})
}

// Two that declare a job at once, while the store takes its time, get the same
// job; so do those who create it, but for all but one of them.
func TestApplyAtOnce(t *testing.T) {
	for name, there := range map[string]bool{"a new job": false, "a stored job": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store disk
				var starts atomic.Int32
				job := batch.Job{
					Name: "j", Executor: fn(func(ctx context.Context) error { starts.Add(1); return lasts(ctx, time.Minute) }),
				}
				c := newController(t, batch.Options{Store: &store})
				if there {
					apply(t, c, job)
					shut(t, c)
					c = newController(t, batch.Options{Store: &store})
					starts.Store(0)
				}
				release := store.hold()
				uids := make(chan string, 10)
				var wg sync.WaitGroup
				for range cap(uids) {
					wg.Go(func() {
						s, err := c.Apply(t.Context(), job)
						uids <- s.UID + fmt.Sprint(err)
					})
				}
				time.Sleep(time.Second)
				require.Empty(t, uids)
				release()
				wg.Wait()
				want := get(t, c, "j").UID + "<nil>"
				for range cap(uids) {
					require.Equal(t, want, <-uids)
				}
				complete(t, c, "j")
				require.EqualValues(t, 1, starts.Load())
			})
		})
	}
}

// One who waits for another's Apply need not do so for ever.
func TestApplyAtOnceEnds(t *testing.T) {
	cases := map[string]struct {
		respond func(apply func() error) error
		check   func(t *testing.T, err error)
	}{
		"with the context": {func(apply func() error) error { time.Sleep(time.Hour); return apply() },
			func(t *testing.T, err error) { require.ErrorIs(t, err, errCause) }},
		"with the store": {func(func() error) error { time.Sleep(time.Second); return errFull }, isStoreError},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store disk
				c := newController(t, batch.Options{Store: &store})
				store.set(tc.respond)
				job := batch.Job{Name: "j", Executor: succeed}
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errCause)
				defer cancel()
				answers := make(chan error, 2)
				go func() { answers <- c.Create(t.Context(), job) }()
				synctest.Wait()
				_, err := c.Apply(ctx, job)
				tc.check(t, err)
				<-answers
				store.set(nil)
				time.Sleep(3 * time.Hour) // nothing is left that hangs
			})
		})
	}
}

// An Apply during a shutdown either happens or says why it does not.
func TestApplyDuringShutdown(t *testing.T) {
	for _, there := range []bool{false, true} {
		t.Run(fmt.Sprintf("stored before %v", there), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store disk
				job := batch.Job{Name: "j", Executor: lasting(time.Minute)}
				c := newController(t, batch.Options{Store: &store})
				if there {
					apply(t, c, job)
					shut(t, c)
					c = newController(t, batch.Options{Store: &store})
				}
				release := store.hold()
				answers, down := make(chan error, 1), make(chan error, 1)
				go func() { _, err := c.Apply(t.Context(), job); answers <- err }()
				synctest.Wait()
				go func() { down <- c.Shutdown(ended(errCause)) }()
				synctest.Wait()
				require.Empty(t, down, "the last changes are not durable")
				release()
				require.NoError(t, <-answers)
				require.NoError(t, <-down)
				_, err := c.Apply(t.Context(), job)
				require.ErrorIs(t, err, batch.ErrShutdown)
				s := get(t, c, "j")
				require.True(t, s.Halted)
				c = newController(t, batch.Options{Store: &store})
				require.Equal(t, s.UID, apply(t, c, job).UID)
				require.Equal(t, 1, complete(t, c, "j").Succeeded)
			})
		})
	}
}

// A finished job keeps its outcome: it is known at once, declared or not, and
// nothing runs again.
func TestFinishedJobStaysFinished(t *testing.T) {
	never := fn(func(context.Context) error { panic("it runs again") })
	noise := fmt.Errorf("line 1\nline 2 <&> \"quoted\" %s", "ü\u2028\x00")
	cases := map[string]batch.Job{
		"complete":          {Executor: succeed, Completions: new(3), Parallelism: new(3)},
		"nothing to do":     {Executor: never, Completions: new(0)},
		"too many failures": {Executor: fails(noise), BackoffLimit: new(2), Backoff: batch.ConstantBackoff(time.Second)},
		"without history":   {Executor: fails(exit(7)), BackoffLimit: new(0), History: new(0)},
		"a short history": {
			Executor: fails(exit(7)), BackoffLimit: new(3), History: new(1), Backoff: batch.ConstantBackoff(0),
		},
		"deadline":           {Executor: untilDone, ActiveDeadline: new(time.Second)},
		"attempt timeout":    {Executor: untilDone, BackoffLimit: new(0), AttemptTimeout: new(time.Second)},
		"permanent":          {Executor: fails(backoff.Permanent(noise))},
		"restarted in place": {Executor: fails(exit(3)), RestartPolicy: batch.RestartOnFailure, BackoffLimit: new(1)},
		"a panic":            {Executor: fn(func(context.Context) error { panic("boom") }), BackoffLimit: new(0)},
		"a rule": {Executor: fails(exit(42)), FailurePolicy: []batch.FailureRule{
			{Action: batch.ActionFailJob, OnExitCodes: &batch.ExitCodes{In: []int{42}}}}},
		"an error's rule": {Executor: fails(errCause), FailurePolicy: []batch.FailureRule{
			{Action: batch.ActionFailJob, OnError: batch.ErrorIs(errCause)}}},
		"failed indexes": {CompletionMode: batch.Indexed, Completions: new(6), Parallelism: new(2),
			BackoffLimitPerIndex: new(0),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				a.SetOutput("wrote " + a.Token()[37:])
				if a.Index%2 > 0 {
					return exit(a.Index)
				}
				return nil
			})},
		"success policy": {CompletionMode: batch.Indexed, Completions: new(6), Parallelism: new(2),
			SuccessPolicy: []batch.SuccessRule{{SucceededCount: new(2)}}, Executor: takes(time.Second)},
	}
	for name, job := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				job.Name = "j"
				var store disk
				c := newController(t, batch.Options{Store: &store})
				apply(t, c, job)
				before, beforeErr := c.Wait(t.Context(), "j")
				attempts := attemptsOf(t, c, "j")
				events, err := c.Events(t.Context(), "j")
				require.NoError(t, err)
				shut(t, c)
				time.Sleep(time.Hour)

				c = newController(t, batch.Options{Store: &store})
				for range 2 {
					s, err := c.Wait(t.Context(), "j")
					require.Equal(t, stored(before), stored(s))
					require.Equal(t, stored(before), stored(get(t, c, "j")))
					require.Equal(t, before.Explain(), s.Explain())
					sameOutcome(t, beforeErr, err)
					after := attemptsOf(t, c, "j")
					require.Equal(t, withoutErrors(attempts), withoutErrors(after))
					again, err := c.Events(t.Context(), "j")
					require.NoError(t, err)
					require.Equal(t, events, again)
					job.Executor = never
					require.Equal(t, stored(before), stored(apply(t, c, job)))
					settle()
				}
			})
		})
	}
}

// sameOutcome compares the errors of a job before and after a restart: of those
// that executors returned, the texts are left.
func sameOutcome(t *testing.T, before, after error) {
	t.Helper()
	if before == nil {
		require.NoError(t, after)
		return
	}
	require.EqualError(t, after, before.Error())
	was, ok := errors.AsType[*batch.JobError](before)
	require.True(t, ok)
	is, ok := errors.AsType[*batch.JobError](after)
	require.True(t, ok)
	require.Equal(t, was.Reason, is.Reason)
	require.Len(t, is.Attempts, len(was.Attempts))
	for i, a := range is.Attempts {
		require.EqualError(t, a, was.Attempts[i].Error())
		require.Equal(t, errors.Is(was.Attempts[i], batch.ErrAttemptTimeout), errors.Is(a, batch.ErrAttemptTimeout))
	}
}

// withoutErrors are attempts but for their errors, whose texts are in Message.
func withoutErrors(list []batch.AttemptStatus) []batch.AttemptStatus {
	for i := range list {
		list[i].Err = nil
	}
	return list
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
