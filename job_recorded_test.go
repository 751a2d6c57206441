package batch

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runtocompletion/batch/internal/spec"
	"github.com/stretchr/testify/require"
)

// A recordedCase is one line of testdata/validation.json: what the API server
// of Kubernetes said to a job.
type recordedCase struct {
	Name     string
	Scenario struct {
		Spec          json.RawMessage
		RestartPolicy string
		Meta          struct {
			Name   *string
			Labels map[string]string
		}
	}
	Outcome struct {
		Accepted  bool
		Errors    []recordedError
		Defaulted json.RawMessage
	}
}

type recordedError struct{ Field, Type, Message string }

// A recordedSpec has the fields of a Kubernetes JobSpec that a [Job] has.
type recordedSpec struct {
	Parallelism             *int
	Completions             *int
	ActiveDeadlineSeconds   *int64
	BackoffLimit            *int
	BackoffLimitPerIndex    *int
	MaxFailedIndexes        *int
	TTLSecondsAfterFinished *int64
	CompletionMode          string
	Suspend                 bool
	PodReplacementPolicy    string
	PodFailurePolicy        *struct {
		Rules []struct {
			Action      string
			OnExitCodes *struct {
				ContainerName, Operator string
				Values                  []int
			}
			OnPodConditions []Condition
		}
	}
	SuccessPolicy *struct {
		Rules []struct {
			SucceededIndexes *string
			SucceededCount   *int
		}
	}
	ManagedBy *string
}

// job reads a spec, strictly: what a Job lacks is an error.
func (c *recordedCase) job(manifest json.RawMessage) (*Job, error) {
	var s recordedSpec
	decoder := json.NewDecoder(bytes.NewReader(manifest))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return nil, err
	}
	seconds := func(n *int64) *time.Duration {
		if n == nil {
			return nil
		}
		return new(time.Duration(*n) * time.Second)
	}
	job := good(func(j *Job) {
		if name := c.Scenario.Meta.Name; name != nil {
			j.Name = *name
		}
		j.Labels, j.RestartPolicy = c.Scenario.Meta.Labels, cmp.Or(c.Scenario.RestartPolicy, RestartNever)
		j.Parallelism, j.Completions, j.CompletionMode = s.Parallelism, s.Completions, s.CompletionMode
		j.BackoffLimit, j.MaxFailedIndexes = s.BackoffLimit, s.MaxFailedIndexes
		j.BackoffLimitPerIndex = s.BackoffLimitPerIndex
		j.ActiveDeadline, j.TTLAfterFinished = seconds(s.ActiveDeadlineSeconds), seconds(s.TTLSecondsAfterFinished)
		j.Suspend, j.ManagedBy = s.Suspend, s.ManagedBy
		j.ReplacementPolicy = s.PodReplacementPolicy
	})
	return job, errors.Join(s.setFailurePolicy(job), s.setSuccessPolicy(job))
}

func (s *recordedSpec) setFailurePolicy(job *Job) error {
	if s.PodFailurePolicy == nil {
		return nil
	}
	job.FailurePolicy = []FailureRule{}
	for _, r := range s.PodFailurePolicy.Rules {
		rule := FailureRule{Action: r.Action, OnConditions: r.OnPodConditions}
		if on := r.OnExitCodes; on != nil {
			rule.OnExitCodes = &ExitCodes{ContainerName: on.ContainerName}
			switch on.Operator {
			case "In":
				rule.OnExitCodes.In = append([]int{}, on.Values...)
			case "NotIn":
				rule.OnExitCodes.NotIn = on.Values
			default:
				return fmt.Errorf("no operator %q", on.Operator)
			}
		}
		job.FailurePolicy = append(job.FailurePolicy, rule)
	}
	return nil
}

// setSuccessPolicy returns what [ParseIndexSet] says of bad indexes as the error of
// their field.
func (s *recordedSpec) setSuccessPolicy(job *Job) error {
	if s.SuccessPolicy == nil {
		return nil
	}
	job.SuccessPolicy = []SuccessRule{}
	for i, r := range s.SuccessPolicy.Rules {
		rule := SuccessRule{SucceededCount: r.SucceededCount}
		if text := r.SucceededIndexes; text != nil {
			set, err := ParseIndexSet(*text)
			if err != nil {
				return spec.Invalid(fmt.Sprintf("spec.successPolicy.rules[%d].succeededIndexes", i), *text,
					"error parsing succeededIndexes: "+errors.Unwrap(err).Error())
			}
			rule.SucceededIndexes = &set
		}
		job.SuccessPolicy = append(job.SuccessPolicy, rule)
	}
	return nil
}

// An answer is a job with its defaults, or what is wrong with it.
type answer struct {
	job  Job
	errs []string // sorted
}

// recorded is what the API server said.
func (c *recordedCase) recorded() answer {
	if c.Outcome.Accepted {
		manifest := bytes.Replace(c.Outcome.Defaulted, []byte(`"manualSelector":false,`), nil, 1)
		job, err := c.job(manifest)
		if err != nil {
			return answer{errs: []string{"accepted"}}
		}
		job.ContainerName, job.TerminationGracePeriod = "main", new(30*time.Second)
		job.History, job.LogLimit = new(1000), new(64<<10)
		job.CheckpointLimit, job.ResultLimit = new(1<<20), new(64<<10)
		return answer{job: *job}
	}
	var texts []string
	for _, err := range c.Outcome.Errors {
		kind := strings.TrimPrefix(err.Type, "FieldValue")
		texts = append(texts, fmt.Sprintf("%s %s: %s", kind, err.Field, err.Message))
	}
	slices.Sort(texts)
	return answer{errs: texts}
}

