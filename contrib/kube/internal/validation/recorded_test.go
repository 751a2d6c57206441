package validation

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
)

// A recordedCase is one line of testdata/validation.json: what the API server of
// Kubernetes said to a job.
type recordedCase struct {
	Name     string
	Scenario struct {
		Spec          map[string]any
		RestartPolicy string
		Meta          map[string]any
	}
	Outcome struct {
		Accepted  bool
		Errors    []recordedError
		Defaulted json.RawMessage
	}
}

type recordedError struct{ Field, Type, Message string }

// manifest is the job that the server was given.
func (c *recordedCase) manifest(t *testing.T) []byte {
	spec := maps.Clone(c.Scenario.Spec)
	if spec["template"] == nil {
		spec["template"] = map[string]any{"spec": map[string]any{
			"restartPolicy": c.Scenario.RestartPolicy,
			"containers":    []any{map[string]any{"name": "main", "image": "example.invalid/app:1"}},
		}}
	}
	meta := map[string]any{"name": "job", "namespace": "default"}
	maps.Copy(meta, c.Scenario.Meta)
	text, err := json.Marshal(map[string]any{
		"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec})
	require.NoError(t, err)
	return text
}

// errors are what is wrong with the job, in the form and the order of the
// recording.
func (c *recordedCase) errors(m *batchv1.Job, err error) []recordedError {
	if err != nil {
		return []recordedError{{Type: "BadRequest", Message: err.Error()}}
	}
	var errs []recordedError
	for _, e := range Validate(m) {
		errs = append(errs, recordedError{e.Field, string(e.Type), shorten(e)})
	}
	slices.SortFunc(errs, func(a, b recordedError) int {
		return strings.Compare(a.Field+a.Type+a.Message, b.Field+b.Type+b.Message)
	})
	return errs
}

// shorten replaces objects in a text by {...}, as the recording does.
func shorten(e *field.Error) string {
	return regexp.MustCompile(`^Invalid value: \{.*\}: `).ReplaceAllString(e.ErrorBody(), "Invalid value: {...}: ")
}

// defaulted is the spec without what the recording leaves out.
func defaulted(t *testing.T, m *batchv1.Job) string {
	text, err := json.Marshal(m.Spec)
	require.NoError(t, err)
	var spec map[string]any
	require.NoError(t, json.Unmarshal(text, &spec))
	delete(spec, "template")
	delete(spec, "selector")
	text, err = json.Marshal(spec)
	require.NoError(t, err)
	return string(text)
}

func recordedCases(t testing.TB) []recordedCase {
	text, err := os.ReadFile("testdata/validation.json")
	require.NoError(t, err)
	var cases []recordedCase
	require.NoError(t, json.Unmarshal(text, &cases))
	require.Len(t, cases, 141)
	return cases
}

// TestRecordedAnswers wants the answers of the API server to all recorded jobs:
// fields, kinds and texts of the errors, or the spec with its defaults.
func TestRecordedAnswers(t *testing.T) {
	for _, c := range recordedCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			var m batchv1.Job
			err := kjson.UnmarshalCaseSensitivePreserveInts(c.manifest(t), &m)
			if err == nil {
				Default(&m)
			}
			got := c.errors(&m, err)
			if c.Outcome.Accepted {
				require.Empty(t, got)
				require.JSONEq(t, string(bytes.TrimSpace(c.Outcome.Defaulted)), defaulted(t, &m))
				return
			}
			slices.SortFunc(c.Outcome.Errors, func(a, b recordedError) int {
				return strings.Compare(a.Field+a.Type+a.Message, b.Field+b.Type+b.Message)
			})
			require.Equal(t, c.Outcome.Errors, got)
		})
	}
}
