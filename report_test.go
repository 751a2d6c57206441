package batch_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

const elsewhere = "example.com/elsewhere"

// managedController has jobs that are run somewhere else.
func managedController(t *testing.T, store batch.Store) *batch.Controller {
	c, err := batch.New(t.Context(), batch.Options{Store: store,
		Managers: map[string]func(batch.Job) error{elsewhere: func(batch.Job) error { return nil }}})
	require.NoError(t, err)
	return c
}

func managedJob(name string) batch.Job {
	return batch.Job{Name: name, Executor: succeed, ManagedBy: new(elsewhere), Completions: new(2), Parallelism: new(2),
		CompletionMode: batch.Indexed, BackoffLimitPerIndex: new(1)}
}

func uidOf(t *testing.T, c *batch.Controller, name string) string {
	s, err := c.Get(name)
	require.NoError(t, err)
	return s.UID
}

// What a manager reports is seen as if the job had run here: status, attempts, results,
// logs, events, the error of its end, and all of that again after a restart.
func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		c := managedController(t, store)
		require.NoError(t, c.Create(t.Context(), managedJob("far")))
		begun := time.Now()
		uid := uidOf(t, c, "far")
		require.NoError(t, c.Report(t.Context(), "far", batch.Report{UID: uid,
			Status: &batch.Status{Active: 2, Ready: 1, StartTime: begun},
			Attempts: []batch.AttemptStatus{
				{Name: "far-0-aaaaa", UID: "a", Index: 0, Phase: batch.AttemptRunning, CreatedAt: begun,
					StartedAt: begun},
				{Name: "far-1-bbbbb", UID: "b", Index: 1, Phase: batch.AttemptPending, CreatedAt: begun}},
			Logs: map[string][]batch.LogLine{"a": {{Time: begun, Stream: "stderr", Text: "hello"}}},
			Events: []batch.Event{{Type: "Normal", Reason: "SuccessfulCreate", Message: "Created pod: far-0-aaaaa",
				At: begun}}}))
		s, err := c.Get("far")
		require.NoError(t, err)
		require.Equal(t, []int{2, 1}, []int{s.Active, s.Ready})
		require.Equal(t, "running: 2 of 2 slots busy, 0 of 2 succeeded", s.Explain())
		require.Equal(t, "hello", logText(t, c, "far", "far-0-aaaaa"))

		time.Sleep(time.Minute)
		ended := time.Now()
		require.NoError(t, c.Report(t.Context(), "far", farEnd(uid, begun, ended)))
		_, err = c.Wait(t.Context(), "far")
		requireFarEnd(t, c, err)
		require.NoError(t, c.Shutdown(t.Context()))

		c = managedController(t, store)
		_, err = c.Wait(t.Context(), "far")
		requireFarEnd(t, c, err)
		require.NoError(t, c.Shutdown(t.Context()))
	})
}

// farEnd reports that index 0 has succeeded and index 1 has failed.
func farEnd(uid string, begun, ended time.Time) batch.Report {
	failed := batch.IndexSet{}
	_ = failed.UnmarshalText([]byte("1"))
	completed := batch.IndexSet{}
	_ = completed.UnmarshalText([]byte("0"))
	const message = "Job has failed indexes"
	return batch.Report{UID: uid,
		Status: &batch.Status{StartTime: begun, Succeeded: 1, Failed: 1, CompletedIndexes: completed,
			FailedIndexes: &failed,
			Conditions: []batch.Condition{
				{Type: batch.ConditionFailureTarget, Status: "True", Reason: batch.ReasonFailedIndexes,
					Message:            message,
					LastTransitionTime: ended},
				{Type: batch.ConditionFailed, Status: "True", Reason: batch.ReasonFailedIndexes, Message: message,
					LastTransitionTime: ended}}},
		Attempts: []batch.AttemptStatus{
			{Name: "far-0-aaaaa", UID: "a", Index: 0, Phase: batch.AttemptSucceeded, CreatedAt: begun, StartedAt: begun,
				FinishedAt: ended, ExitCode: new(0), Output: "done"},
			{Name: "far-1-bbbbb", UID: "b", Index: 1, Phase: batch.AttemptFailed, CreatedAt: begun, StartedAt: begun,
				FinishedAt: ended, ExitCode: new(3), Err: errors.New("no disk"), Message: "no disk"}},
		Results: map[string]json.RawMessage{"a": json.RawMessage(`42`)}}
}

func requireFarEnd(t *testing.T, c *batch.Controller, err error) {
	failed, ok := errors.AsType[*batch.JobError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, batch.ReasonFailedIndexes, failed.Reason)
	require.Equal(t, `batch: job "far" failed: FailedIndexes: Job has failed indexes; `+
		`last: attempt far-1-bbbbb: exit code 3: no disk`, err.Error())
	require.Equal(t, "no disk", failed.Status.LastFailure.Message)
	require.Equal(t, "1", failed.Status.FailedIndexes.String())
	for index, e := range failed.Indexes() {
		require.Equal(t, []any{1, "far-1-bbbbb"}, []any{index, e.Attempt})
	}
	attempts, err := c.Attempts(context.Background(), "far")
	require.NoError(t, err)
	require.Len(t, attempts, 2)
	require.Equal(t, []string{"far-0-aaaaa", "Succeeded", "done"},
		[]string{attempts[0].Name, attempts[0].Phase, attempts[0].Output})
	results, err := batch.Results[int](context.Background(), c, "far")
	require.NoError(t, err)
	for index, result := range results {
		require.Equal(t, []int{0, 42}, []int{index, result})
	}
	events, err := c.Events(context.Background(), "far")
	require.NoError(t, err)
	require.Equal(t, "Created pod: far-0-aaaaa", events[0].Message)
}