// ours is what we say.
func (c *recordedCase) ours() answer {
	job, err := c.job(c.Scenario.Spec)
	if refused, ok := errors.AsType[spec.FieldError](err); ok {
		return answer{errs: []string{fmt.Sprintf("%s %s", refused.Kind, refused)}}
	}
	if err != nil {
		return answer{errs: []string{notAJob}}
	}
	defaulted := job.withDefaults()
	var texts []string
	for _, err := range defaulted.spec().Validate() {
		texts = append(texts, fmt.Sprintf("%s %s", err.Kind, err))
	}
	if texts == nil {
		return answer{job: defaulted}
	}
	slices.Sort(texts)
	return answer{errs: texts}
}

// notAJob is our answer to a spec that a Job cannot express.
const notAJob = "not expressible"

// excuses are the recorded cases in which our answer differs on purpose.
var excuses = map[string]struct {
	why  string
	errs []string // of our answer; none: we accept the job
}{
	"completions-not-a-number": {why: "a type of Go: no Job has it", errs: []string{notAJob}},
	"completions-fraction":     {why: "a type of Go: no Job has it", errs: []string{notAJob}},
	"policy-no-operator":       {why: "a type of Go: In and NotIn are fields", errs: []string{notAJob}},
	"policy-values-missing": {why: "a type of Go: a list that is nil is not given", errs: []string{
		"Invalid spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: []: at least one value is required"}},
	"policy-unknown-operator": {why: "a type of Go: In and NotIn are fields", errs: []string{notAJob}},
	"completions-above-int32": {why: "counts are ints"},
	"restart-unset": {
		why: "R39: RestartPolicy has a default here, and a Job has no template", errs: []string{notAJob},
	},
	"restart-unknown": {why: "R89: the pod's own validation reports it a second time",
		errs: []string{"NotSupported spec.template.spec.restartPolicy: " +
			`Unsupported value: "Sometimes": supported values: "OnFailure", "Never"`}},
	"template-no-containers":          {why: "R89: a Job has one executor, and no template", errs: []string{notAJob}},
	"template-container-no-image":     {why: "R89: a Job has one executor, and no template", errs: []string{notAJob}},
	"template-duplicate-containers":   {why: "R89: a Job has one executor, and no template", errs: []string{notAJob}},
	"mode-empty":                      {why: "the zero value means the default"},
	"selector-manual":                 {why: "R93: no selectors", errs: []string{notAJob}},
	"selector-manual-mismatch":        {why: "R95: no selectors", errs: []string{notAJob}},
	"selector-manual-missing":         {why: "R93, R95: no selectors", errs: []string{notAJob}},
	"selector-not-manual":             {why: "R95, R97: no selectors", errs: []string{notAJob}},
	"indexed-parallelism-above-limit": {why: "R61: no size caps"},
	"max-failed-required":             {why: "R64: no size caps"},
	"max-failed-large-too-many":       {why: "R66: no size caps"},
	"max-failed-large-parallelism":    {why: "R65: no size caps"},
	"max-failed-100000": {
		why:  "R63: no size caps",
		errs: []string{"Invalid spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to completions"},
	},
	"policy-21-rules":      {why: "R69: no size caps"},
	"policy-256-values":    {why: "R77: no size caps"},
	"policy-21-conditions": {why: "R80: no size caps"},
	"success-21-rules":     {why: "R83: no size caps"},
	"managed-by-too-long":  {why: "R14, R58: no size caps"},
}

func TestRecordedValidation(t *testing.T) {
	data, err := os.ReadFile("testdata/validation.json")
	require.NoError(t, err)
	var cases []recordedCase
	require.NoError(t, json.Unmarshal(data, &cases))

	agree, names := 0, make(map[string]bool)
	for _, c := range cases {
		names[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			want, got := c.recorded(), c.ours()
			excuse, excused := excuses[c.Name]
			if !excused {
				require.Equal(t, want, got)
				agree++
				return
			}
			require.NotEqual(t, want, got, "no excuse is needed any more: %s", excuse.why)
			require.Equal(t, excuse.errs, got.errs, "excused: %s", excuse.why)
		})
	}
	for name := range excuses {
		require.Contains(t, names, name, "no such case is excused")
	}
	t.Logf("agree %d of %d, excused %d", agree, len(cases), len(excuses))
}

// Whatever is wrong with a job, what Go callers read has the names of Go fields.
func TestGoCallersReadGoNames(t *testing.T) {
	data, err := os.ReadFile("testdata/validation.json")
	require.NoError(t, err)
	var cases []recordedCase
	require.NoError(t, json.Unmarshal(data, &cases))
	ofManifests := regexp.MustCompile(`\b(spec|metadata)\.|\b[Pp]od[A-Z]|OnPod|initContainer|template|Seconds\b|` +
		`\.Rules|Operator`)
	texts := 0
	for _, c := range cases {
		job, err := c.job(c.Scenario.Spec)
		if err != nil {
			continue // it cannot be written in Go
		}
		if err := job.Validate(); err != nil {
			texts++
			require.NotRegexp(t, ofManifests, err.Error(), c.Name)
		}
	}
	require.Greater(t, texts, 50)
}
