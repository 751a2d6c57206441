package validation

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
)

// A cronCase is one line of testdata/cron-validation.json: what the API server of
// Kubernetes said to a CronJob, and to a change of it.
type cronCase struct {
	Name     string
	Scenario struct {
		Spec, Meta, Update map[string]any
		RestartPolicy      string
		Legacy             bool
		ValidateOnly       bool
	}
	Outcome struct {
		cronAnswer
		Defaulted json.RawMessage
		Update    cronAnswer
	}
}

type cronAnswer struct {
	Accepted bool
	Errors   []recordedError
	Warnings []string
}

// manifest is the CronJob that the server was given, after a merge patch of its spec.
func (c *cronCase) manifest(t *testing.T, patch map[string]any) (*batchv1.CronJob, error) {
	meta := map[string]any{"name": "cron", "namespace": "default", "uid": "u", "resourceVersion": "1"}
	maps.Copy(meta, c.Scenario.Meta)
	spec := map[string]any{"jobTemplate": map[string]any{"spec": map[string]any{"template": map[string]any{
		"spec": map[string]any{"restartPolicy": "Never",
			"containers": []any{map[string]any{"name": "main", "image": "example.invalid/app:1"}}}}}}}
	text := encode(t, map[string]any{"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": spec})
	for _, change := range []map[string]any{c.Scenario.Spec, patch} {
		var err error
		text, err = jsonpatch.MergePatch(text, encode(t, map[string]any{"spec": change}))
		require.NoError(t, err)
	}
	m := new(batchv1.CronJob)
	err := kjson.UnmarshalCaseSensitivePreserveInts(text, m)
	if err == nil {
		DefaultCronJob(m)
	}
	return m, err
}

func encode(t *testing.T, value any) []byte {
	text, err := json.Marshal(value)
	require.NoError(t, err)
	return text
}

func sortErrors(errs []recordedError) []recordedError {
	return slices.SortedFunc(slices.Values(errs), func(a, b recordedError) int {
		return strings.Compare(a.Field+a.Type+a.Message, b.Field+b.Type+b.Message)
	})
}

func recorded(list field.ErrorList) (errs []recordedError) {
	for _, e := range list {
		errs = append(errs, recordedError{e.Field, string(e.Type), shorten(e)})
	}
	return sortErrors(errs)
}

// TestRecordedCronJobs wants the answers of the API server to all recorded CronJobs
// and their changes: errors, warnings, and the spec with its defaults.
//
//	BATCH_CORPUS=/tmp/more.json go test -v -run TestRecordedCronJobs ./internal/validation
func TestRecordedCronJobs(t *testing.T) {
	file := cmp.Or(os.Getenv("BATCH_CORPUS"), "testdata/cron-validation.json")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var cases []cronCase
	require.NoError(t, json.Unmarshal(text, &cases))
	cases = slices.DeleteFunc(cases, func(c cronCase) bool { return !c.Scenario.ValidateOnly })
	if !slices.ContainsFunc(cases, func(c cronCase) bool { return c.Scenario.Spec["schedule"] != nil }) {
		return // a file of jobs, or of CronJobs that run
	}
	agreed := 0
	for _, c := range cases {
		if t.Run(c.Name, func(t *testing.T) { c.compare(t) }) {
			agreed++
		}
	}
	fmt.Printf("%s: kube agree %d of %d\n", filepath.Base(file), agreed, len(cases))
}

func (c *cronCase) compare(t *testing.T) {
	m, err := c.manifest(t, map[string]any{})
	if err != nil {
		require.Equal(t, sortErrors(c.Outcome.Errors), []recordedError{{Type: "BadRequest", Message: err.Error()}})
		return
	}
	if !c.Scenario.Legacy {
		require.Equal(t, sortErrors(c.Outcome.Errors), recorded(ValidateCronJob(m)))
	}
	if !c.Outcome.Accepted {
		return
	}
	if !c.Scenario.Legacy {
		require.Equal(t, c.Outcome.Warnings, CronJobWarnings(m, nil))
	}
	require.JSONEq(t, string(c.Outcome.Defaulted), defaultedCronJob(t, m))
	if c.Scenario.Update == nil {
		return
	}
	updated, err := c.manifest(t, c.Scenario.Update)
	require.NoError(t, err)
	require.Equal(t, sortErrors(c.Outcome.Update.Errors), recorded(ValidateCronJobUpdate(updated, m)))
	if c.Outcome.Update.Accepted {
		require.Equal(t, c.Outcome.Update.Warnings, CronJobWarnings(updated, m))
	}
}

// defaultedCronJob is the spec without what the recording leaves out.
func defaultedCronJob(t *testing.T, m *batchv1.CronJob) string {
	text, err := json.Marshal(m.Spec)
	require.NoError(t, err)
	var spec map[string]any
	require.NoError(t, json.Unmarshal(text, &spec))
	template := spec["jobTemplate"].(map[string]any)
	delete(template, "metadata")
	delete(template["spec"].(map[string]any), "template")
	text, err = json.Marshal(spec)
	require.NoError(t, err)
	return string(text)
}
