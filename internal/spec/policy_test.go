package spec

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/fields"
	"github.com/runtocompletion/batch/internal/indexset"
)

func TestPolicyEquality(t *testing.T) {
	codes := func(e ExitCodes) []FailureRule {
		return []FailureRule{{Action: ActionCount, OnExitCodes: &e}}
	}
	condition := func(c engine.Condition) []FailureRule {
		return []FailureRule{{Action: ActionCount, OnConditions: []engine.Condition{c}}}
	}
	different := [][]FailureRule{
		nil,
		{},
		{{}},
		{{}, {}},
		{{Action: ActionCount}},
		{{OnError: true}},
		codes(ExitCodes{}), codes(ExitCodes{ContainerName: "main"}),
		codes(ExitCodes{In: []int{1}}), codes(ExitCodes{NotIn: []int{1}}),
		condition(engine.Condition{Type: "a"}), condition(engine.Condition{Status: "a"}),
	}
	for i, p := range different {
		for k, q := range different {
			require.Equal(t, i == k, SameFailureRules(p, q), "%+v, %+v", p, q)
		}
		require.True(t, SameFailureRules(p, fields.Clone(&p)), "%+v", p)
	}
	one, err := indexset.Parse("1", -1)
	require.NoError(t, err)
	rules := [][]SuccessRule{nil, {}, {{}}, {{nil, new(1)}}, {{nil, new(2)}}, {{&one, nil}}}
	for i, p := range rules {
		for k, q := range rules {
			require.Equal(t, i == k, sameSuccessRules(p, q), "%+v, %+v", p, q)
		}
		require.True(t, sameSuccessRules(p, fields.Clone(&p)), "%+v", p)
	}
}

func TestSameBackoff(t *testing.T) {
	unknown := (&StoredBackoff{}).Load()
	different := []Backoff{nil, ConstantBackoff{1}, ConstantBackoff{2}, NewExponentialBackoff(1, 2, 0), unknown}
	for i, a := range different {
		for k, b := range different {
			require.Equal(t, i == k, SameBackoff(a, b), "%+v, %+v", a, b)
		}
		require.True(t, SameBackoff(a, StoreBackoff(a).Load()), "%+v", a)
	}
}
