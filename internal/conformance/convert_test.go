package conformance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

func TestConvert(t *testing.T) {
	got, err := Convert([]byte(`{
		"parallelism": 2, "completions": 3, "completionMode": "Indexed", "backoffLimit": 0,
		"backoffLimitPerIndex": 1, "maxFailedIndexes": 4, "activeDeadlineSeconds": 5,
		"ttlSecondsAfterFinished": 0, "suspend": true, "podReplacementPolicy": "Failed",
		"managedBy": "a/b",
		"podFailurePolicy": {"rules": [
			{"action": "Count", "onExitCodes": {"containerName": "c", "operator": "In", "values": [1, 2]}},
			{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]},
		"successPolicy": {"rules": [{"succeededIndexes": "", "succeededCount": 0}]},
		"template": {"spec": {"restartPolicy": "OnFailure", "containers": [{"name": "c"}]}}
	}`), "Never")
	require.NoError(t, err)
	require.Equal(t, batch.Job{
		Parallelism: new(2), Completions: new(3), CompletionMode: batch.Indexed, BackoffLimit: new(0),
		BackoffLimitPerIndex: new(1), MaxFailedIndexes: new(4), ActiveDeadline: new(5 * time.Second),
		TTLAfterFinished: new(time.Duration(0)), Suspend: true, ReplacementPolicy: batch.ReplaceFailed,
		ManagedBy: new("a/b"),
		FailurePolicy: []batch.FailureRule{
			{Action: batch.ActionCount, OnExitCodes: &batch.ExitCodes{ContainerName: "c", In: []int{1, 2}}},
			{Action: batch.ActionIgnore, OnConditions: []batch.Condition{{Type: batch.ConditionDisruptionTarget}}},
		},
		SuccessPolicy: []batch.SuccessRule{
			{SucceededIndexes: new(batch.IndexSet{}), SucceededCount: new(0)},
		},
		RestartPolicy: batch.RestartOnFailure, ContainerName: "c",
	}, got)
}

func TestConvertKeepsWhatIsUnset(t *testing.T) {
	got, err := Convert([]byte(`{"parallelism": null}`), "Never")
	require.NoError(t, err)
	require.Equal(t, batch.Job{RestartPolicy: batch.RestartNever}, got)
}

func TestConvertHasTheTypesOfTheWire(t *testing.T) {
	for _, spec := range []string{`{"completions": "3"}`, `{"completions": 1.5}`, `{"completions": 2147483648}`} {
		_, err := Convert([]byte(spec), "Never")
		require.Error(t, err, spec)
	}
}

func TestDefaultIsTheRecorded(t *testing.T) {
	for _, c := range load(t, "validation.json") {
		if !c.Outcome.Accepted {
			continue
		}
		got, err := Convert(Default(c.Scenario.Spec), "Never")
		require.NoError(t, err, c.Name)
		want, err := Convert(c.Outcome.Defaulted, "Never")
		require.NoError(t, err, c.Name)
		got.ContainerName = "" // the recording has no template
		require.Equal(t, want, got, c.Name)
	}
}

func TestMergePatch(t *testing.T) {
	tests := map[string]struct{ object, patch, want string }{
		"sets":             {object: `{"a": 1}`, patch: `{"b": 2}`, want: `{"a": 1, "b": 2}`},
		"replaces":         {object: `{"a": 1}`, patch: `{"a": 2}`, want: `{"a": 2}`},
		"removes":          {object: `{"a": 1, "b": 2}`, patch: `{"a": null}`, want: `{"b": 2}`},
		"merges objects":   {object: `{"a": {"b": 1, "c": 2}}`, patch: `{"a": {"c": null}}`, want: `{"a": {"b": 1}}`},
		"replaces lists":   {object: `{"a": [1, 2]}`, patch: `{"a": [3]}`, want: `{"a": [3]}`},
		"keeps no nulls":   {object: `{}`, patch: `{"a": {"b": null, "c": 1}}`, want: `{"a": {"c": 1}}`},
		"keeps all digits": {object: `{"a": 9007199254740993}`, patch: `{}`, want: `{"a": 9007199254740993}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := MergePatch([]byte(test.object), []byte(test.patch))
			require.JSONEq(t, test.want, string(got))
		})
	}
}
