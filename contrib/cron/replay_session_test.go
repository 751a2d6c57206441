package cron

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron/internal/corpus"
)

// A session plays one case to a controller of CronJobs over one of jobs, and writes
// down what it sees. It lives in a bubble of synctest.
type session struct {
	t       *testing.T
	c       *corpus.Case
	jobs    *batch.Controller
	cron    *Controller
	skew    atomic.Int64 // of the clock on the wall, in nanoseconds
	agenda  *agenda
	kubelet *kubelet
	name    string
	start   time.Time
	spec    json.RawMessage // of the CronJob there is
	down    bool

	mu   sync.Mutex // guards the fields below
	got  corpus.Outcome
	seen []*seenJob
	last *Status // of the CronJob there is or was
}

// A seenJob is what was seen of a job.
type seenJob struct {
	corpus.Job
	uid    string
	plan   corpus.Plan
	status batch.Status
	by     string // who deletes it, if it is known beforehand
	ttl    bool
}

func play(t *testing.T, c *corpus.Case) *corpus.Outcome {
	if c.Scenario.Start.After(time.Now()) {
		time.Sleep(time.Until(c.Scenario.Start))
	}
	s := &session{t: t, c: c, start: time.Now(), name: c.Scenario.Name(), agenda: &agenda{changed: make(chan struct{}, 1)}}
	s.kubelet = &kubelet{agenda: s.agenda, plan: s.planOf, closing: make(chan struct{})}
	s.skew.Store(int64(c.Scenario.Skew.Duration()))
	var err error
	s.jobs, err = batch.New(t.Context(), batch.Options{Logger: nil})
	require.NoError(t, err)
	s.open()
	ctx, cancel := context.WithCancel(t.Context())
	go s.watch(ctx)
	defer func() {
		cancel()
		close(s.kubelet.closing)
		require.NoError(t, s.cron.Shutdown(t.Context()))
		stopped, stop := context.WithCancel(t.Context())
		stop()
		require.NoError(t, s.jobs.Shutdown(stopped))
	}()
	if s.create(c.Scenario.Spec); s.got.Accepted && c.Scenario.ValidateOnly {
		s.update()
	} else if s.got.Accepted {
		s.runToEnd()
		s.conclude()
	}
	return &s.got
}

// open makes a controller of CronJobs, as the start of a process does.
func (s *session) open() {
	wall := func() time.Time { return time.Now().Add(time.Duration(s.skew.Load())) }
	var err error
	s.cron, err = newController(s.jobs, Options{Logger: slog.New(recorder{s})}, wall)
	require.NoError(s.t, err)
}

// A recorder takes events from the log.
type recorder struct{ s *session }

func (recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r recorder) WithAttrs([]slog.Attr) slog.Handler     { return r }
func (r recorder) WithGroup(string) slog.Handler          { return r }

func (r recorder) Handle(_ context.Context, record slog.Record) error {
	e := corpus.Event{At: r.s.now(), Type: "Normal", Reason: record.Message}
	if record.Level >= slog.LevelWarn {
		e.Type = "Warning"
	}
	count := 1
	record.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "message":
			e.Message = a.Value.String()
		case "count":
			count = int(a.Value.Int64())
		}
		return true
	})
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for range count {
		r.s.got.Events = append(r.s.got.Events, e)
	}
	return nil
}

func (s *session) now() corpus.Seconds { return s.since(time.Now()) }

func (s *session) since(t time.Time) corpus.Seconds { return corpus.Seconds(t.Sub(s.start).Seconds()) }

// watch follows all jobs.
func (s *session) watch(ctx context.Context) {
	for change, err := range s.jobs.Watch(ctx, 0) {
		if err != nil {
			return
		}
		s.see(change.Status, change.Deleted)
		s.agenda.wake()
	}
}

// see notes what is said of a job.
func (s *session) see(status batch.Status, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.find(status)
	if j == nil {
		return
	}
	j.status = status
	if j.End == nil && status.Finished() {
		j.End = new(s.now())
		for _, c := range status.Conditions {
			if c.Type == batch.ConditionComplete || c.Type == batch.ConditionFailed {
				j.Result, j.Reason = c.Type, c.Reason
			}
		}
	}
	if (gone || !status.DeletedAt.IsZero()) && j.DeletedAt == nil {
		j.DeletedAt, j.DeletedBy = new(s.now()), j.deleter()
	}
	if gone && j.GoneAt == nil {
		j.GoneAt = new(s.now())
	}
}

