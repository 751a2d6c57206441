// Package spec has the rules for the declaration of a job: its defaults, what is wrong
// with it, what an update may change, and what it means to the engine. A declaration is
// plain data here. Of functions, a Job only says which ones there are.
package spec

import (
	"time"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/indexset"
)

// The words of Kubernetes that a declaration may have.
const (
	NonIndexed = "NonIndexed"
	Indexed    = "Indexed"

	RestartNever     = "Never"
	RestartOnFailure = "OnFailure"

	ReplaceTerminatingOrFailed = "TerminatingOrFailed"
	ReplaceFailed              = "Failed"

	ActionFailJob   = "FailJob"
	ActionFailIndex = "FailIndex"
	ActionIgnore    = "Ignore"
	ActionCount     = "Count"
)

// A Job is the declaration of a job. Its fields are those of the public type.
type Job struct {
	Name                string
	Labels, Annotations map[string]string
	ContainerName       string
	Input               any // see EncodeInput

	Completions, Parallelism      *int
	CompletionMode, RestartPolicy string

	BackoffLimit, BackoffLimitPerIndex, MaxFailedIndexes *int

	ActiveDeadline, AttemptTimeout           *time.Duration
	ProgressDeadline                         time.Duration
	TerminationGracePeriod, TTLAfterFinished *time.Duration

	Suspend           bool
	ReplacementPolicy string
	FailurePolicy     []FailureRule
	SuccessPolicy     []SuccessRule
	ManagedBy         *string

	After, Limits []string
	Priority      int

	History, LogLimit, CheckpointLimit, ResultLimit *int

	// ExecutorErrors are what is wrong with the executor.
	ExecutorErrors []FieldError
}

// A FailureRule is a rule of a failure policy.
type FailureRule struct {
	Action      string
	OnExitCodes *ExitCodes
	// OnConditions have a type and a status only.
	OnConditions []engine.Condition
	// OnError is whether there is a function that matches errors.
	OnError bool
}

// ExitCodes are those in In, or those not in NotIn.
type ExitCodes struct {
	ContainerName string
	In            []int
	NotIn         []int
}

// A SuccessRule is a rule of a success policy.
type SuccessRule struct {
	Indexes *indexset.Set
	Count   *int
}

// thisController is the value of ManagedBy that means this controller.
const thisController = "kubernetes.io/job-controller"

// OtherManager is the controller that has the job; empty if it is this one.
func (j *Job) OtherManager() string {
	if j.ManagedBy == nil || *j.ManagedBy == thisController {
		return ""
	}
	return *j.ManagedBy
}
