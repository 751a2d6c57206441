package batch_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

func TestProgress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		start := time.Now()
		mustCreate(t, c, batch.Job{Name: "j", Completions: new(10), Parallelism: new(2), Executor: takes(time.Minute)})
		mustCreate(t, c, batch.Job{Name: "queue", Parallelism: new(2), Executor: untilDone})
		require.Equal(t, batch.Progress{Total: 10}, get(t, c, "j").Progress)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Equal(t, batch.Progress{Done: 4, Total: 10, ETA: start.Add(5 * time.Minute)}, get(t, c, "j").Progress)
		require.Equal(t, batch.Progress{}, get(t, c, "queue").Progress)
		s, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
		require.Equal(t, batch.Progress{Done: 10, Total: 10}, s.Progress)
	})
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 500, time.UTC)

func indexSet(t *testing.T, text string) batch.IndexSet {
	t.Helper()
	set, err := batch.ParseIndexSet(text)
	require.NoError(t, err)
	return set
}

// fullStatus and fullAttempt have a value in every field.
var (
	fullStatus = batch.Status{
		Name: "j", UID: "u", Generation: 1, Run: 3, Revision: 2, CreatedAt: noon, DeletedAt: noon, Parallelism: 3,
		Completions: new(9), Suspend: true,
		ManagedBy: "a.io/b", Active: 4, Pending: 1, Ready: 2, Terminating: 5, Abandoned: 1, Succeeded: 6, Failed: 7,
		CompletedIndexes: *indexes("0,2-4"), FailedIndexes: indexes(""), StartTime: noon, CompletionTime: noon,
		Conditions: []batch.Condition{{
			Type: batch.ConditionComplete, Status: "True", Reason: batch.ReasonCompletionsReached, Message: "m",
			LastTransitionTime: noon,
		}},
		NextRetry:   noon,
		LastFailure: &batch.AttemptError{Attempt: "j-1-abcde", Index: 1, Failures: 2, ExitCode: 3, Message: "m", At: noon},
		Progress:    batch.Progress{Done: 6, Total: 9, ETA: noon},
	}
	fullStatusJSON = `{"name":"j","uid":"u","generation":1,"run":3,"revision":2,"createdAt":"2026-01-02T12:00:00.0000005Z",
			"deletedAt":"2026-01-02T12:00:00.0000005Z",
			"parallelism":3,"completions":9,"suspend":true,"managedBy":"a.io/b","active":4,"pending":1,"ready":2,
			"terminating":5,"abandoned":1,
			"succeeded":6,"failed":7,"completedIndexes":"0,2-4","failedIndexes":"",
			"startTime":"2026-01-02T12:00:00.0000005Z","completionTime":"2026-01-02T12:00:00.0000005Z",
			"conditions":[{"type":"Complete","status":"True","reason":"CompletionsReached","message":"m",
			"lastTransitionTime":"2026-01-02T12:00:00.0000005Z"}],
			"nextRetry":"2026-01-02T12:00:00.0000005Z",
			"lastFailure":{"attempt":"j-1-abcde","index":1,"failures":2,"exitCode":3,"at":"2026-01-02T12:00:00.0000005Z",
			"message":"m"},
			"progress":{"done":6,"total":9,"eta":"2026-01-02T12:00:00.0000005Z"}}`
	fullAttempt = batch.AttemptStatus{
		Name: "j-1-abcde", UID: "u", JobUID: "v", Ordinal: 7, JobRun: 3, Index: 1, Number: 2, Phase: batch.AttemptFailed,
		Reason:  batch.ReasonDeadlineExceeded,
		Message: "m", ExitCode: new(0), Err: errors.New("not shown"), Restarts: 3, Failures: 4, IgnoredFailures: 5,
		CreatedAt: noon, StartedAt: noon,
		FinishedAt: noon, RestartAt: noon, DeletedAt: noon, DeletedBy: "gc", Abandoned: true, Ready: true,
		Conditions: []batch.Condition{{Type: batch.ConditionDisruptionTarget, Status: "True", LastTransitionTime: noon}},
		Output:     "o", Progress: batch.Progress{Done: 1, Total: 2, Phase: "p"},
	}
	fullAttemptJSON = `{"name":"j-1-abcde","uid":"u","jobUID":"v","ordinal":7,"jobRun":3,"index":1,"number":2,
			"phase":"Failed",
			"reason":"DeadlineExceeded","message":"m","exitCode":0,
			"restarts":3,"failures":4,"ignoredFailures":5,"createdAt":"2026-01-02T12:00:00.0000005Z",
			"startedAt":"2026-01-02T12:00:00.0000005Z",
			"finishedAt":"2026-01-02T12:00:00.0000005Z","restartAt":"2026-01-02T12:00:00.0000005Z",
			"deletedAt":"2026-01-02T12:00:00.0000005Z","deletedBy":"gc",
			"abandoned":true,"ready":true,"conditions":[{"type":"DisruptionTarget","status":"True",
			"lastTransitionTime":"2026-01-02T12:00:00.0000005Z"}],
			"output":"o","progress":{"done":1,"total":2,"phase":"p"}}`
)

