// Package corpus reads recorded answers of Kubernetes' CronJob controller, and
// compares what was seen with them. It knows no runner: the bare engine and the
// whole controller are held against the same answers.
package corpus

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"time"
)

// Seconds is a duration, or a time since the CronJob was created.
type Seconds float64

// Duration is exact to the microsecond.
func (s Seconds) Duration() time.Duration {
	return time.Duration(math.Round(float64(s)*1e6)) * time.Microsecond
}

// A Case is a scenario and what the real controller made of it.
type Case struct {
	Name     string   `json:"name"`
	Tags     []string `json:"tags"`
	Note     string   `json:"note"`
	Scenario Scenario `json:"scenario"`
	Outcome  Outcome  `json:"outcome"`
	Ideal    *Ideal   `json:"ideal"`
}

// A Scenario is a CronJob and what happens to it.
type Scenario struct {
	Start         time.Time       `json:"start"`
	Spec          json.RawMessage `json:"spec"`
	RestartPolicy string          `json:"restartPolicy"`
	Meta          struct {
		Name   *string           `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"meta"`
	Legacy       bool            `json:"legacy"`
	Jobs         []Plan          `json:"jobs"`
	Actions      []Action        `json:"actions"`
	Skew         Seconds         `json:"skew"`
	Horizon      Seconds         `json:"horizon"`
	ValidateOnly bool            `json:"validateOnly"`
	Update       json.RawMessage `json:"update"`
}

// A Plan is what the pods of a job do.
type Plan struct {
	Start    Seconds `json:"start"`
	D        Seconds `json:"d"`
	Exit     int     `json:"exit"`
	Attempts []Run   `json:"attempts"`
	Term     *Term   `json:"term"`
}

// A Run is one run of a container.
type Run struct {
	D    Seconds `json:"d"`
	Exit int     `json:"exit"`
}

// A Term is a container's reaction to SIGTERM.
type Term struct {
	After Seconds `json:"after"`
	Exit  int     `json:"exit"`
}

// An Action is what the user does.
type Action struct {
	At        Seconds         `json:"at"`
	Patch     json.RawMessage `json:"patch"`
	Delete    string          `json:"delete"`
	Create    json.RawMessage `json:"create"`
	CreateJob *struct {
		Name string `json:"name"`
		From bool   `json:"from"`
		Plan *Plan  `json:"plan"`
	} `json:"createJob"`
	DeleteJob   *int            `json:"deleteJob"`
	Propagation string          `json:"propagation"`
	PatchJob    *int            `json:"patchJob"`
	JobPatch    json.RawMessage `json:"jobPatch"`
	Stop        string          `json:"stop"`
	Start       bool            `json:"start"`
	Skew        *Seconds        `json:"skew"`
}

// An Outcome is what was seen.
type Outcome struct {
	Accepted     bool         `json:"accepted"`
	Errors       []FieldError `json:"errors"`
	GoneAt       *Seconds     `json:"goneAt"`
	EndedAt      Seconds      `json:"endedAt"`
	Active       []string     `json:"active"`
	LastSchedule *Seconds     `json:"lastScheduleTime"`
	LastSuccess  *Seconds     `json:"lastSuccessfulTime"`
	Jobs         []Job        `json:"jobs"`
	Events       []Event      `json:"events"`
	Actions      []Result     `json:"actions"`
	Update       *Result      `json:"update"`

	Defaulted json.RawMessage `json:"defaulted"`
}

// A FieldError is one of the API server's.
type FieldError struct {
	Field   string `json:"field"`
	Type    string `json:"type"`
	Message string `json:"message"`
}

// A Result is what became of an action.
type Result struct {
	At       Seconds      `json:"at"`
	Accepted bool         `json:"accepted"`
	Errors   []FieldError `json:"errors"`
}

// A Job is what was seen of a job.
type Job struct {
	Ordinal     int               `json:"ordinal"`
	Name        string            `json:"name"`
	At          Seconds           `json:"at"`
	By          string            `json:"by"`
	Scheduled   string            `json:"scheduled"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Owned       bool              `json:"owned"`
	End         *Seconds          `json:"end"`
	Result      string            `json:"result"`
	Reason      string            `json:"reason"`
	StartTime   *Seconds          `json:"startTime"`
	DeletedAt   *Seconds          `json:"deletedAt"`
	DeletedBy   string            `json:"deletedBy"`
	GoneAt      *Seconds          `json:"goneAt"`
	Pods        []Pod             `json:"pods"`
}

// A Pod is what was seen of a pod.
type Pod struct {
	At  Seconds  `json:"at"`
	End *Seconds `json:"end"`
}

// An Event is one of the CronJob controller.
type Event struct {
	At      Seconds `json:"at"`
	Type    string  `json:"type"`
	Reason  string  `json:"reason"`
	Message string  `json:"message"`
}

// An Ideal has times of an outcome without the controllers' delays.
type Ideal struct {
	GoneAt *Seconds     `json:"goneAt"`
	Jobs   [][3]Seconds `json:"jobs"` // created, ended, deleted; -1 for never
	Events []Seconds    `json:"events"`
}

// A Spec is a CronJobSpec.
type Spec struct {
	Schedule          string  `json:"schedule"`
	TimeZone          *string `json:"timeZone"`
	Deadline          *int64  `json:"startingDeadlineSeconds"`
	ConcurrencyPolicy string  `json:"concurrencyPolicy"`
	Suspend           bool    `json:"suspend"`
	Successful        *int32  `json:"successfulJobsHistoryLimit"`
	Failed            *int32  `json:"failedJobsHistoryLimit"`
	JobTemplate       struct {
		Metadata struct {
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec json.RawMessage `json:"spec"`
	} `json:"jobTemplate"`
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
		if c.Scenario.RestartPolicy == "" {
			c.Scenario.RestartPolicy = "Never"
		}
	}
	return cases, nil
}

// Name is that of the CronJob.
func (s *Scenario) Name() string {
	if s.Meta.Name != nil {
		return *s.Meta.Name
	}
	return "cron"
}

// PlanOf returns the plan of the k-th job that the controller makes.
func (s *Scenario) PlanOf(k int) Plan {
	if len(s.Jobs) == 0 {
		return Plan{D: 5}
	}
	return s.Jobs[min(k, len(s.Jobs)-1)]
}

// Run returns the n-th run of a container.
func (p Plan) Run(n int) Run {
	if len(p.Attempts) == 0 {
		return Run{p.D, p.Exit}
	}
	return p.Attempts[min(n, len(p.Attempts)-1)]
}

// ParseSpec reads a spec. An error is what the API server calls a bad request.
func ParseSpec(text json.RawMessage) (Spec, error) {
	var s Spec
	err := json.Unmarshal(text, &s)
	return s, err
}
