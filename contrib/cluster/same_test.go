package cluster

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// endings are jobs that end in the same way here and there.
var endings = map[string]batch.Job{
	"success policy": {Executor: functions.Executor("first"), CompletionMode: batch.Indexed, Completions: new(3),
		Parallelism: new(3), SuccessPolicy: []batch.SuccessRule{{SucceededIndexes: new(setOf("0"))}}},
	"deadline": {Executor: functions.Executor("wait"), CompletionMode: batch.Indexed, Completions: new(2),
		Parallelism: new(2), ActiveDeadline: new(3 * time.Second)},
	"time of an attempt": {Executor: functions.Executor("wait"), AttemptTimeout: new(3 * time.Second),
		BackoffLimit: new(0)},
	"retries": {Executor: functions.Executor("fail-once"), CompletionMode: batch.Indexed, Completions: new(2),
		Parallelism: new(2), BackoffLimitPerIndex: new(1)},
	"too many failed indexes": {Executor: functions.Executor("odd"), CompletionMode: batch.Indexed, Completions: new(4),
		Parallelism: new(4), BackoffLimitPerIndex: new(0), MaxFailedIndexes: new(1)},
	"exit codes that are ignored": {Executor: functions.Executor("fail-once"), CompletionMode: batch.Indexed,
		Completions: new(1), BackoffLimitPerIndex: new(0), FailurePolicy: []batch.FailureRule{{Action: batch.ActionIgnore,
			OnExitCodes: &batch.ExitCodes{In: []int{7}}}}},
	"no indexes": {Executor: functions.Executor("nothing"), Completions: new(3), Parallelism: new(2)},
}

// A job ends there as it ends here: with the same conditions, counters, indexes and
// attempts.
func TestSameEnd(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	there, here := p.service(p.options()), newController(t, nil)
	t.Cleanup(func() { require.NoError(t, here.Shutdown(context.Background())) })
	for name, job := range endings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job.Name = strings.ReplaceAll(name, " ", "-")
			want := runToEnd(t, here, job)
			job.ManagedBy = new(Manager)
			require.Equal(t, want, runToEnd(t, there, job))
		})
	}
}

// An ending is what is to be the same of a job, wherever it has run.
type ending struct {
	Conditions, Attempts              []string
	Succeeded, Failed                 int
	CompletedIndexes, FailedIndexes   string
	Active, Ready, Pending, Terminate int
	Accepted                          []bool // changes of the user
}

// podName is a name in a message. Each pod has its own.
var podName = regexp.MustCompile(`([Pp]od) \S+`)

func runToEnd(t *testing.T, c *batch.Controller, job batch.Job) (e ending) {
	s, err := c.Run(t.Context(), job)
	if _, failed := errors.AsType[*batch.JobError](err); !failed {
		require.NoError(t, err)
	}
	for _, c := range s.Conditions {
		e.Conditions = append(e.Conditions, fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason,
			podName.ReplaceAllString(c.Message, "$1 P")))
	}
	e.Succeeded, e.Failed, e.CompletedIndexes = s.Succeeded, s.Failed, s.CompletedIndexes.String()
	e.Active, e.Ready, e.Pending, e.Terminate = s.Active, s.Ready, s.Pending, s.Terminating
	if s.FailedIndexes != nil {
		e.FailedIndexes = s.FailedIndexes.String()
	}
	attempts, err := c.Attempts(t.Context(), job.Name)
	require.NoError(t, err)
	for _, a := range attempts {
		e.Attempts = append(e.Attempts, fmt.Sprint(a.Index, a.Phase, a.Failures, a.IgnoredFailures))
	}
	slices.Sort(e.Attempts)
	return e
}
