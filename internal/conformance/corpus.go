// Package conformance replays recorded answers of Kubernetes' Job controller.
//
// The recordings are in testdata: each case is a job, a script of what its pods
// and its user do, and what the real controller made of it. A runner plays the
// script to an implementation, writes down what it saw as an [Observation], and
// [Compare] lists where that differs from the recording. Everything in this
// package but its tests is free of runners, clocks and goroutines, so that the
// bare engine and the whole controller are held against the same answers.
package conformance

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"
)

// Seconds is a duration, or a time since the job was created, in seconds. All
// times of the recordings are such.
type Seconds float64

// Duration returns s as a time.Duration, exact to the microsecond.
func (s Seconds) Duration() time.Duration {
	return time.Duration(math.Round(float64(s)*1e6)) * time.Microsecond
}

// InSeconds returns d in seconds.
func InSeconds(d time.Duration) Seconds { return Seconds(d.Seconds()) }

// A Case is one scenario and what the real controller made of it.
type Case struct {
	Name     string   `json:"name"` // unique within its file
	Tags     []string `json:"tags"`
	Note     string   `json:"note"`
	Scenario Scenario `json:"scenario"`
	Outcome  Outcome  `json:"outcome"`
	Ideal    Ideal    `json:"ideal"`
}

// A Scenario is a job and what happens to it.
type Scenario struct {
	// Spec is a batch/v1 JobSpec, as a user would write it.
	Spec json.RawMessage `json:"spec"`
	// RestartPolicy is that of the pod template, unless Spec has a template.
	RestartPolicy string `json:"restartPolicy"`
	// Meta is laid over the job's metadata.
	Meta struct {
		Name   *string           `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"meta"`
	Pods Pods `json:"pods"`
	// Actions are what the user does, in order of time.
	Actions []Action `json:"actions"`
	// Horizon is when the run is given up.
	Horizon Seconds `json:"horizon"`
	// ValidateOnly means that the job is only created.
	ValidateOnly bool `json:"validateOnly"`
}

// Pods is the script of all pods of a job.
type Pods struct {
	Index   map[string][]Plan `json:"index"`   // by completion index: one plan for each attempt
	Ordinal []Plan            `json:"ordinal"` // of other jobs, in order of creation
	Default *Plan             `json:"default"` // where neither applies
}

// A Plan is what one pod does.
type Plan struct {
	// Start is how long the pod stays Pending.
	Start Seconds `json:"start"`
	// Runs are the runs of its container: more than one if it is restarted in
	// place. The last one repeats.
	Runs []Run `json:"runs"`
	// Disrupt is what befalls the pod from outside; nil if nothing does.
	Disrupt *Disruption `json:"disrupt"`
	// Term is how the container reacts to SIGTERM. Nil means that it exits at
	// once with code 143.
	Term *Term `json:"term"`
}

// A Run is one run of a container.
type Run struct {
	D    Seconds `json:"d"` // how long it takes
	Exit int     `json:"exit"`
}

// A Disruption ends a pod from outside, if it still runs by then.
type Disruption struct {
	At   Seconds        `json:"at"` // after the pod became Running
	Kind DisruptionKind `json:"kind"`
}

// DisruptionKind says what a [Disruption] does. Each kind gives the pod the
// condition DisruptionTarget.
type DisruptionKind string

const (
	Evict   DisruptionKind = "evict"   // deletes the pod gracefully
	Kubelet DisruptionKind = "kubelet" // makes it Failed with exit code 137
	PodGC   DisruptionKind = "podgc"   // makes it Failed without an exit code, and removes it
)

// A Term is a container's reaction to SIGTERM.
type Term struct {
	After Seconds `json:"after"` // how long it takes to stop
	Exit  int     `json:"exit"`
}

// GracePeriod is that of a deleted pod.
const GracePeriod Seconds = 30

// The exit codes of containers that were ended by SIGTERM and SIGKILL. A pod
// that ends without ever having started is given the latter too.
const (
	ExitTerm = 143
	ExitKill = 137
)

// An Action is one thing the user does. One of Patch, Delete and DeletePod is
// set.
type Action struct {
	At Seconds `json:"at"`
	// Patch is a JSON merge patch of the job's spec.
	Patch json.RawMessage `json:"patch"`
	// Delete deletes the job, with this propagation.
	Delete string `json:"delete"`
	// DeletePod deletes the pod of this ordinal gracefully.
	DeletePod *int `json:"deletePod"`
}

// AfterFinish reports whether a is done also if the job has finished: only
// deletions and changes of its TTL are.
func (a Action) AfterFinish() bool {
	if a.Delete != "" {
		return true
	}
	var patch map[string]json.RawMessage
	if json.Unmarshal(a.Patch, &patch) != nil {
		return false
	}
	_, ttl := patch["ttlSecondsAfterFinished"]
	return ttl && len(patch) == 1
}

// An Outcome is what the real controller was seen to do.
type Outcome struct {
	Observation
	EndedAt Seconds `json:"endedAt"` // when the run stopped
	// Defaulted is the spec with its defaults; only for ValidateOnly.
	Defaulted json.RawMessage `json:"defaulted"`
}

// Ideal has the times of an outcome without the controller's batching of one
// second. Nil means never.
type Ideal struct {
	FinishedAt     *Seconds     `json:"finishedAt"`
	GoneAt         *Seconds     `json:"goneAt"`
	StartTime      *Seconds     `json:"startTime"`
	CompletionTime *Seconds     `json:"completionTime"`
	Conditions     []Seconds    `json:"conditions"` // in the order of the outcome's
	Pods           [][2]Seconds `json:"pods"`       // created and ended, by ordinal; ended is -1 if it has not
}

// Load reads a file of cases.
func Load(file string) ([]*Case, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var cases []*Case
	if err := json.Unmarshal(text, &cases); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, c := range cases {
		c.setDefaults()
	}
	return cases, nil
}

func (c *Case) setDefaults() {
	if c.Scenario.Horizon == 0 {
		c.Scenario.Horizon = 21600
	}
	if c.Scenario.RestartPolicy == "" {
		c.Scenario.RestartPolicy = "Never"
	}
}

// PlanFor returns the plan of a pod. Index is its completion index, or -1 if
// the job is not Indexed, and attempt counts the pods of that index from 0.
// Ordinal counts all pods of the job; it matters only if the job is not
// Indexed, and attempt only if it is.
func (s *Scenario) PlanFor(index, attempt, ordinal int) Plan {
	var plans []Plan
	if index >= 0 {
		plans = s.Pods.Index[strconv.Itoa(index)]
	} else {
		plans, attempt = s.Pods.Ordinal, ordinal
	}
	switch {
	case len(plans) > 0:
		return plans[min(attempt, len(plans)-1)]
	case s.Pods.Default != nil:
		return *s.Pods.Default
	}
	return Plan{Runs: []Run{{D: 5}}}
}

// Run returns the run of the container after so many restarts in place.
func (p Plan) Run(restarts int) Run {
	if len(p.Runs) == 0 {
		return Run{D: 5}
	}
	return p.Runs[min(restarts, len(p.Runs)-1)]
}

// Stop returns what a running container does on SIGTERM: how long it takes to
// stop, and with which exit code it does.
func (p Plan) Stop() Term {
	switch {
	case p.Term == nil:
		return Term{Exit: ExitTerm}
	case p.Term.After > GracePeriod:
		return Term{After: GracePeriod, Exit: ExitKill}
	}
	return *p.Term
}

// Want returns what an implementation without batching is to answer: the
// recorded outcome with the ideal times.
func (c *Case) Want() *Observation {
	want := c.Outcome.clone()
	if !want.Accepted || c.Scenario.ValidateOnly {
		return want
	}
	want.FinishedAt, want.GoneAt = c.Ideal.FinishedAt, c.Ideal.GoneAt
	want.StartTime, want.CompletionTime = c.Ideal.StartTime, c.Ideal.CompletionTime
	for i, at := range c.Ideal.Conditions {
		want.Conditions[i].At = at
	}
	for i, times := range c.Ideal.Pods {
		want.Pods[i].Created, want.Pods[i].End = times[0], nil
		if times[1] >= 0 {
			want.Pods[i].End = &times[1]
		}
	}
	return want
}
