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

func TestFailureRules(t *testing.T) {
	isDisk := batch.FailureRule{Action: batch.ActionIgnore, OnError: batch.ErrorIs(errDisk)}
	isExit := batch.FailureRule{Action: batch.ActionFailJob, OnError: batch.ErrorAs[exit]()}
	code3 := batch.FailureRule{Action: batch.ActionCount, OnExitCodes: &batch.ExitCodes{In: []int{3}}}
	always := batch.FailureRule{Action: batch.ActionFailJob, OnError: func(error) bool { return true }}
	condition := batch.FailureRule{
		Action: batch.ActionFailJob, OnConditions: []batch.Condition{{Type: "example.com/corrupt"}},
	}
	wrongCode := batch.FailureRule{Action: batch.ActionIgnore, OnExitCodes: &batch.ExitCodes{NotIn: []int{1, 3}}}
	tests := map[string]struct {
		rules   []batch.FailureRule
		err     error
		reason  string // of the first failure; empty: the job goes on
		message string
		failed  int
	}{
		"no rule": {nil, errDisk, "", "", 1},
		"ErrorIs": {
			[]batch.FailureRule{isExit, isDisk, always}, fmt.Errorf("wrapped: %w", errDisk), "", "", 0,
		},
		"ErrorAs": {
			[]batch.FailureRule{isDisk, isExit}, fmt.Errorf("wrapped: %w", exit(9)), batch.ReasonPodFailurePolicy,
			"Pod default/NAME failed with an error matching FailJob rule at index 1", 1,
		},
		"an exit code before an error": {[]batch.FailureRule{code3, isExit}, exit(3), "", "", 1},
		"an error before an exit code": {
			[]batch.FailureRule{isExit, code3}, exit(3), batch.ReasonPodFailurePolicy,
			"Pod default/NAME failed with an error matching FailJob rule at index 0", 1,
		},
		"a predicate": {
			[]batch.FailureRule{always}, errDisk, batch.ReasonPodFailurePolicy,
			"Pod default/NAME failed with an error matching FailJob rule at index 0", 1,
		},
		"a predicate sees a panic": {
			[]batch.FailureRule{{Action: batch.ActionIgnore, OnError: batch.ErrorAs[*batch.PanicError]()}}, nil, "", "", 0,
		},
		"a condition, which the executor set": {
			[]batch.FailureRule{isDisk, condition, always}, exit(3), batch.ReasonPodFailurePolicy,
			"Pod default/NAME has condition example.com/corrupt matching FailJob rule at index 1", 1,
		},
		"a code that is not in a list": {[]batch.FailureRule{wrongCode, always}, exit(4), "", "", 0},
		"Permanent, and no rule matches": {
			[]batch.FailureRule{isDisk}, batch.Permanent(exit(3)), batch.ReasonPodFailurePolicy,
			"Pod default/NAME failed with a permanent error", 1,
		},
		"Permanent, and a rule matches": {[]batch.FailureRule{isDisk}, batch.Permanent(errDisk), "", "", 0},
		"Permanent of package backoff": {
			nil, fmt.Errorf("wrapped: %w", backoff.Permanent(errDisk)), batch.ReasonPodFailurePolicy,
			"Pod default/NAME failed with a permanent error", 1,
		},
	}
	for name, test := range tests {
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
