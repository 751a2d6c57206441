package cron

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron/internal/corpus"
	"github.com/runtocompletion/batch/contrib/cron/internal/schedule"
	"github.com/runtocompletion/batch/internal/conformance"
)

// convert makes a CronJob of a manifest's spec.
func (s *session) convert(text json.RawMessage) (CronJob, error) {
	spec, err := corpus.ParseSpec(text)
	if err != nil {
		return CronJob{}, err
	}
	template := spec.JobTemplate.Spec
	if len(template) == 0 {
		template = json.RawMessage("{}")
	}
	job, err := conformance.Convert(template, s.c.Scenario.RestartPolicy)
	if err != nil {
		return CronJob{}, err
	}
	job.Labels, job.Annotations = spec.JobTemplate.Metadata.Labels, spec.JobTemplate.Metadata.Annotations
	job.Executor, job.Backoff = s.kubelet, batch.BackoffFunc(s.kubelet.backoff)
	c := CronJob{
		Name: s.name, Schedule: spec.Schedule, ConcurrencyPolicy: ConcurrencyPolicy(spec.ConcurrencyPolicy),
		Suspend: spec.Suspend, SuccessfulJobsHistoryLimit: asInt(spec.Successful), FailedJobsHistoryLimit: asInt(spec.Failed),
		Job: job,
	}
	if spec.TimeZone != nil {
		c.TimeZone = *spec.TimeZone
	}
	if d := spec.Deadline; d != nil {
		c.StartingDeadline = new(time.Duration(min(*d, int64(schedule.NoDeadline/time.Second))) * time.Second)
		if *d == 0 {
			c.StartingDeadline = new(StartNothing)
		}
	}
	return c, nil
}

func asInt(n *int32) *int {
	if n == nil {
		return nil
	}
	return new(int(*n))
}

// answer says what the API server would have answered.
func (s *session) answer(err error) (accepted bool, errs []corpus.FieldError) {
	if err == nil {
		return true, nil
	}
	var fields []batch.FieldError
	if invalid, ok := errors.AsType[*ValidationError](err); ok {
		fields = invalid.Fields
	} else if invalid, ok := errors.AsType[*batch.ValidationError](err); ok {
		fields = invalid.Fields
	} else {
		known := errors.Is(err, ErrNotFound) || errors.Is(err, ErrExists) || errors.Is(err, batch.ErrExists) || errors.Is(
			err, batch.ErrNotFound,
		)
		_, isJSON := errors.AsType[*json.UnmarshalTypeError](err)
		require.True(s.t, known || isJSON, "%v", err)
	}
	for _, f := range fields {
		errs = append(errs, corpus.FieldError{Field: f.Field, Type: f.Kind})
	}
	return false, errs
}

func (s *session) create(spec json.RawMessage) {
	job, err := s.convert(spec)
	if err == nil && s.c.Scenario.Legacy {
		s.createLegacy(job.withDefaults())
	} else if err == nil {
		err = s.cron.Create(s.t.Context(), job)
	}
	accepted, errs := s.answer(err)
	s.got.Accepted, s.got.Errors = accepted, errs
	if accepted {
		s.spec = spec
	}
}

// createLegacy puts a CronJob into the store that an older version has accepted.
func (s *session) createLegacy(job CronJob) {
	old := newRun(s.cron, job)
	require.NoError(s.t, s.jobs.SaveRecord(s.t.Context(), specKey(job.Name), old.saveSpec()))
	require.NoError(s.t, s.cron.Shutdown(s.t.Context()))
	s.open()
	s.declare(job)
}

// declare gives a stored CronJob its executor, as Apply does, without validation.
func (s *session) declare(job CronJob) {
	s.cron.mu.Lock()
	r, err := s.cron.find(s.name)
	s.cron.mu.Unlock()
	if errors.Is(err, ErrNotFound) {
		return
	}
	require.NoError(s.t, err)
	require.NoError(s.t, r.ask(s.t.Context(), input{change: &revision{job, &job, r.version}}))
}

// update is that of a case which only validates.
func (s *session) update() {
	if s.c.Scenario.Update == nil {
		return
	}
	accepted, errs := s.answer(s.patch(s.c.Scenario.Update))
	s.got.Update = &corpus.Result{Accepted: accepted, Errors: errs}
}

func (s *session) act(a corpus.Action) {
	result := corpus.Result{At: s.now()}
	result.Accepted, result.Errors = s.answer(s.do(a))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got.Actions = append(s.got.Actions, result)
}

