package batch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
	"labels":             {change: func(j *batch.Job) { j.Labels["team"] = "z" }},
	"annotations":        {change: func(j *batch.Job) { j.Annotations = nil }},
	"parallelism":        {change: func(j *batch.Job) { j.Parallelism = new(2) }},
	"both sizes":         {change: func(j *batch.Job) { j.Parallelism, j.Completions = new(6), new(6) }},
	"backoff limit":      {change: func(j *batch.Job) { j.BackoffLimit = nil }},
	"max failed indexes": {change: func(j *batch.Job) { j.MaxFailedIndexes = nil }},
	"backoff":            {change: func(j *batch.Job) { j.Backoff = batch.ConstantBackoff(time.Minute) }},
	"deadline":           {change: func(j *batch.Job) { j.ActiveDeadline = nil }},
	"TTL":                {change: func(j *batch.Job) { j.TTLAfterFinished = new(time.Minute) }},
	"suspend":            {change: func(j *batch.Job) { j.Suspend = false }},
	"history":            {change: func(j *batch.Job) { j.History = new(3) }},
	"log limit":          {change: func(j *batch.Job) { j.LogLimit = nil }},
	"completions":        {change: func(j *batch.Job) { j.Completions = new(9) }, field: "spec.completions"},
	"container":          {change: func(j *batch.Job) { j.ContainerName = "other" }, field: "spec.template"},
	"attempt timeout":    {change: func(j *batch.Job) { j.AttemptTimeout = nil }, field: "spec.template"},
	"grace period":       {change: func(j *batch.Job) { j.TerminationGracePeriod = nil }, field: "spec.template"},
	"limit per index": {
		change: func(j *batch.Job) { j.BackoffLimitPerIndex = new(1) }, field: "spec.backoffLimitPerIndex",
	},
	"failure policy": {change: func(j *batch.Job) { j.FailurePolicy = nil }, field: "spec.podFailurePolicy"},
	"a rule's codes": {
		change: func(j *batch.Job) { j.FailurePolicy[0].OnExitCodes.In = []int{43} }, field: "spec.podFailurePolicy",
	},
	"a rule without its function": {change: func(j *batch.Job) {
		j.FailurePolicy[2] = batch.FailureRule{Action: batch.ActionCount, OnExitCodes: &batch.ExitCodes{In: []int{1}}}
	}, field: "spec.podFailurePolicy"},
	"a rule with a function": {change: func(j *batch.Job) {
		j.FailurePolicy[0] = batch.FailureRule{Action: batch.ActionFailJob, OnError: batch.ErrorIs(errCause)}
	}, field: "spec.podFailurePolicy"},
	"success policy": {change: func(j *batch.Job) { j.SuccessPolicy = nil }, field: "spec.successPolicy"},
	"managed by":     {change: func(j *batch.Job) { j.ManagedBy = new("acme.io/foo") }, field: "spec.managedBy"},
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

// describeSpec writes down a job's spec, except its functions.
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

// TestApplyOfAFinishedJob wants a finished job to be left alone, whatever has changed.
func TestApplyOfAFinishedJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		job := batch.Job{
			Name: "j", CompletionMode: batch.Indexed, Completions: new(3), Parallelism: new(1), Executor: succeed,
		}
		c := newController(t, batch.Options{Store: store})
		_, err := c.Run(t.Context(), job)
		require.NoError(t, err)
		require.NoError(t, c.Shutdown(t.Context()))
		c = newController(t, batch.Options{Store: store})
		before := get(t, c, "j")
		changes := map[string]func(j *batch.Job){
			"a list that has grown": func(j *batch.Job) { j.Completions = new(5) },
			"the template":          func(j *batch.Job) { j.AttemptTimeout = new(time.Minute) },
			"a policy":              func(j *batch.Job) { j.FailurePolicy = []batch.FailureRule{} },
			"the mode":              func(j *batch.Job) { j.CompletionMode = batch.NonIndexed },
			"a limit per index":     func(j *batch.Job) { j.BackoffLimitPerIndex = new(1) },
			"the manager":           func(j *batch.Job) { j.ManagedBy = new("example.com/other") },
		}
		for name, change := range changes {
			changed := job
			changed.Executor = fn(func(context.Context) error { t.Error("it runs again"); return nil })
			change(&changed)
			status, err := c.Apply(t.Context(), changed)
			require.NoError(t, err, name)
			require.Equal(t, "Complete", status.State(), name)
			require.Equal(t, before.Generation, status.Generation, name)
		}
	})
}

