package conformance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// A session plays one case to a controller, through the public API, and writes
// down what it sees. It lives in a bubble of synctest.
type session struct {
	t        *testing.T
	c        *Case
	ctl      *batch.Controller
	agenda   *agenda
	kubelet  *kubelet
	job      string
	start    time.Time
	changed  chan struct{} // has an element if there may be something new
	finished chan batch.Status

	spec    []byte   // as the API server would have stored it
	actions []Action // yet to be done
	orphan  bool     // the job was deleted, but not its pods
	resized bool     // the job's completions were changed

	got     Observation
	final   *batch.Status       // with which the job finished
	current batch.Status        // as of the last look
	before  batch.Status        // as of the last look at an earlier time
	seenAt  Seconds             // the time of the last look
	watched batch.Change        // the last change of the watch
	pods    map[string]*seenPod // by UID
	events  []batch.Event
	faults  []string // what is wrong beside what was seen
}

// A seenPod is what was seen of an attempt.
type seenPod struct {
	Pod
	name   string
	number int
}

// play runs a case and returns what was seen of it, and what else was wrong. It
// must be called in a bubble.
func play(t *testing.T, c *Case, ties tieOrder) (*Observation, []string) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &session{
		t: t, c: c, start: time.Now(),
		changed:  make(chan struct{}, 1),
		finished: make(chan batch.Status, 2), // of watch and of wait
		actions:  c.Scenario.Actions,
		pods:     make(map[string]*seenPod),
	}
	ctl, err := batch.New(t.Context(), s.options())
	require.NoError(t, err)
	s.ctl = ctl
	s.agenda = &agenda{changed: s.change}
	s.kubelet = &kubelet{
		t: t, scenario: &c.Scenario, ctl: ctl, agenda: s.agenda,
		ties:    ties,
		closing: make(chan struct{}), runs: make(map[string]*podRun),
	}
	defer s.shutdown()
	defer cancel()
	if !c.Scenario.ValidateOnly {
		go s.watch(ctx)
		synctest.Wait() // a job may be gone as soon as it is created
	}
	switch accepted := s.create(ctx); {
	case accepted && c.Scenario.ValidateOnly:
		s.checkDefaults()
	case accepted:
		go s.wait(ctx)
		s.runToEnd()
		s.checkWatch()
		s.conclude()
	}
	return &s.got, s.faults
}

func (s *session) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// options keep a job that is only to be created from running all its attempts.
func (s *session) options() batch.Options {
	if s.c.Scenario.ValidateOnly {
		return batch.Options{MaxActive: 1}
	}
	return batch.Options{}
}

// shutdown stops all that still runs. The kubelet obeys, so nothing may be left.
func (s *session) shutdown() {
	close(s.kubelet.closing)
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	require.NoError(s.t, s.ctl.Shutdown(ctx))
}

func (s *session) change() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *session) now() Seconds { return s.since(time.Now()) }

func (s *session) since(t time.Time) Seconds { return InSeconds(t.Sub(s.start)) }

// maybe is since for a time that may be zero, which gives nil.
func (s *session) maybe(t time.Time) *Seconds {
	if t.IsZero() {
		return nil
	}
	return new(s.since(t))
}

// watch follows the job. It also holds the watch to its promise: revisions rise.
// Of a job that is removed as soon as it has finished only the watch tells how.
func (s *session) watch(ctx context.Context) {
	for change, err := range s.ctl.Watch(ctx, 0) {
		if err != nil {
			return
		}
		if last := s.watched.Status.Revision; change.Status.Revision <= last {
			s.t.Errorf("watch: revision %d after %d", change.Status.Revision, last)
		}
		if change.Status.Finished() && !s.watched.Status.Finished() {
			s.finished <- change.Status
		}
		s.watched = change
		s.change()
	}
}

// checkWatch checks that the watch has told everything.
func (s *session) checkWatch() {
	if s.got.GoneAt != nil {
		if !s.watched.Deleted {
			s.fault("watch: the last change is no deletion")
		}
		return
	}
	if got, want := s.watched.Status.Revision, s.current.Revision; got != want {
		s.fault("watch: the last revision is %d, want %d", got, want)
	}
}

// wait waits for the job to finish.
func (s *session) wait(ctx context.Context) {
	status, err := s.ctl.Wait(ctx, s.job)
	if _, failed := errors.AsType[*batch.JobError](err); err == nil || failed {
		s.finished <- status
		s.change()
	}
}

