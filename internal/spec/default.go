package spec

import (
	"cmp"
	"math"
	"time"
)

// BackoffLimit is the default limit of a job that has none for each index.
const BackoffLimit = 6

// The other defaults that are numbers.
const (
	noBackoffLimit  = math.MaxInt32 // as in Kubernetes
	gracePeriod     = 30 * time.Second
	history         = 1000
	logLimit        = 64 << 10
	checkpointLimit = 1 << 20
	resultLimit     = 64 << 10
)

// SetDefaults resolves the defaults of j, without changing what it points to. What is
// nil then stays off: no completions (a work queue), no such limit, no such policy.
func (j *Job) SetDefaults() {
	if j.Completions == nil && j.Parallelism == nil { // without Completions alone, a work queue
		j.Completions = new(1)
	}
	orDefault(&j.Parallelism, 1)
	j.CompletionMode = cmp.Or(j.CompletionMode, NonIndexed)
	j.RestartPolicy = cmp.Or(j.RestartPolicy, RestartNever)
	j.ContainerName = cmp.Or(j.ContainerName, "main")
	if j.BackoffLimitPerIndex != nil {
		orDefault(&j.BackoffLimit, noBackoffLimit)
	}
	orDefault(&j.BackoffLimit, BackoffLimit)
	orDefault(&j.TerminationGracePeriod, gracePeriod)
	if j.FailurePolicy != nil {
		j.ReplacementPolicy = cmp.Or(j.ReplacementPolicy, ReplaceFailed)
	}
	j.ReplacementPolicy = cmp.Or(j.ReplacementPolicy, ReplaceTerminatingOrFailed)
	orDefault(&j.History, history)
	orDefault(&j.LogLimit, logLimit)
	orDefault(&j.CheckpointLimit, checkpointLimit)
	orDefault(&j.ResultLimit, resultLimit)
	j.Input = EncodeInput(j.Input)
}

func orDefault[T any](p **T, value T) {
	if *p == nil {
		*p = new(value)
	}
}