// The encoding of a status is a promise: a change here breaks programs that read it.
func TestStatusJSON(t *testing.T) {
	tests := map[string]struct {
		value any
		want  string
	}{
		"a new job": {
			value: batch.Status{Name: "j", UID: "u", Generation: 1, Revision: 2, CreatedAt: noon, Parallelism: 1},
			want: `{"name":"j","uid":"u","generation":1,"revision":2,"createdAt":"2026-01-02T12:00:00.0000005Z","parallelism":1,
			"active":0,"ready":0,"terminating":0,"succeeded":0,"failed":0,"progress":{"done":0}}`,
		},
		"everything": {value: fullStatus, want: fullStatusJSON},
		"a new attempt": {
			value: batch.AttemptStatus{
				Name:      "j-abcde",
				UID:       "u",
				JobUID:    "v",
				Index:     -1,
				Phase:     batch.AttemptPending,
				CreatedAt: noon,
			},
			want: `{"name":"j-abcde","uid":"u","jobUID":"v","ordinal":0,"index":-1,"number":0,"phase":"Pending","restarts":0,
			"failures":0,
			"createdAt":"2026-01-02T12:00:00.0000005Z","ready":false}`,
		},
		"everything of an attempt": {value: fullAttempt, want: fullAttemptJSON},
		"an event": {
			value: batch.Event{Type: "Warning", Reason: batch.ReasonBackoffLimitExceeded, Message: "m", At: noon},
			want:  `{"type":"Warning","reason":"BackoffLimitExceeded","message":"m","at":"2026-01-02T12:00:00.0000005Z"}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(test.value)
			require.NoError(t, err)
			want := regexp.MustCompile(`\n\s*`).ReplaceAllString(test.want, "")
			require.Equal(t, want, string(got))
			switch test.value.(type) { // and back
			case batch.Status:
				testRoundTrip[batch.Status](t, got)
			case batch.AttemptStatus:
				testRoundTrip[batch.AttemptStatus](t, got)
			case batch.Event:
				testRoundTrip[batch.Event](t, got)
			}
		})
	}
}

func testRoundTrip[T any](t *testing.T, text []byte) {
	t.Helper()
	var value T
	require.NoError(t, json.Unmarshal(text, &value))
	again, err := json.Marshal(value)
	require.NoError(t, err)
	require.Equal(t, string(text), string(again))
}

func TestIndexSet(t *testing.T) {
	for text, size := range map[string]int{"": 0, "0": 1, "0,1": 2, "0-2": 3, "0,2-4,9,10": 6, "5-1000004": 1000000} {
		set, err := batch.ParseIndexSet(text)
		require.NoError(t, err)
		require.Equal(t, text, set.String())
		require.Equal(t, size, set.Len())
		encoded, err := json.Marshal(set)
		require.NoError(t, err)
		require.Equal(t, `"`+text+`"`, string(encoded))
		var decoded batch.IndexSet
		require.NoError(t, json.Unmarshal(encoded, &decoded))
		require.Equal(t, set.String(), decoded.String())
		n := 0
		for first, last := range set.Intervals() {
			n += last - first + 1
			require.True(t, set.Contains(first) && set.Contains(last) && !set.Contains(last+1))
		}
		require.Equal(t, size, n)
	}
	require.Equal(t, []int{0, 2, 3, 4}, slices.Collect(indexSet(t, "0,2-4").All()))
	require.Equal(t, "0,1", indexSet(t, "0-1").String(), "two are no run (R155)")
	require.Equal(t, "", batch.IndexSet{}.String())
	for text, want := range map[string]string{
		"3,2": `batch: index set "3,2": non-increasing order, previous: 3, current: 2`,
		"a":   `batch: index set "a": cannot convert string to integer for index: "a"`,
	} {
		_, err := batch.ParseIndexSet(text)
		require.EqualError(t, err, want)
		var set batch.IndexSet
		require.EqualError(t, set.UnmarshalText([]byte(text)), want)
	}
}
