package conformance

import (
	"encoding/json"
	"slices"
)

// An Observation is what was seen of one run of a scenario. It is also the form
// of the recordings.
type Observation struct {
	// Accepted is whether the job could be created, and Errors why not.
	Accepted bool         `json:"accepted"`
	Errors   []FieldError `json:"errors"`

	// Unfinished means that the horizon came before the job had finished.
	Unfinished bool `json:"unfinished"`
	// FinishedAt is when the job became Complete or Failed, and GoneAt when it
	// vanished. Nil means never.
	FinishedAt *Seconds `json:"finishedAt"`
	GoneAt     *Seconds `json:"goneAt"`

	// Status is the last one seen. Of a job that vanished before it finished
	// that is the last one strictly before GoneAt, but Failed has what was
	// counted when its pods were released.
	Status

	Pods []Pod `json:"pods"` // every pod ever created
	// Events are the events of the job. Nil means that they are not known, and
	// are not compared.
	Events  []Event        `json:"events"`
	Actions []ActionResult `json:"actions"` // of each action that was done
}

// clone returns a copy whose lists may be changed.
func (o *Observation) clone() *Observation {
	c := *o
	c.Errors = slices.Clone(o.Errors)
	c.Conditions = slices.Clone(o.Conditions)
	c.Pods = slices.Clone(o.Pods)
	c.Events = slices.Clone(o.Events)
	c.Actions = slices.Clone(o.Actions)
	for i := range c.Actions {
		c.Actions[i].Errors = slices.Clone(o.Actions[i].Errors)
	}
	return &c
}

// A Status is a job's status.
type Status struct {
	Conditions       []Condition `json:"conditions"`
	Active           int         `json:"active"`
	Ready            int         `json:"ready"`
	Succeeded        int         `json:"succeeded"`
	Failed           int         `json:"failed"`
	Terminating      int         `json:"terminating"`
	CompletedIndexes string      `json:"completedIndexes"`
	FailedIndexes    *string     `json:"failedIndexes"` // nil without backoffLimitPerIndex
	StartTime        *Seconds    `json:"startTime"`
	CompletionTime   *Seconds    `json:"completionTime"`
}

// A Condition is a condition of a job.
type Condition struct {
	Type    string  `json:"type"`
	Status  string  `json:"status"`
	Reason  string  `json:"reason"`
	Message string  `json:"message"` // with {pod-N} for the name of a pod, N being its ordinal
	At      Seconds `json:"at"`      // of the last transition
}

// A Pod is one pod, or attempt.
type Pod struct {
	Ordinal int `json:"ordinal"` // counts the job's pods, in order of creation
	Index   int `json:"index"`   // its completion index; -1 if the job is not Indexed
	Attempt int `json:"attempt"` // counts the pods of the index; 0 if the job is not Indexed

	Created Seconds  `json:"at"`
	End     *Seconds `json:"end"` // nil if it has not ended

	Phase    string `json:"phase"`
	Exit     *int   `json:"exit"`
	Restarts int    `json:"restarts"`
	// Failures and Ignored are how often the index had failed before the pod
	// was created; 0 without backoffLimitPerIndex.
	Failures int `json:"failures"`
	Ignored  int `json:"ignored"`
	// Disrupted is whether the pod has the condition DisruptionTarget.
	Disrupted bool `json:"disrupted"`
	// DeletedBy is who first asked for its deletion. A pod that has ended is
	// deleted along with its job, by "gc", unless the job's deletion orphans it.
	DeletedBy string `json:"deletedBy"`
}

// UnmarshalJSON makes -1 the index of a pod that has none.
func (p *Pod) UnmarshalJSON(text []byte) error {
	type plain Pod
	decoded := plain{Index: -1}
	if err := json.Unmarshal(text, &decoded); err != nil {
		return err
	}
	*p = Pod(decoded)
	return nil
}

// An Event is an event of a job. Its time is not compared: the recorded one has
// the batching.
type Event struct {
	Type    string `json:"type"`
	Reason  string `json:"reason"`
	Message string `json:"message"` // with {pod-N}
}

// An ActionResult is what came of one action of the user.
type ActionResult struct {
	At       Seconds      `json:"at"`
	Accepted bool         `json:"accepted"`
	Errors   []FieldError `json:"errors"`
}

// A FieldError is one reason why something was rejected.
type FieldError struct {
	Field string `json:"field"`
	// Type is "FieldValueInvalid" or the like, of which the prefix may be
	// missing, "NotFound" or "BadRequest".
	Type string `json:"type"`
}
