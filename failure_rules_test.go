package batch_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// Rules that tests combine.
var (
	ignoresDisk      = batch.FailureRule{Action: batch.ActionIgnore, OnError: batch.ErrorIs(errDisk)}
	failsOnExit      = batch.FailureRule{Action: batch.ActionFailJob, OnError: batch.ErrorAs[exit]()}
	failsOnAny       = batch.FailureRule{Action: batch.ActionFailJob, OnError: func(error) bool { return true }}
	failsOnCondition = batch.FailureRule{
		Action: batch.ActionFailJob, OnConditions: []batch.Condition{{Type: "example.com/corrupt"}},
	}
	counts3           = batch.FailureRule{Action: batch.ActionCount, OnExitCodes: &batch.ExitCodes{In: []int{3}}}
	ignoresOtherCodes = batch.FailureRule{Action: batch.ActionIgnore, OnExitCodes: &batch.ExitCodes{NotIn: []int{1, 3}}}
)

var failureRulesTests = map[string]struct {
	rules   []batch.FailureRule
	err     error
	reason  string // of the first failure; empty: the job goes on
	message string
	failed  int
}{
	"no rule": {err: errDisk, failed: 1},
	"ErrorIs": {
		rules: []batch.FailureRule{failsOnExit, ignoresDisk, failsOnAny}, err: fmt.Errorf("wrapped: %w", errDisk), failed: 0,
	},
	"ErrorAs": {
		rules: []batch.FailureRule{ignoresDisk, failsOnExit}, err: fmt.Errorf("wrapped: %w", exit(9)),
		reason:  batch.ReasonPodFailurePolicy,
		message: "Pod default/NAME failed with an error matching FailJob rule at index 1", failed: 1,
	},
	"an exit code before an error": {rules: []batch.FailureRule{counts3, failsOnExit}, err: exit(3), failed: 1},
	"an error before an exit code": {
		rules: []batch.FailureRule{failsOnExit, counts3}, err: exit(3), reason: batch.ReasonPodFailurePolicy,
		message: "Pod default/NAME failed with an error matching FailJob rule at index 0", failed: 1,
	},
	"a predicate": {
		rules: []batch.FailureRule{failsOnAny}, err: errDisk, reason: batch.ReasonPodFailurePolicy,
		message: "Pod default/NAME failed with an error matching FailJob rule at index 0", failed: 1,
	},
	"a predicate sees a panic": {
		rules: []batch.FailureRule{{Action: batch.ActionIgnore, OnError: batch.ErrorAs[*batch.PanicError]()}}, failed: 0,
	},
	"a condition, which the executor set": {
		rules: []batch.FailureRule{ignoresDisk, failsOnCondition, failsOnAny}, err: exit(3),
		reason:  batch.ReasonPodFailurePolicy,
		message: "Pod default/NAME has condition example.com/corrupt matching FailJob rule at index 1", failed: 1,
	},
	"a code that is not in a list": {rules: []batch.FailureRule{ignoresOtherCodes, failsOnAny}, err: exit(4), failed: 0},
	"Permanent, and no rule matches": {
		rules: []batch.FailureRule{ignoresDisk}, err: batch.Permanent(exit(3)), reason: batch.ReasonPodFailurePolicy,
		message: "Pod default/NAME failed with a permanent error", failed: 1,
	},
	"Permanent, and a rule matches": {rules: []batch.FailureRule{ignoresDisk}, err: batch.Permanent(errDisk), failed: 0},
	"Permanent of package backoff": {
		err: fmt.Errorf("wrapped: %w", backoff.Permanent(errDisk)), reason: batch.ReasonPodFailurePolicy,
		message: "Pod default/NAME failed with a permanent error", failed: 1,
	},
}

func TestFailureRules(t *testing.T) {

	for name, test := range failureRulesTests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				mustCreate(t, c, batch.Job{Name: "j", FailurePolicy: test.rules,
					Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
						if a.Number > 0 {
							return nil
						}
						require.NoError(t, a.SetCondition(batch.Condition{Type: "example.com/corrupt", Status: "True"}))
						if test.err == nil {
							panic("boom")
						}
						return test.err
					})})
				status, err := c.Wait(t.Context(), "j")
				require.Equal(t, test.failed, status.Failed)
				if test.reason == "" {
					require.NoError(t, err)
					return
				}
				message := failed(t, err, test.reason).Message
				require.Equal(t, test.message, strings.ReplaceAll(message, attemptsOf(t, c, "j")[0].Name, "NAME"))
			})
		})
	}
}

func TestPermanentFailsItsIndex(t *testing.T) {
	bubble(t, func(t *testing.T) {
		status, err := batch.Run(t.Context(), batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(3),
			BackoffLimitPerIndex: new(5),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Index == 1 {
					return batch.Permanent(errDisk)
				}
				return nil
			})})
		failed(t, err, batch.ReasonFailedIndexes)
		require.ErrorIs(t, err, errDisk)
		require.Equal(t, "1", status.FailedIndexes.String())
		require.Equal(t, "0,2", status.CompletedIndexes.String())
		require.Equal(t, 1, status.Failed)
	})
}