// deleter says who has deleted a job.
func (j *seenJob) deleter() string {
	switch {
	case j.by != "":
		return j.by
	case j.End == nil:
		return "replace"
	case j.ttl:
		return "ttl-controller"
	}
	return "history"
}

// find returns what was seen of a job. It needs s.mu.
func (s *session) find(status batch.Status) *seenJob {
	for _, j := range s.seen {
		if j.uid == status.UID {
			return j
		}
	}
	job, err := s.jobs.Job(status.Name)
	if err != nil {
		return nil
	}
	j := &seenJob{uid: status.UID}
	j.Name, j.At, j.By = status.Name, s.since(status.CreatedAt), "user"
	j.Scheduled = job.Annotations[ScheduledAnnotation]
	j.Owned = job.Annotations[OwnerAnnotation] != ""
	j.Labels, j.Annotations = job.Labels, maps.Clone(job.Annotations)
	delete(j.Annotations, ScheduledAnnotation) // it is compared by itself
	delete(j.Annotations, OwnerAnnotation)     // it stands for an owner reference
	j.ttl = job.TTLAfterFinished != nil
	switch {
	case job.Annotations[InstantiateAnnotation] != "":
		j.By = "kubectl"
	case j.Owned:
		j.By = "controller"
	}
	k := 0
	for _, other := range s.seen {
		if other.By == "controller" {
			k++
		}
	}
	j.plan = s.c.Scenario.PlanOf(k)
	for _, a := range s.c.Scenario.Actions {
		if a.CreateJob != nil && a.CreateJob.Name == j.Name && j.By != "controller" && a.CreateJob.Plan != nil {
			j.plan = *a.CreateJob.Plan
		}
	}
	j.Ordinal = len(s.seen)
	s.seen = append(s.seen, j)
	return j
}

func (s *session) planOf(uid string) corpus.Plan {
	for status := range s.jobs.All() { // in case the watch is behind
		s.see(status, false)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.seen {
		if j.uid == uid {
			return j.plan
		}
	}
	s.t.Errorf("job %s has never been seen", uid)
	return corpus.Plan{}
}

// runToEnd lets things happen until the horizon.
func (s *session) runToEnd() {
	for _, a := range s.c.Scenario.Actions {
		s.agenda.add(s.start.Add(a.At.Duration()), ofUser, func() { s.act(a) })
	}
	horizon := s.start.Add(s.c.Scenario.Horizon.Duration() - reaction) // what is due at the horizon would have been late
	for s.settle(); time.Now().Before(horizon); s.settle() {
		timer := time.NewTimer(time.Until(s.agenda.next(horizon)))
		select {
		case <-s.agenda.changed:
		case <-timer.C:
			s.settle()
			if time.Now().Before(horizon) {
				s.agenda.take()()
			}
		}
		timer.Stop()
	}
}

// settle lets the controllers act until they have nothing more to do.
func (s *session) settle() {
	synctest.Wait()
	status, err := s.cron.Get(s.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.last, s.got.GoneAt = &status, nil
	case errors.Is(err, ErrNotFound) && s.got.GoneAt == nil:
		s.got.GoneAt = new(s.now())
	}
}

func (s *session) conclude() {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortStableFunc(s.seen, func(a, b *seenJob) int { return cmp.Compare(a.At, b.At) })
	for _, j := range s.seen {
		if j.GoneAt == nil {
			job, err := s.jobs.Job(j.Name)
			j.Owned = err == nil && job.Annotations[OwnerAnnotation] != ""
		}
		s.got.Jobs = append(s.got.Jobs, j.Job)
	}
	if s.last == nil {
		return
	}
	for _, r := range s.last.Active {
		s.got.Active = append(s.got.Active, r.Name)
	}
	if t := s.last.LastScheduleTime; !t.IsZero() {
		s.got.LastSchedule = new(s.since(t))
	}
	if t := s.last.LastSuccessfulTime; !t.IsZero() {
		s.got.LastSuccess = new(s.since(t))
	}
}