// otherDeclarations change one field each.
var otherDeclarations = map[string]func(j *batch.Job){
	"Labels":                 func(j *batch.Job) { j.Labels = map[string]string{"a": "b"} },
	"Annotations":            func(j *batch.Job) { j.Annotations = map[string]string{"a": "b"} },
	"Input":                  func(j *batch.Job) { j.Input = "another" },
	"Completions":            func(j *batch.Job) { j.Completions = new(9) },
	"Parallelism":            func(j *batch.Job) { j.Parallelism = new(9) },
	"CompletionMode":         func(j *batch.Job) { j.CompletionMode = batch.NonIndexed },
	"BackoffLimit":           func(j *batch.Job) { j.BackoffLimit = new(0) },
	"BackoffLimitPerIndex":   func(j *batch.Job) { j.BackoffLimitPerIndex = new(0) },
	"ActiveDeadline":         func(j *batch.Job) { j.ActiveDeadline = new(time.Duration(0)) },
	"AttemptTimeout":         func(j *batch.Job) { j.AttemptTimeout = new(time.Hour) },
	"ProgressDeadline":       func(j *batch.Job) { j.ProgressDeadline = time.Hour },
	"TerminationGracePeriod": func(j *batch.Job) { j.TerminationGracePeriod = new(time.Hour) },
	"Suspend":                func(j *batch.Job) { j.Suspend = true },
	"RestartPolicy":          func(j *batch.Job) { j.RestartPolicy = batch.RestartOnFailure },
	"ReplacementPolicy":      func(j *batch.Job) { j.ReplacementPolicy = batch.ReplaceFailed },
	"SuccessPolicy": func(j *batch.Job) {
		j.SuccessPolicy = []batch.SuccessRule{{SucceededCount: new(1)}}
	},
	"Backoff":       func(j *batch.Job) { j.Backoff = batch.ConstantBackoff(time.Hour) },
	"ContainerName": func(j *batch.Job) { j.ContainerName = "other" },
	"ManagedBy":     func(j *batch.Job) { j.ManagedBy = new("example.com/other") },
	"After":         func(j *batch.Job) { j.After = []string{"other"} },
	"Priority":      func(j *batch.Job) { j.Priority = 7 },
	"History":       func(j *batch.Job) { j.History = new(0) },
	"LogLimit":      func(j *batch.Job) { j.LogLimit = new(7) },
	"ResultLimit":   func(j *batch.Job) { j.ResultLimit = new(7) },
}

// TestApplyOfAFinishedJobChangesNothing changes one field after the other of the job that
// is declared.
func TestApplyOfAFinishedJobChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(3), Executor: succeed}
		c := newController(t, batch.Options{Store: store})
		apply(t, c, job)
		complete(t, c, "j")
		before, err := c.Job("j")
		require.NoError(t, err)
		shut(t, c)
		c = newController(t, batch.Options{Store: store})
		want := get(t, c, "j")
		for name, change := range otherDeclarations {
			changed := job
			change(&changed)
			got, err := c.Apply(t.Context(), changed)
			require.NoError(t, err, name)
			require.Equal(t, stored(want), stored(got), name)
			after, err := c.Job("j")
			require.NoError(t, err)
			require.Equal(t, specText(t, before), specText(t, after), name)
		}
	})
}
