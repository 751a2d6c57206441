package batch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// after is a job that starts after others.
func after(name string, executor batch.Executor, others ...string) batch.Job {
	return batch.Job{Name: name, Executor: executor, After: others, BackoffLimit: new(0)}
}

func TestAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		start := time.Now()
		last := after("last", lasting(time.Minute), "left", "right")
		last.ActiveDeadline = new(90 * time.Second)
		mustCreate(t, c, last) // before those that it waits for
		mustCreate(t, c, after("first", lasting(time.Minute)))
		mustCreate(t, c, after("left", lasting(time.Minute), "first"))
		mustCreate(t, c, after("right", lasting(2*time.Minute), "first"))
		time.Sleep(2*time.Minute + time.Second)

		s := get(t, c, "last")
		require.Equal(t, "job right", s.WaitsFor)
		require.Equal(t, "not started: waits until these are complete: job right", s.Explain())
		require.Zero(t, s.StartTime)
		require.Zero(t, s.Active)
		events, err := c.Events(t.Context(), "last")
		require.NoError(t, err)
		require.Equal(t, []batch.Event{{Type: "Normal", Reason: "Waiting", At: start,
			Message: "Waits until these jobs are complete: left, right"}}, events)
		require.Empty(t, attemptsOf(t, c, "last"))
		check(t, c, "last")

		s = complete(t, c, "last")
		require.Equal(t, 3*time.Minute, s.StartTime.Sub(start), "with the last of those before it")
		require.Equal(t, 4*time.Minute, time.Since(start))
		require.Empty(t, s.WaitsFor)
		check(t, c, "last")
	})
}

func TestAfterWhatIsComplete(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, after("first", succeed))
		complete(t, c, "first")
		time.Sleep(time.Hour)
		mustCreate(t, c, after("last", succeed, "first"))
		complete(t, c, "last")
	})
}

func TestAfterWhileSuspended(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		last := after("last", succeed, "first")
		last.Suspend = true
		mustCreate(t, c, last)
		require.NoError(t, c.Resume(t.Context(), "last"))
		require.Equal(t, "not started: waits until these are complete: job first, which does not exist",
			get(t, c, "last").Explain())
		require.NoError(t, c.Suspend(t.Context(), "last"))
		mustCreate(t, c, after("first", succeed))
		complete(t, c, "first")
		settle()
		s := get(t, c, "last")
		require.True(t, s.Is(batch.ConditionSuspended))
		require.Zero(t, s.StartTime)
		require.NoError(t, c.Resume(t.Context(), "last"))
		complete(t, c, "last")
	})
}

func TestDependencyFails(t *testing.T) {
	broken := fn(func(context.Context) error { return errors.New("no") })
	cases := map[string]struct {
		first     batch.Executor
		inAdvance bool // first has ended before last is created
		end       func(t *testing.T, c *batch.Controller)
		message   string
	}{
		"it fails":            {first: broken, message: "has failed"},
		"it has failed":       {first: broken, inAdvance: true, message: "has failed"},
		"it is deleted":       {first: untilDone, end: deleteFirst, message: "was deleted"},
		"it is cancelled":     {first: untilDone, end: cancelFirst, message: "has failed"},
		"it waits in turn":    {first: nil, end: deleteFirst, message: "was deleted"},
		"its deadline passes": {first: lasting(time.Hour), message: "has failed"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				first := after("first", tc.first)
				first.ActiveDeadline = new(time.Minute)
				if tc.first == nil {
					first.Executor, first.After = succeed, []string{"nobody"}
				}
				mustCreate(t, c, first)
				if tc.inAdvance {
					settle()
				}
				mustCreate(t, c, after("last", succeed, "nobody-either", "first"))
				mustCreate(t, c, after("after-last", succeed, "last"))
				if tc.end != nil {
					tc.end(t, c)
				}
				s, err := c.Wait(t.Context(), "last")
				require.Equal(t, "Job first, after which this one was to start, "+tc.message,
					failed(t, err, batch.ReasonDependencyFailed).Message)
				require.Zero(t, s.Failed)
				require.Empty(t, s.WaitsFor)
				require.Contains(t, s.Explain(), "the job first, after which this one was to start, "+tc.message)
				require.Empty(t, attemptsOf(t, c, "last"))
				_, err = c.Wait(t.Context(), "after-last")
				failed(t, err, batch.ReasonDependencyFailed)
				check(t, c, "last")
			})
		})
	}
}