// runToEnd lets things happen until the recording stops too. The controller
// acts first, until it has nothing more to do; then one thing happens that a pod
// or the user does.
func (s *session) runToEnd() {
	for _, a := range s.actions {
		s.agenda.add(s.start.Add(a.At.Duration()), s.kubelet.ties.ofUser(), s.act)
	}
	for s.settle(); !s.over(); s.settle() {
		if do := s.await(); do != nil {
			do()
		}
	}
}

// settle lets the controller act until it has nothing more to do.
func (s *session) settle() {
	synctest.Wait()
	s.look()
}

// await waits until there may be something new, which gives nil, or until
// something is to be done.
func (s *session) await() func() {
	horizon := s.start.Add(s.c.Scenario.Horizon.Duration())
	timer := time.NewTimer(time.Until(s.agenda.next(horizon)))
	defer timer.Stop()
	select {
	case <-s.changed:
		return nil
	case <-timer.C:
	}
	if s.settle(); s.over() {
		return nil
	}
	return s.agenda.take()
}

// over is when a recording stops: when nothing more can come, or it takes too
// long.
func (s *session) over() bool {
	if s.now() >= s.c.Scenario.Horizon {
		return true
	}
	if s.got.GoneAt != nil {
		return !s.hasLivePods()
	}
	if s.final == nil || !s.current.DeletedAt.IsZero() {
		return false
	}
	job, err := s.ctl.Job(s.job)
	require.NoError(s.t, err)
	return job.TTLAfterFinished == nil && !slices.ContainsFunc(s.actions, Action.AfterFinish)
}

func (s *session) hasLivePods() bool {
	for _, pod := range s.pods {
		if pod.End == nil {
			return true
		}
	}
	return false
}

// look writes down all there is to see right now.
func (s *session) look() {
	select {
	case status := <-s.finished:
		if s.final == nil {
			s.final = &status
			s.got.FinishedAt = new(s.now())
		}
	default:
	}
	s.lookAtJob()
	s.lookAtPods()
}

func (s *session) lookAtJob() {
	status, err := s.ctl.Get(s.job)
	if errors.Is(err, batch.ErrNotFound) {
		if s.got.GoneAt == nil {
			s.got.GoneAt = new(s.now())
		}
		return
	}
	require.NoError(s.t, err)
	if now := s.now(); now > s.seenAt {
		s.before, s.seenAt = s.current, now
	}
	s.current = status
	s.events, err = s.ctl.Events(context.Background(), s.job)
	require.NoError(s.t, err)
}

func (s *session) lookAtPods() {
	attempts, err := s.ctl.Attempts(context.Background(), s.job)
	if err != nil {
		require.ErrorIs(s.t, err, batch.ErrNotFound)
	}
	listed := make(map[string]bool)
	for _, a := range attempts {
		listed[a.UID] = true
		s.see(a)
	}
	for uid, pod := range s.pods {
		if pod.End == nil && !listed[uid] {
			s.seeEnd(uid, pod)
		}
	}
}

// see notes what the controller says of an attempt.
func (s *session) see(a batch.AttemptStatus) {
	pod := &seenPod{name: a.Name, number: a.Number, Pod: Pod{
		Ordinal:   a.Ordinal,
		Index:     a.Index,
		Created:   s.since(a.CreatedAt),
		End:       s.maybe(a.FinishedAt),
		Phase:     a.Phase,
		Restarts:  a.Restarts,
		Failures:  a.Failures,
		Ignored:   a.IgnoredFailures,
		Disrupted: isDisrupted(a),
		DeletedBy: a.DeletedBy,
	}}
	if pod.End != nil {
		pod.Exit = a.ExitCode // otherwise it is that of an earlier run
	}
	if old := s.pods[a.UID]; old != nil && old.End != nil {
		pod.DeletedBy = old.DeletedBy // by the user, after its end
	}
	s.pods[a.UID] = pod
}

func isDisrupted(a batch.AttemptStatus) bool {
	return slices.ContainsFunc(a.Conditions, func(c batch.Condition) bool {
		return c.Type == batch.ConditionDisruptionTarget && c.Status == "True"
	})
}

