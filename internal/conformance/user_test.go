package conformance

import (
	"bytes"
	"context"
	"errors"
	"math"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// create creates the job, and reports whether it was accepted.
func (s *session) create(ctx context.Context) bool {
	job, err := s.c.Scenario.Job()
	if refused, ok := errors.AsType[*InexpressibleError](err); ok {
		s.got.Errors = []FieldError{refused.FieldError}
		return false
	}
	if err != nil {
		s.got.Errors = []FieldError{{Type: "BadRequest"}}
		return false
	}
	job.Executor = s.executor()
	s.job = job.Name
	s.got.Accepted, s.got.Errors = s.answer(s.ctl.Create(ctx, job))
	if s.got.Accepted {
		s.spec = Default(s.c.Scenario.Spec)
	}
	return s.got.Accepted
}

// executor is the kubelet. Jobs that are only to be created, of up to 100 000
// attempts, get one that is cheaper.
func (s *session) executor() batch.Executor {
	if !s.c.Scenario.ValidateOnly {
		return s.kubelet
	}
	return batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
		<-ctx.Done()
		return exitError(ExitTerm)
	})
}

// checkDefaults compares the defaults that the controller has filled in.
func (s *session) checkDefaults() {
	if !s.c.Outcome.Accepted {
		return
	}
	want, err := Convert(s.c.Outcome.Defaulted, s.c.Scenario.RestartPolicy)
	require.NoError(s.t, err)
	defaulted, err := s.ctl.Job(s.job)
	require.NoError(s.t, err)
	got := batch.Job{RestartPolicy: defaulted.RestartPolicy}
	setSpec(&got, defaulted)
	if want.BackoffLimitPerIndex != nil && *want.BackoffLimit == math.MaxInt32 {
		got.BackoffLimit, want.BackoffLimit = nil, nil // both mean no limit
	}
	require.Equal(s.t, want, got, "defaults")
}

// answer says what the API server would have answered.
func (s *session) answer(err error) (accepted bool, errs []FieldError) {
	if err == nil {
		return true, nil
	}
	if errors.Is(err, batch.ErrNotFound) {
		return false, []FieldError{{Type: "NotFound"}}
	}
	invalid, ok := errors.AsType[*batch.ValidationError](err)
	require.True(s.t, ok, "%v", err)
	for _, f := range invalid.Fields {
		errs = append(errs, FieldError{f.Field, f.Kind})
	}
	return false, errs
}

// act does the next action, unless the job has finished and it makes no
// difference then.
func (s *session) act() {
	a := s.actions[0]
	s.actions = s.actions[1:]
	if s.final != nil && !a.AfterFinish() {
		return
	}
	result := ActionResult{At: s.now()}
	result.Accepted, result.Errors = s.answer(s.do(a))
	s.got.Actions = append(s.got.Actions, result)
}

func (s *session) do(a Action) error {
	ctx := s.t.Context()
	switch {
	case a.Delete != "":
		s.orphan = a.Delete == string(batch.DeleteOrphan)
		return s.ctl.Delete(ctx, s.job, string(a.Delete))
	case a.DeletePod != nil:
		return s.deletePod(ctx, *a.DeletePod)
	}
	return s.patch(ctx, a.Patch)
}

// patch changes the job's spec.
func (s *session) patch(ctx context.Context, patch []byte) error {
	spec := Default(MergePatch(s.spec, patch))
	changed, err := Convert(spec, s.c.Scenario.RestartPolicy)
	require.NoError(s.t, err)
	err = s.ctl.Update(ctx, s.job, func(j *batch.Job) { setSpec(j, changed) })
	if err == nil {
		s.spec = spec
		s.resized = s.resized || bytes.Contains(patch, []byte("completions"))
	}
	return err
}

// setSpec gives j the fields that [Convert] sets, except those that come from
// the pod template.
func setSpec(j *batch.Job, spec batch.Job) {
	j.Parallelism = spec.Parallelism
	j.Completions = spec.Completions
	j.CompletionMode = spec.CompletionMode
	j.BackoffLimit = spec.BackoffLimit
	j.BackoffLimitPerIndex = spec.BackoffLimitPerIndex
	j.MaxFailedIndexes = spec.MaxFailedIndexes
	j.ActiveDeadline = spec.ActiveDeadline
	j.TTLAfterFinished = spec.TTLAfterFinished
	j.Suspend = spec.Suspend
	j.ReplacementPolicy = spec.ReplacementPolicy
	j.FailurePolicy = spec.FailurePolicy
	j.SuccessPolicy = spec.SuccessPolicy
	j.ManagedBy = spec.ManagedBy
}

// deletePod deletes a pod. One that has ended is only removed, which the library
// leaves to its history; one that was deleted before its end is gone by then.
func (s *session) deletePod(ctx context.Context, ordinal int) error {
	for _, pod := range s.pods {
		if pod.Ordinal != ordinal {
			continue
		}
		err := s.ctl.DeleteAttempt(ctx, s.job, pod.name)
		if !errors.Is(err, batch.ErrAttemptEnded) {
			return err
		}
		if pod.DeletedBy != "" {
			return batch.ErrNotFound
		}
		pod.DeletedBy = string("user")
		return nil
	}
	return batch.ErrNotFound
}