func deleteFirst(t *testing.T, c *batch.Controller) {
	settle()
	require.NoError(t, c.Delete(t.Context(), "first", batch.DeleteBackground))
}

func cancelFirst(t *testing.T, c *batch.Controller) {
	require.NoError(t, c.Cancel(t.Context(), "first", errors.New("not needed")))
}

// What was seen complete stays seen, also when it is gone and another job has its name.
func TestAfterRemoved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		first := after("first", succeed)
		first.TTLAfterFinished = new(time.Duration(0))
		mustCreate(t, c, after("last", succeed, "first", "second"))
		mustCreate(t, c, first)
		settle()
		_, err := c.Get("first")
		require.ErrorIs(t, err, batch.ErrNotFound)
		mustCreate(t, c, after("first", fn(func(context.Context) error { return errors.New("no") })))
		settle()
		require.Equal(t, "job second, which does not exist", get(t, c, "last").WaitsFor)
		mustCreate(t, c, after("second", succeed))
		complete(t, c, "last")
	})
}

func TestAfterCycle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		refused := func(job batch.Job, want ...batch.FieldError) {
			t.Helper()
			invalid, ok := errors.AsType[*batch.ValidationError](c.Create(t.Context(), job))
			require.True(t, ok)
			require.Equal(t, want, invalid.Fields)
		}
		mustCreate(t, c, after("a", succeed, "x", "b"))
		mustCreate(t, c, after("b", succeed, "c"))
		refused(after("c", succeed, "d", "a"), batch.FieldError{Field: "spec.after", Kind: "Invalid", Value: "a",
			Detail: "jobs would wait for each other: c after a after b after c"})
		refused(after("d", succeed, "d"), batch.FieldError{Field: "spec.after[0]", Kind: "Invalid", Value: "d",
			Detail: "a job cannot start after itself"})
		refused(after("d", succeed, "e", "e"), batch.FieldError{Field: "spec.after[1]", Kind: "Duplicate", Value: "e"})
		for _, name := range []string{"c", "x"} { // a name that was refused is free
			mustCreate(t, c, after(name, succeed))
		}
		complete(t, c, "a")
		require.NoError(t, c.Delete(t.Context(), "b", batch.DeleteBackground))
		mustCreate(t, c, after("b", succeed, "a")) // what has started waits for no other job
		complete(t, c, "b")
	})
}

// Another run of a job waits for no other job, also after a restart; a job that waits for it waits for
// that run.
func TestAfterAndAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c := newController(t, batch.Options{Store: &store})
		apply(t, c, after("first", fn(func(context.Context) error { return errors.New("no") })))
		last := after("last", lasting(time.Minute), "first")
		apply(t, c, last)
		_, err := c.Wait(t.Context(), "last")
		failed(t, err, batch.ReasonDependencyFailed)
		_, err = c.Again(t.Context(), "last", false)
		require.NoError(t, err)
		apply(t, c, after("next", succeed, "last"))
		settle()
		require.Equal(t, "job last", get(t, c, "next").WaitsFor)
		require.Equal(t, 1, get(t, c, "last").Active)

		left := crash(t, c, &store)
		c = newController(t, batch.Options{Store: left})
		apply(t, c, last)
		apply(t, c, after("next", succeed, "last"))
		complete(t, c, "next")
		require.True(t, get(t, c, "last").Is(batch.ConditionComplete))
	})
}