func (s *session) do(a corpus.Action) error {
	ctx := s.t.Context()
	switch {
	case a.Patch != nil:
		return s.patch(a.Patch)
	case a.Delete != "":
		return s.delete(a.Delete)
	case a.Create != nil:
		return s.createAgain(a.Create)
	case a.CreateJob != nil && !a.CreateJob.From:
		return s.jobs.Create(ctx, batch.Job{
			Name: a.CreateJob.Name, Executor: s.kubelet, Backoff: batch.BackoffFunc(s.kubelet.backoff),
		})
	case a.CreateJob != nil:
		return s.trigger(a.CreateJob.Name)
	case a.DeleteJob != nil:
		return s.deleteJob(*a.DeleteJob, a.Propagation)
	case a.PatchJob != nil:
		return s.patchJob(*a.PatchJob, a.JobPatch)
	case a.Skew != nil:
		s.skew.Store(int64(a.Skew.Duration()))
	case a.Stop != "":
		s.stop(a.Stop)
	case a.Start:
		s.startAgain()
	}
	return nil
}

func (s *session) patch(patch json.RawMessage) error {
	spec := conformance.MergePatch(s.spec, patch)
	changed, err := s.convert(spec)
	if err != nil {
		return err
	}
	if s.down {
		changed.Job.Executor = nil
	}
	err = s.cron.Update(s.t.Context(), s.name, func(j *CronJob) { *j = changed })
	if err == nil {
		s.spec = spec
	}
	return err
}

func (s *session) delete(how string) error {
	s.mu.Lock()
	for _, j := range s.seen {
		if j.Owned && j.DeletedAt == nil && how != "Orphan" {
			j.by = "gc"
		}
	}
	s.mu.Unlock()
	return s.cron.Delete(s.t.Context(), s.name, string(how))
}

func (s *session) createAgain(spec json.RawMessage) error {
	job, err := s.convert(spec)
	if err != nil {
		return err
	}
	if err := s.cron.Create(s.t.Context(), job); err != nil {
		return err
	}
	s.spec = spec
	if s.down {
		s.reopen()
	}
	return nil
}

// trigger makes a job by hand. While the controllers are down, a client does that by
// itself.
func (s *session) trigger(name string) error {
	if !s.down {
		return s.cron.Trigger(s.t.Context(), s.name, name)
	}
	job, err := s.convert(s.spec)
	require.NoError(s.t, err)
	status, err := s.cron.Get(s.name)
	if err != nil {
		return err
	}
	return s.jobs.Create(s.t.Context(), newJob(&job, status.UID, name, time.Time{}, closed))
}

func (s *session) deleteJob(ordinal int, how string) error {
	s.mu.Lock()
	if ordinal >= len(s.seen) || s.seen[ordinal].GoneAt != nil {
		s.mu.Unlock()
		return batch.ErrNotFound
	}
	j := s.seen[ordinal]
	if j.DeletedAt == nil {
		j.by = "user"
	}
	s.mu.Unlock()
	return s.jobs.Delete(s.t.Context(), j.Name, string(how))
}

func (s *session) patchJob(ordinal int, patch json.RawMessage) error {
	s.mu.Lock()
	if ordinal >= len(s.seen) || s.seen[ordinal].GoneAt != nil {
		s.mu.Unlock()
		return batch.ErrNotFound
	}
	name := s.seen[ordinal].Name
	s.mu.Unlock()
	var change struct{ Suspend *bool }
	require.NoError(s.t, json.Unmarshal(patch, &change))
	require.NotNil(s.t, change.Suspend, "%s", patch)
	return s.jobs.Update(s.t.Context(), name, func(j *batch.Job) { j.Suspend = *change.Suspend })
}

// stop ends the controller, and the pods' with it if all are stopped. In its place
// is one that knows no executors yet: it keeps what users do, and starts nothing.
func (s *session) stop(what string) {
	s.down = true
	if what == "all" {
		s.kubelet.stop()
	}
	s.reopen()
}

func (s *session) reopen() {
	require.NoError(s.t, s.cron.Shutdown(s.t.Context()))
	s.open()
}

func (s *session) startAgain() {
	s.down = false
	s.reopen()
	s.agenda.add(time.Now().Add(reaction), ofPods, s.kubelet.start)
	job, err := s.convert(s.spec)
	require.NoError(s.t, err)
	s.declare(job.withDefaults())
}
