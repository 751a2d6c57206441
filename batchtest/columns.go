package batchtest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
)

// attemptColumns are the columns of [WantAttempts].
func attemptColumns(all []batch.AttemptStatus) []column[batch.AttemptStatus] {
	type attempt = batch.AttemptStatus
	var first time.Time
	for _, a := range all {
		first = earlier(first, a.CreatedAt)
	}
	return []column[attempt]{
		{name: "ordinal", cell: func(a attempt) string { return strconv.Itoa(a.Ordinal) }},
		{name: "index", cell: func(a attempt) string { return number(a.Index) }},
		{name: "number", cell: func(a attempt) string { return strconv.Itoa(a.Number) }},
		{name: "phase", cell: func(a attempt) string { return a.Phase }},
		{name: "reason", cell: func(a attempt) string { return a.Reason }},
		{name: "exit", cell: func(a attempt) string { return optional(a.ExitCode) }},
		{name: "restarts", cell: func(a attempt) string { return strconv.Itoa(a.Restarts) }},
		{name: "failures", cell: func(a attempt) string { return strconv.Itoa(a.Failures) }},
		{name: "ignored", cell: func(a attempt) string { return strconv.Itoa(a.IgnoredFailures) }},
		{name: "created", normal: shortText, cell: func(a attempt) string { return between(first, a.CreatedAt) }},
		{name: "started", normal: shortText, cell: func(a attempt) string { return between(first, a.StartedAt) }},
		{name: "finished", normal: shortText, cell: func(a attempt) string { return between(first, a.FinishedAt) }},
		{name: "took", normal: shortText, cell: func(a attempt) string { return between(a.StartedAt, a.FinishedAt) }},
		{name: "deletedBy", cell: func(a attempt) string { return a.DeletedBy }},
		{name: "abandoned", cell: func(a attempt) string { return strconv.FormatBool(a.Abandoned) }},
		{name: "ready", cell: func(a attempt) string { return strconv.FormatBool(a.Ready) }},
		{name: "conditions", cell: func(a attempt) string { return conditions(a.Conditions) }},
		{name: "progress", cell: func(a attempt) string { return progress(a.Progress) }},
		{name: "output", cell: func(a attempt) string { return a.Output }},
		{name: "error", cell: func(a attempt) string { return errorText(a.Err) }},
		{name: "message", cell: func(a attempt) string { return a.Message }},
	}
}

// executionColumns are the columns of [WantExecutions] and [Recorder.String].
func executionColumns(all []Execution) []column[Execution] {
	var first time.Time
	for _, x := range all {
		first = earlier(first, x.Start)
	}
	return []column[Execution]{
		{name: "job", cell: func(x Execution) string { return x.Job }},
		{name: "index", cell: func(x Execution) string { return number(x.Index) }},
		{name: "number", cell: func(x Execution) string { return strconv.Itoa(x.Number) }},
		{name: "restarts", cell: func(x Execution) string { return strconv.Itoa(x.Restarts) }},
		{name: "active", cell: func(x Execution) string { return strconv.Itoa(x.Active) }},
		{name: "start", normal: shortText, cell: func(x Execution) string { return between(first, x.Start) }},
		{name: "end", normal: shortText, cell: func(x Execution) string { return between(first, x.End) }},
		{name: "took", normal: shortText, cell: func(x Execution) string { return between(x.Start, x.End) }},
		{name: "cause", cell: func(x Execution) string { return errorText(x.Cause) }},
		{name: "error", cell: func(x Execution) string { return errorText(x.Err) }},
	}
}

// eventColumns are the columns of [WantEvents].
func eventColumns(all []batch.Event) []column[batch.Event] {
	var first time.Time
	for _, e := range all {
		first = earlier(first, e.At)
	}
	return []column[batch.Event]{
		{name: "at", normal: shortText, cell: func(e batch.Event) string { return between(first, e.At) }},
		{name: "type", cell: func(e batch.Event) string { return e.Type }},
		{name: "reason", cell: func(e batch.Event) string { return e.Reason }},
		{name: "message", cell: func(e batch.Event) string { return e.Message }},
	}
}

// statusFields are the lines of [WantStatus].
func statusFields() []column[batch.Status] {
	type status = batch.Status
	return []column[status]{
		{name: "state", cell: status.State},
		{name: "reason", cell: func(s status) string { return decisive(s).Reason }},
		{name: "message", cell: func(s status) string { return decisive(s).Message }},
		{name: "conditions", cell: func(s status) string { return conditions(s.Conditions) }},
		{name: "parallelism", cell: func(s status) string { return strconv.Itoa(s.Parallelism) }},
		{name: "completions", cell: func(s status) string { return optional(s.Completions) }},
		{name: "suspend", cell: func(s status) string { return strconv.FormatBool(s.Suspend) }},
		{name: "active", cell: func(s status) string { return strconv.Itoa(s.Active) }},
		{name: "ready", cell: func(s status) string { return strconv.Itoa(s.Ready) }},
		{name: "terminating", cell: func(s status) string { return strconv.Itoa(s.Terminating) }},
		{name: "abandoned", cell: func(s status) string { return strconv.Itoa(s.Abandoned) }},
		{name: "succeeded", cell: func(s status) string { return strconv.Itoa(s.Succeeded) }},
		{name: "failed", cell: func(s status) string { return strconv.Itoa(s.Failed) }},
		{name: "completedIndexes", cell: func(s status) string { return s.CompletedIndexes.String() }},
		{name: "failedIndexes", cell: failedIndexes},
		{
			name: "took", normal: shortText,
			cell: func(s status) string { return between(s.StartTime, decisive(s).LastTransitionTime) },
		},
		{name: "retryIn", normal: shortText, cell: retryIn},
		{name: "lastFailure", cell: lastFailure},
		{name: "explain", cell: status.Explain},
	}
}

// decisive returns the condition that the state of s is named for, if any.
func decisive(s batch.Status) batch.Condition {
	for _, t := range []string{
		batch.ConditionComplete,
		batch.ConditionFailed,
		batch.ConditionFailureTarget,
		batch.ConditionSuccessCriteriaMet,
		batch.ConditionSuspended,
	} {
		if c, ok := s.Condition(t); ok && c.Status == "True" {
			return c
		}
	}
	return batch.Condition{}
}

func failedIndexes(s batch.Status) string {
	if s.FailedIndexes == nil {
		return ""
	}
	return s.FailedIndexes.String()
}

func lastFailure(s batch.Status) string {
	if s.LastFailure == nil {
		return ""
	}
	return s.LastFailure.Message
}

func retryIn(s batch.Status) string { return between(time.Now(), s.NextRetry) }

// conditions shows those that are True by their type, and others with their
// status.
func conditions(all []batch.Condition) string {
	shown := make([]string, len(all))
	for i, c := range all {
		shown[i] = c.Type
		if c.Status != "True" {
			shown[i] += "=" + c.Status
		}
	}
	return strings.Join(shown, ",")
}

func progress(p batch.Progress) string {
	if p == (batch.Progress{}) {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%d/%d %s", p.Done, p.Total, p.Phase))
}

func optional(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

// earlier returns the earlier of two times, of which s may be missing.
func earlier(s, t time.Time) time.Time {
	if s.IsZero() || t.Before(s) {
		return t
	}
	return s
}
