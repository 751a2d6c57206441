package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/runtocompletion/batch"
)

// Job returns the scenario's job, without an executor. An error means that the
// spec does not fit the types of a JobSpec, what the recordings call BadRequest.
func (s *Scenario) Job() (batch.Job, error) {
	job, err := Convert(s.Spec, s.RestartPolicy)
	job.Name = "job"
	if s.Meta.Name != nil {
		job.Name = *s.Meta.Name
	}
	job.Labels = s.Meta.Labels
	return job, err
}

// A jobSpec is a batch/v1 JobSpec: its fields that a [batch.Job] has as well.
type jobSpec struct {
	Parallelism             *int32         `json:"parallelism"`
	Completions             *int32         `json:"completions"`
	CompletionMode          string         `json:"completionMode"`
	BackoffLimit            *int32         `json:"backoffLimit"`
	BackoffLimitPerIndex    *int32         `json:"backoffLimitPerIndex"`
	MaxFailedIndexes        *int32         `json:"maxFailedIndexes"`
	ActiveDeadlineSeconds   *int64         `json:"activeDeadlineSeconds"`
	TTLSecondsAfterFinished *int32         `json:"ttlSecondsAfterFinished"`
	Suspend                 bool           `json:"suspend"`
	PodReplacementPolicy    string         `json:"podReplacementPolicy"`
	PodFailurePolicy        *failurePolicy `json:"podFailurePolicy"`
	SuccessPolicy           *successPolicy `json:"successPolicy"`
	ManagedBy               *string        `json:"managedBy"`
	Template                *podTemplate   `json:"template"`
}

type failurePolicy struct {
	Rules []struct {
		Action          string             `json:"action"`
		OnExitCodes     *exitCodes         `json:"onExitCodes"`
		OnPodConditions []conditionPattern `json:"onPodConditions"`
	} `json:"rules"`
}

type exitCodes struct {
	ContainerName string  `json:"containerName"`
	Operator      string  `json:"operator"`
	Values        []int32 `json:"values"`
}

type conditionPattern struct {
	Type   string `json:"type"`
	Status string `json:"status"`
}

type successPolicy struct {
	Rules []struct {
		SucceededIndexes *string `json:"succeededIndexes"`
		SucceededCount   *int32  `json:"succeededCount"`
	} `json:"rules"`
}

type podTemplate struct {
	Spec struct {
		RestartPolicy string `json:"restartPolicy"`
		Containers    []struct {
			Name string `json:"name"`
		} `json:"containers"`
	} `json:"spec"`
}

// Convert returns the job that a JobSpec describes, without name and executor.
// RestartPolicy is that of the pod template if the spec has no template. What
// is unset in the spec is unset in the job.
func Convert(spec json.RawMessage, restartPolicy string) (batch.Job, error) {
	var s jobSpec
	if err := json.Unmarshal(spec, &s); err != nil {
		return batch.Job{}, err
	}
	success, err := s.SuccessPolicy.convert()
	if err != nil {
		return batch.Job{}, err
	}
	failure, err := s.PodFailurePolicy.convert()
	if err != nil {
		return batch.Job{}, err
	}
	job := batch.Job{
		Parallelism:          asInt(s.Parallelism),
		Completions:          asInt(s.Completions),
		CompletionMode:       string(s.CompletionMode),
		RestartPolicy:        string(restartPolicy),
		BackoffLimit:         asInt(s.BackoffLimit),
		BackoffLimitPerIndex: asInt(s.BackoffLimitPerIndex),
		MaxFailedIndexes:     asInt(s.MaxFailedIndexes),
		ActiveDeadline:       asDuration(s.ActiveDeadlineSeconds),
		TTLAfterFinished:     asDuration(s.TTLSecondsAfterFinished),
		Suspend:              s.Suspend,
		ReplacementPolicy:    string(s.PodReplacementPolicy),
		FailurePolicy:        failure,
		SuccessPolicy:        success,
		ManagedBy:            s.ManagedBy,
	}
	if s.Template != nil {
		job.RestartPolicy = string(s.Template.Spec.RestartPolicy)
		if containers := s.Template.Spec.Containers; len(containers) > 0 {
			job.ContainerName = containers[0].Name
		}
	}
	return job, nil
}

// An InexpressibleError reports a value that no [batch.Job] can have: its types have no
// place for it, so that the field is refused when the job is written.
type InexpressibleError struct {
	FieldError
	Value string
}

func (e *InexpressibleError) Error() string {
	return fmt.Sprintf("%s: %s: no batch.Job has %q", e.Field, e.Type, e.Value)
}