func TestAfterIsImmutable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, after("last", succeed, "first"))
		_, err := c.Apply(t.Context(), after("last", succeed, "second"))
		invalid, ok := errors.AsType[*batch.ValidationError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, "spec.after", invalid.Fields[0].Field)
		_, err = batch.Run(t.Context(), after("last", succeed, "first"))
		invalid, ok = errors.AsType[*batch.ValidationError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, "Forbidden", invalid.Fields[0].Kind)
	})
}

// afterProcess runs two jobs, one after the other, and returns what it has committed.
func afterProcess(t *testing.T, first batch.Job, end func(*testing.T, *batch.Controller)) [][]batch.Record {
	var store disk
	c := newController(t, batch.Options{Store: &store})
	apply(t, c, after("last", succeed, "first"))
	apply(t, c, first)
	if end != nil {
		end(t, c)
	}
	_, _ = c.Wait(t.Context(), "last") // the outcome is that of each case
	shut(t, c)
	return store.commits
}

// The process is killed after each commit. The next one comes to the same end.
func TestAfterOverRestarts(t *testing.T) {
	broken := fn(func(context.Context) error { return errors.New("no") })
	cases := map[string]struct {
		first  batch.Executor
		end    func(*testing.T, *batch.Controller)
		fails  bool // also if it is run again
		isOver bool // it is not run again
	}{
		"it is complete": {first: lasting(time.Second)},
		"it fails":       {first: broken, fails: true},
		"it is deleted":  {first: untilDone, end: deleteFirst, isOver: true},
	}
	for name, tc := range cases {
		for _, ttl := range []*time.Duration{nil, new(time.Duration(0))} {
			t.Run(name+map[bool]string{true: " and gone"}[ttl != nil], func(t *testing.T) {
				first := after("first", tc.first)
				first.TTLAfterFinished = ttl
				var commits [][]batch.Record
				bubble(t, func(t *testing.T) { commits = afterProcess(t, first, tc.end) })
				for n := range commits {
					bubble(t, func(t *testing.T) {
						var store disk
						restore(t, &store.memory, commits[:n])
						c := newController(t, batch.Options{Store: &store})
						if _, err := c.Get("last"); err != nil {
							return // it was not created yet
						}
						goOnAfter(t, c, first, tc.fails, tc.isOver, jobsIn(commits[:n]) == 1)
					})
				}
			})
		}
	}
}

// jobsIn counts the jobs that were ever stored.
func jobsIn(commits [][]batch.Record) int {
	uids := make(map[string]bool)
	for _, r := range slices.Concat(commits...) {
		if r.Job != "" {
			uids[r.Job] = true
		}
	}
	return len(uids)
}

// goOnAfter is the process after the crash. A job that was gone is not declared again.
func goOnAfter(t *testing.T, c *batch.Controller, first batch.Job, fails, isOver, isNew bool) {
	defer func() { check(t, c, "last") }()
	_, err := c.Get("first")
	isThere := err == nil
	if isThere || isNew {
		if isOver {
			first.Executor = succeed
		}
		apply(t, c, first)
	}
	apply(t, c, after("last", succeed, "first"))
	_, err = c.Wait(t.Context(), "last")
	if fails || isOver && !isThere && !isNew {
		failed(t, err, batch.ReasonDependencyFailed)
		return
	}
	require.NoError(t, err)
}

// A job that is removed together with one that waits for it leaves nothing in the store.
func TestAfterLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c := newController(t, batch.Options{Store: &store})
		apply(t, c, after("last", succeed, "first"))
		apply(t, c, after("first", untilDone))
		release := store.hold()
		deleted := make(chan error, 2)
		for _, name := range []string{"last", "first"} {
			go func() { deleted <- c.Delete(t.Context(), name, batch.DeleteBackground) }()
			settle()
		}
		release()
		require.NoError(t, errors.Join(<-deleted, <-deleted))
		shut(t, c)
		for _, key := range recorded(t, &store) {
			require.True(t, strings.HasPrefix(key, "/"), "a record of a job: %s", key)
		}
	})
}