// seeEnd notes the end of an attempt that the controller has forgotten along
// with its job: its end is what the kubelet knows of it.
func (s *session) seeEnd(uid string, pod *seenPod) {
	run, _ := s.kubelet.of(uid)
	if run.last.UID != "" {
		s.see(run.last)
		pod = s.pods[uid]
	}
	pod.Phase, pod.Restarts = string(batch.AttemptFailed), run.restarts
	switch {
	case run.disrupted == Kubelet:
		pod.Exit, pod.Disrupted = new(ExitKill), true
	case run.disrupted == PodGC:
		pod.Exit, pod.Disrupted = nil, true
		pod.DeletedBy = cmp.Or(pod.DeletedBy, string("podgc"))
	case run.running:
		s.fault("%s has vanished before its end", PodName(pod.Ordinal))
	default:
		pod.Exit = new(run.exit)
		if run.exit == 0 {
			pod.Phase = string(batch.AttemptSucceeded)
		}
	}
	pod.End = new(s.now())
}

// conclude makes an observation of all that was seen.
func (s *session) conclude() {
	s.got.Unfinished = s.final == nil && s.got.GoneAt == nil
	s.got.Status = s.status(s.lastStatus())
	s.concludePods()
	if s.sawAllEvents() {
		s.got.Events = []Event{}
		for _, e := range s.events {
			s.got.Events = append(s.got.Events, Event{e.Type, e.Reason, s.rename(e.Message)})
		}
	}
}

// concludePods numbers the attempts of each index, and checks that the library
// does so too. It may skip numbers after the job has been cut.
func (s *session) concludePods() {
	pods := slices.SortedFunc(maps.Values(s.pods), func(a, b *seenPod) int { return a.Ordinal - b.Ordinal })
	attempts, numbers := make(map[int]int), make(map[int]int)
	for i, pod := range pods {
		want := i
		if pod.Index >= 0 {
			pod.Attempt = attempts[pod.Index]
			want = max(pod.Attempt, numbers[pod.Index])
		}
		if pod.number < want || pod.number > want && !s.resized {
			s.fault("%s: got number %d, want %d", PodName(pod.Ordinal), pod.number, want)
		}
		attempts[pod.Index]++
		numbers[pod.Index] = pod.number + 1
		s.got.Pods = append(s.got.Pods, s.collected(pod.Pod))
	}
}

// sawAllEvents is false of a job that was removed as soon as it had finished.
func (s *session) sawAllEvents() bool {
	return s.got.GoneAt == nil || s.got.FinishedAt == nil || *s.got.FinishedAt < *s.got.GoneAt
}

// lastStatus is the last status that the API server would have stored. A job
// that vanishes before it has finished keeps the one from before, except the
// failures that are counted when its pods are released.
func (s *session) lastStatus() batch.Status {
	switch {
	case s.got.GoneAt == nil:
		return s.current
	case s.final != nil:
		return *s.final
	}
	last := s.current
	if s.seenAt == *s.got.GoneAt {
		last = s.before
	}
	last.Failed = s.watched.Status.Failed
	return last
}

// collected returns a pod as the garbage collector leaves it: pods that have
// ended are deleted along with their job. The library just forgets them.
func (s *session) collected(p Pod) Pod {
	if gone := s.got.GoneAt; gone != nil && !s.orphan && p.DeletedBy == "" && p.End != nil && *p.End <= *gone {
		p.DeletedBy = string("gc")
	}
	return p
}

func (s *session) status(st batch.Status) Status {
	status := Status{
		Active:           st.Active,
		Ready:            st.Ready,
		Succeeded:        st.Succeeded,
		Failed:           st.Failed,
		Terminating:      st.Terminating,
		CompletedIndexes: st.CompletedIndexes.String(),
		StartTime:        s.maybe(st.StartTime),
		CompletionTime:   s.maybe(st.CompletionTime),
	}
	if st.FailedIndexes != nil {
		status.FailedIndexes = new(st.FailedIndexes.String())
	}
	for _, c := range st.Conditions {
		status.Conditions = append(status.Conditions, Condition{
			c.Type, c.Status, c.Reason, s.rename(c.Message), s.since(c.LastTransitionTime)})
	}
	return status
}

// rename puts {pod-N} in place of the names of pods.
func (s *session) rename(text string) string {
	for _, pod := range s.pods {
		text = strings.ReplaceAll(text, pod.name, PodName(pod.Ordinal))
	}
	return text
}