func (p *failurePolicy) convert() ([]batch.FailureRule, error) {
	if p == nil {
		return nil, nil
	}
	policy := []batch.FailureRule{}
	for i, r := range p.Rules {
		rule := batch.FailureRule{Action: string(r.Action)}
		if codes := r.OnExitCodes; codes != nil {
			values := make([]int, len(codes.Values))
			for i, code := range codes.Values {
				values[i] = int(code)
			}
			rule.OnExitCodes = &batch.ExitCodes{ContainerName: codes.ContainerName}
			switch codes.Operator {
			case "In":
				rule.OnExitCodes.In = values
			case "NotIn":
				rule.OnExitCodes.NotIn = values
			default:
				kind := "NotSupported"
				if codes.Operator == "" {
					kind = "Required"
				}
				field := fmt.Sprintf("spec.podFailurePolicy.rules[%d].onExitCodes.operator", i)
				return nil, &InexpressibleError{FieldError{field, kind}, codes.Operator}
			}
		}
		for _, pattern := range r.OnPodConditions {
			rule.OnConditions = append(rule.OnConditions, batch.Condition{
				Type:   pattern.Type,
				Status: pattern.Status,
			})
		}
		policy = append(policy, rule)
	}
	return policy, nil
}

func (p *successPolicy) convert() ([]batch.SuccessRule, error) {
	if p == nil {
		return nil, nil
	}
	policy := []batch.SuccessRule{}
	for i, r := range p.Rules {
		rule := batch.SuccessRule{SucceededCount: asInt(r.SucceededCount)}
		if r.SucceededIndexes != nil {
			set, err := batch.ParseIndexSet(*r.SucceededIndexes)
			if err != nil {
				field := fmt.Sprintf("spec.successPolicy.rules[%d].succeededIndexes", i)
				return nil, &InexpressibleError{FieldError{field, "Invalid"}, *r.SucceededIndexes}
			}
			rule.SucceededIndexes = &set
		}
		policy = append(policy, rule)
	}
	return policy, nil
}

func asInt(n *int32) *int {
	if n == nil {
		return nil
	}
	return new(int(*n))
}

func asDuration[T int32 | int64](seconds *T) *time.Duration {
	if seconds == nil {
		return nil
	}
	const most = math.MaxInt64 / int64(time.Second)
	return new(time.Duration(min(int64(*seconds), most)) * time.Second)
}

// Default fills in the defaults of a JobSpec as the API server does. Patches
// apply to the result. It panics if spec is no JSON object.
func Default(spec json.RawMessage) json.RawMessage {
	fields := decode[map[string]any](spec)
	setDefault := func(name string, value any) {
		if fields[name] == nil {
			fields[name] = value
		}
	}
	if fields["parallelism"] == nil {
		setDefault("completions", 1)
	}
	setDefault("parallelism", 1)
	setDefault("completionMode", "NonIndexed")
	setDefault("suspend", false)
	setDefault("manualSelector", false)
	if fields["backoffLimitPerIndex"] == nil {
		setDefault("backoffLimit", 6)
	}
	setDefault("backoffLimit", math.MaxInt32)
	if policy, ok := fields["podFailurePolicy"].(map[string]any); ok {
		defaultConditionStatus(policy)
		setDefault("podReplacementPolicy", "Failed")
	}
	setDefault("podReplacementPolicy", "TerminatingOrFailed")
	return encode(fields)
}

func defaultConditionStatus(policy map[string]any) {
	rules, _ := policy["rules"].([]any)
	for _, r := range rules {
		rule, _ := r.(map[string]any)
		patterns, _ := rule["onPodConditions"].([]any)
		for _, p := range patterns {
			if pattern, ok := p.(map[string]any); ok && pattern["status"] == nil {
				pattern["status"] = "True"
			}
		}
	}
}

// MergePatch applies a JSON merge patch (RFC 7386) to an object. It panics if
// one of them is no JSON.
func MergePatch(object, patch json.RawMessage) json.RawMessage {
	return encode(merged(decode[any](object), decode[any](patch)))
}

func merged(object, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	fields, ok := object.(map[string]any)
	if !ok {
		fields = make(map[string]any)
	}
	for name, change := range changes {
		if change == nil {
			delete(fields, name)
			continue
		}
		fields[name] = merged(fields[name], change)
	}
	return fields
}

// decode reads JSON, and keeps numbers as they are written.
func decode[T any](text json.RawMessage) (value T) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		panic(fmt.Sprintf("conformance: %v in %s", err, text))
	}
	return value
}

func encode(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		panic("conformance: " + err.Error())
	}
	return text
}