func logText(t *testing.T, c *batch.Controller, job, attempt string) (text string) {
	for line, err := range c.Logs(t.Context(), job, attempt, -1, false) {
		require.NoError(t, err)
		text += line.Text
	}
	return text
}

// A manager that watches what it has reported comes to rest: the same again is no change.
func TestReportOfNothingNew(t *testing.T) {
	c := managedController(t, nil)
	require.NoError(t, c.Create(t.Context(), managedJob("far")))
	report := farEnd(uidOf(t, c, "far"), time.Now(), time.Now())
	require.NoError(t, c.Report(t.Context(), "far", report))
	before, err := c.Get("far")
	require.NoError(t, err)
	require.NoError(t, c.Report(t.Context(), "far", report))
	after, err := c.Get("far")
	require.NoError(t, err)
	require.Equal(t, before.Revision, after.Revision)
	require.NoError(t, c.Shutdown(t.Context()))
}

// What a manager says is refused by its field, and what it cannot do by that of its name.
func TestManagers(t *testing.T) {
	c, err := batch.New(t.Context(), batch.Options{Managers: map[string]func(batch.Job) error{
		elsewhere: func(j batch.Job) error {
			if j.Priority == 0 {
				return nil
			}
			return &batch.ValidationError{Fields: []batch.FieldError{{Field: "spec.priority", Kind: "Forbidden"}}}
		}}})
	require.NoError(t, err)
	job := managedJob("far")
	job.Priority = 1
	require.EqualError(t, c.Create(t.Context(), job), `batch: job "far" is invalid: Priority: Forbidden`)
	require.NoError(t, c.Create(t.Context(), managedJob("far")))
	require.ErrorContains(t, c.Update(t.Context(), "far", func(j *batch.Job) { j.Priority = 1 }), "Priority: Forbidden")
	begun := time.Now()
	uid := uidOf(t, c, "far")
	require.NoError(t, c.Report(t.Context(), "far",
		batch.Report{UID: uid, Status: &batch.Status{StartTime: begun, Active: 1},
			Attempts: []batch.AttemptStatus{{Name: "far-0-aaaaa", UID: "a", Phase: batch.AttemptRunning,
				CreatedAt: begun}}}))
	const has = `batch: attempt "a" of job "far": example.com/elsewhere has it`
	require.EqualError(t, c.DeleteAttempt(t.Context(), "far", "a"), has)
	_, err = c.Stack("far", "a")
	require.EqualError(t, err, has)
	require.ErrorContains(t, c.Cancel(t.Context(), "far", nil, 1), "it can be cancelled as a whole only")
	require.ErrorContains(t, c.Delete(t.Context(), "far", batch.DeleteOrphan), "they cannot be left alone here")
	require.ErrorIs(t, c.Report(t.Context(), "far", batch.Report{UID: "another"}), batch.ErrNotFound)
	err = c.Report(t.Context(), "far", batch.Report{UID: uid, Status: &batch.Status{StartTime: begun, Ready: 1}})
	require.ErrorContains(t, err, "Status.Ready: Invalid value: 1: cannot set more ready pods than active")

	cause := errors.New("enough")
	require.NoError(t, c.Cancel(t.Context(), "far", cause))
	s, err := c.Get("far")
	require.NoError(t, err)
	require.True(t, s.Is(batch.ConditionFailureTarget))
	end := farEnd(uid, begun, begun)
	end.Status.Conditions = []batch.Condition{s.Conditions[0], s.Conditions[0]}
	end.Status.Conditions[1].Type = batch.ConditionFailed
	require.NoError(t, c.Report(t.Context(), "far", end))
	_, err = c.Wait(t.Context(), "far")
	require.ErrorIs(t, err, cause)
	_, err = c.Again(t.Context(), "far", false)
	require.ErrorContains(t, err, "it cannot be run again here")
	require.NoError(t, c.Shutdown(t.Context()))
}

// A job of another manager that is deleted in the foreground stays until nothing of it runs.
func TestDeleteManaged(t *testing.T) {
	c := managedController(t, nil)
	require.NoError(t, c.Create(t.Context(), managedJob("far")))
	uid, begun := uidOf(t, c, "far"), time.Now()
	require.NoError(t, c.Report(t.Context(), "far",
		batch.Report{UID: uid, Status: &batch.Status{StartTime: begun, Active: 1}}))
	require.NoError(t, c.Delete(t.Context(), "far", batch.DeleteForeground))
	s, err := c.Get("far")
	require.NoError(t, err)
	require.False(t, s.DeletedAt.IsZero())
	require.NoError(t, c.Report(t.Context(), "far", batch.Report{UID: uid, Status: &batch.Status{StartTime: begun}}))
	_, err = c.Get("far")
	require.ErrorIs(t, err, batch.ErrNotFound)
	require.NoError(t, c.Shutdown(t.Context()))
}
