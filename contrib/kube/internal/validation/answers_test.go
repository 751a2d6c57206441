package validation

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
)

// An answer is one line of testdata/answers.jsonl: a job put together at random,
// or a change of one, and what defaulting and validation of Kubernetes v1.37.2
// said to it. The UID of new jobs was the one that Validate takes for unknown.
type answer struct {
	Name      string
	Job       json.RawMessage
	Old       json.RawMessage // of a change
	Errors    []string        // sorted; none if the job was accepted
	Defaulted json.RawMessage // of a new job that was accepted
}

// TestAnswers wants the same answers, text for text.
func TestAnswers(t *testing.T) {
	file, err := os.Open("testdata/answers.jsonl")
	require.NoError(t, err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a answer
		require.NoError(t, json.Unmarshal(lines.Bytes(), &a))
		t.Run(a.Name, a.check)
	}
	require.NoError(t, lines.Err())
}

func (a *answer) check(t *testing.T) {
	m := defaultedJob(t, a.Job)
	var errs []string
	if a.Old == nil {
		errs = textsOf(t, m, nil)
	} else {
		errs = textsOf(t, m, defaultedJob(t, a.Old))
	}
	require.Equal(t, a.Errors, errs)
	if a.Defaulted != nil {
		got, err := json.Marshal(m)
		require.NoError(t, err)
		require.JSONEq(t, string(a.Defaulted), string(got))
	}
}

func defaultedJob(t *testing.T, text []byte) *batchv1.Job {
	m := new(batchv1.Job)
	require.NoError(t, json.Unmarshal(text, m))
	Default(m)
	return m
}

// textsOf are what is wrong with a job, or a change, in order.
func textsOf(t *testing.T, m, old *batchv1.Job) []string {
	errs := Validate(m)
	if old != nil {
		errs = ValidateUpdate(m, old)
	}
	var texts []string
	for _, e := range errs {
		texts = append(texts, e.Error())
	}
	slices.Sort(texts)
	return texts
}

// TestGeneratedLabelsAreTheJobs wants the labels that a job without any has of its
// template to be looked at as the job's, as well: the server has them in one map.
func TestGeneratedLabelsAreTheJobs(t *testing.T) {
	long := strings.Repeat("a", 64)
	m := defaultedJob(t, []byte(`{"metadata": {"name": "`+long+`"}, "spec": {"template": {
		"metadata": {"labels": {"a": "b"}},
		"spec": {"restartPolicy": "Never", "containers": [{"name": "m", "image": "i"}]}}}}`))
	const detail = `: must be no more than 63 bytes`
	require.Equal(t, []string{
		`metadata.labels: Invalid value: "` + long + `"` + detail,
		`spec.template.labels: Invalid value: "` + long + `"` + detail,
	}, textsOf(t, m, nil))
}

// TestPartOfAQuotaResource wants a resource for quotas to be only a wrong name.
func TestPartOfAQuotaResource(t *testing.T) {
	m := defaultedJob(t, []byte(`{"metadata": {"name": "j"}, "spec": {"template": {"spec": {"restartPolicy": "Never",
		"containers": [{"name": "m", "image": "i", "resources": {"limits": {"requests.a/b": "1500m"}}}]}}}}`))
	require.Equal(t, []string{
		`spec.template.spec.containers[0].resources.limits[requests.a/b]: Invalid value: "requests.a/b": doesn't follow ` +
			`extended resource name standard`,
	}, textsOf(t, m, nil))
}
