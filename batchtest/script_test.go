package batchtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

func TestScript_TakesTheStepOfTheAttempt(t *testing.T) {
	tests := map[string]struct {
		script batchtest.Script
		want   []int // the exit codes of the first attempts
	}{
		"an empty script succeeds": {script: batchtest.Script{}, want: []int{0, 0, 0, 0, 0}},
		"one step repeats":         {script: batchtest.Script{batchtest.Exit(3)}, want: []int{3, 3, 3, 3, 3}},
		"the last step repeats": {
			script: batchtest.Script{batchtest.Exit(3), batchtest.Succeed()}, want: []int{3, 0, 0, 0, 0},
		},
		"a step for more attempts": {
			script: batchtest.Script{batchtest.Exit(3).Times(2), batchtest.Exit(4), batchtest.Succeed()},
			want:   []int{3, 3, 4, 0, 0},
		},
		"the last of several times": {
			script: batchtest.Script{batchtest.Succeed(), batchtest.Exit(3).Times(2)}, want: []int{0, 3, 3, 3, 3},
		},
		"a step for no attempt": {
			script: batchtest.Script{batchtest.Exit(3).Times(0), batchtest.Exit(4), batchtest.Exit(5).Times(-1)},
			want:   []int{4, 4, 4, 4, 4},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, exitCodes(t, tt.script, -1))
		})
	}
}

func TestByIndex_TakesTheScriptOfTheIndex(t *testing.T) {
	others := batchtest.ByIndex{
		1:                {batchtest.Exit(3), batchtest.Succeed()},
		batchtest.Others: {batchtest.Exit(4)},
	}
	require.Equal(t, []int{3, 0, 0, 0, 0}, exitCodes(t, others, 1))
	require.Equal(t, []int{4, 4, 4, 4, 4}, exitCodes(t, others, 0))
	require.Equal(t, []int{4, 4, 4, 4, 4}, exitCodes(t, others, -1))
	require.Equal(t, []int{0, 0, 0, 0, 0}, exitCodes(t, batchtest.ByIndex{1: {batchtest.Exit(3)}}, 0))
	require.Equal(t, []int{0, 0, 0, 0, 0}, exitCodes(t, batchtest.ByIndex(nil), 0))
}

func TestScript_TakesTheNextStepAfterARestart(t *testing.T) {
	script := batchtest.Script{batchtest.Exit(3), batchtest.Exit(4), batchtest.Exit(5)}
	err := script.Execute(t.Context(), batch.Attempt{Number: 1, Restarts: 1})
	require.Equal(t, 5, batch.ExitCode(err))
}

// exitCodes returns those of the first five attempts of an index.
func exitCodes(t *testing.T, e batch.Executor, index int) []int {
	codes := make([]int, 5)
	for n := range codes {
		codes[n] = batch.ExitCode(e.Execute(t.Context(), batch.Attempt{Index: index, Number: n}))
	}
	return codes
}

func TestFunc_OutsideOfAnAttemptIsTheFirst(t *testing.T) {
	f := batchtest.Func(batchtest.ByIndex{batchtest.Others: {batchtest.Exit(3), batchtest.Exit(4)}})
	require.EqualError(t, f(t.Context()), "exit status 3")
	require.EqualError(t, f(t.Context()), "exit status 3")
}
