package watchcache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/pod"
)

// objectsLocked walks over the objects of a kind that belong to one job.
func (c *Cache) objectsLocked(kind Kind, j *job) iter.Seq[*Object] {
	switch kind {
	case Pods:
		return maps.Values(j.pods)
	case Events:
		return maps.Values(j.events)
	}
	if kind != Jobs || c.jobs[j.name] != j {
		return func(func(*Object) bool) {}
	}
	return func(yield func(*Object) bool) { yield(j.object) }
}

// ofJobLocked returns the objects of a kind of the jobs that have or had a name, and
// of the CronJob that has it.
func (c *Cache) ofJobLocked(kind Kind, name string) []*Object {
	var objects []*Object
	for _, j := range c.everyJobLocked() {
		if j.name == name {
			c.lookLocked(j, kind)
			objects = slices.AppendSeq(objects, c.objectsLocked(kind, j))
		}
	}
	objects = append(objects, c.cronObjectsLocked(kind, name)...)
	sortByName(objects)
	return objects
}

// lookLocked compares the pods, or events, of a job with what the controller
// has, if they may have changed. It returns how many had.
func (c *Cache) lookLocked(j *job, kind Kind) int {
	_, removed := c.removed[j]
	if kind != Pods && kind != Events || !removed && j.looked[kind] == j.revision {
		return 0
	}
	before := c.version
	j.looked[kind] = j.revision // what is read below is at least as new
	switch {
	case kind == Pods:
		c.lookAtPodsLocked(j)
	case !removed:
		c.lookAtEventsLocked(j)
	}
	if removed && kind == Pods && len(j.pods) == 0 {
		delete(c.removed, j)
	}
	return int(c.version - before)
}

func (c *Cache) lookAtPodsLocked(j *job) {
	attempts, err := c.controller.Attempts(context.Background(), j.name)
	if err != nil && !errors.Is(err, batch.ErrNotFound) {
		return
	}
	present := make(map[string]*Object, len(attempts))
	hidden := make(map[string]*batch.AttemptStatus)
	for i := range attempts {
		switch a := &attempts[i]; {
		case a.JobUID != j.uid:
		case j.shows(a):
			present[a.UID] = c.podLocked(j, a)
		case j.pods[a.UID] != nil:
			hidden[a.UID] = a
		}
	}
	for _, old := range sortedPods(j.pods) {
		if uid := old.Pod.UID; present[uid] == nil {
			c.deleteLocked(Pods, old, cmp.Or(hidden[uid], old.Pod))
		}
	}
	j.pods = present
	j.keepDismissed(attempts)
}

// podLocked returns the object of an attempt: the one there is, unless the
// attempt has changed.
func (c *Cache) podLocked(j *job, a *batch.AttemptStatus) *Object {
	old := j.pods[a.UID]
	_, removed := c.removed[j]
	orphan := removed && a.DeletedAt.IsZero()
	if old != nil && old.Orphan == orphan && sameAttempt(old.Pod, a) {
		return old
	}
	what := Modified
	if old == nil {
		what = Added
	}
	return c.changeLocked(Pods, what, old, &Object{Name: a.Name, Owner: j.owner, Pod: new(*a), Orphan: orphan,
		Stays: !a.DeletedAt.IsZero() && !a.FinishedAt.IsZero()})
}

// shows reports whether an attempt is a pod. One that was asked to stop, other
// than by its own timeout or because its job failed, is none any more once it has
// ended, as a pod that was deleted; neither is one that a user deleted after its
// end.
func (j *job) shows(a *batch.AttemptStatus) bool {
	if _, ok := j.dismissed[a.UID]; ok {
		return false
	}
	stopped := !a.DeletedAt.IsZero() && a.DeletedBy != "timeout" && !j.failed(a)
	return !stopped || a.FinishedAt.IsZero()
}

// failed reports whether an attempt was stopped because its job failed. A cluster
// deletes its pod, and with it the log that says why.
func (j *job) failed(a *batch.AttemptStatus) bool {
	for _, c := range j.object.Job.Status.Conditions {
		if c.Type == batch.ConditionFailureTarget && c.Status == "True" {
			return a.DeletedBy == "job-controller" && !a.DeletedAt.Before(c.LastTransitionTime)
		}
	}
	return false
}

// Dismiss takes an ended attempt out of sight, as deleting its pod would. The
// controller still knows it.
func (c *Cache) Dismiss(pod *Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j := c.jobs[pod.Owner.Status.Name]
	if j == nil || j.uid != pod.Owner.Status.UID {
		return
	}
	if j.dismissed == nil {
		j.dismissed = make(map[string]struct{})
	}
	j.dismissed[pod.Pod.UID] = struct{}{}
	j.looked[Pods] = 0
	c.lookLocked(j, Pods)
}

// keepDismissed forgets those that the controller has forgotten.
func (j *job) keepDismissed(attempts []batch.AttemptStatus) {
	if len(j.dismissed) == 0 {
		return
	}
	kept := make(map[string]struct{})
	for _, a := range attempts {
		if _, ok := j.dismissed[a.UID]; ok {
			kept[a.UID] = struct{}{}
		}
	}
	j.dismissed = kept
}

// sameAttempt compares all of two states of one attempt that can change and that
// clients are shown. The error's text is in the message.
func sameAttempt(a, b *batch.AttemptStatus) bool {
	return a.Phase == b.Phase && a.Reason == b.Reason && a.Message == b.Message &&
		a.Restarts == b.Restarts && a.Ready == b.Ready && a.Abandoned == b.Abandoned &&
		a.Output == b.Output && a.DeletedBy == b.DeletedBy &&
		a.StartedAt.Equal(b.StartedAt) && a.FinishedAt.Equal(b.FinishedAt) &&
		a.RestartAt.Equal(b.RestartAt) && a.DeletedAt.Equal(b.DeletedAt) &&
		(a.ExitCode == nil) == (b.ExitCode == nil) && (a.ExitCode == nil || *a.ExitCode == *b.ExitCode) &&
		slices.Equal(a.Conditions, b.Conditions)
}

// sortedPods are in the order of creation, so that changes are.
func sortedPods(pods map[string]*Object) []*Object {
	return slices.SortedFunc(maps.Values(pods), func(a, b *Object) int {
		return cmp.Compare(a.Pod.Ordinal, b.Pod.Ordinal)
	})
}

// An eventKey tells an event of a job, or of one of its pods, from the others. Those of a
// pod may come again.
type eventKey struct {
	pod     string // its UID
	kind    string
	reason  string
	message string
	at      int64
}

func keyOf(e *batch.Event, pod *batch.AttemptStatus) eventKey {
	key := eventKey{"", e.Type, e.Reason, e.Message, e.At.UnixNano()}
	if pod != nil {
		key.pod, key.at = pod.UID, 0
	}
	return key
}

// The reasons of a pod's events, which are a kubelet's.
const (
	ReasonStarted string = "Started"
	ReasonBackOff string = "BackOff"
	ReasonKilling string = "Killing"
)

// podEvents are what a kubelet would say of an attempt. The message is the name of the
// container, if that is not the first one.
func podEvents(a *batch.AttemptStatus) []batch.Event {
	events := []batch.Event{
		{Type: "Warning", Reason: ReasonBackOff, At: a.RestartAt},
		{Type: "Normal", Reason: ReasonKilling, At: a.DeletedAt},
	}
	started := batch.Event{Type: "Normal", Reason: ReasonStarted, At: a.StartedAt}
	runs := pod.RunsOf(a.Conditions)
	inOrder := func(a, b string) int { return runs[a].Begun.Compare(runs[b].Begun) }
	for i, name := range slices.SortedFunc(maps.Keys(runs), inOrder) {
		if i > 0 { // the first one needs no name
			started.Message = name
		}
		if i > 0 || runs[name].Failures > 0 { // else it has begun with the attempt
			started.At = runs[name].Begun
		}
		events = append(events, started)
	}
	if len(runs) == 0 {
		events = append(events, started)
	}
	return slices.DeleteFunc(events, func(e batch.Event) bool { return e.At.IsZero() || a.StartedAt.IsZero() })
}

func (c *Cache) lookAtEventsLocked(j *job) {
	events, err := c.controller.Events(context.Background(), j.name)
	if err != nil {
		return // the job is gone, which will be seen
	}
	present := make(map[eventKey]*Object, len(events))
	for _, event := range events {
		present[keyOf(&event, nil)] = c.eventLocked(j, event, nil)
	}
	shown := make(map[string]bool)
	attempts, _ := c.controller.Attempts(context.Background(), j.name) // with an error they are right, too
	for _, a := range attempts {
		if a.JobUID == j.uid && j.shows(&a) {
			shown[a.UID] = true
			for _, event := range podEvents(&a) {
				present[keyOf(&event, &a)] = c.eventLocked(j, event, &a)
			}
		}
	}
	for _, old := range sortedEvents(j.events) {
		switch key := keyOf(old.Event, old.Pod); {
		case present[key] != nil:
		case shown[key.pod]: // as long as its pod is there
			present[key] = old
		default:
			c.deleteLocked(Events, old, old.Pod)
		}
	}
	j.events = present
}

// eventLocked returns the object of an event. One of a pod may have come again.
func (c *Cache) eventLocked(j *job, e batch.Event, pod *batch.AttemptStatus) *Object {
	old := j.events[keyOf(&e, pod)]
	switch {
	case old == nil && pod == nil:
		return c.changeLocked(Events, Added, nil, &Object{Name: j.eventName(j.name, e.At), Owner: j.owner, Event: &e})
	case old == nil:
		return c.changeLocked(Events, Added, nil,
			&Object{Name: j.eventName(pod.Name, e.At), Owner: j.owner, Event: &e, Pod: pod})
	case old.Event.At.Equal(e.At):
		return old
	}
	times := Times{old.Event.At, 1}
	if old.Times != nil {
		times = *old.Times
	}
	times.Count++
	return c.changeLocked(Events, Modified, old,
		&Object{Name: old.Name, Owner: j.owner, Event: &e, Pod: pod, Times: &times})
}

// eventName is a name of the form that events have, so that the order of names is
// that in which they happened: the job's or pod's, the time, and a number.
func (j *job) eventName(of string, at time.Time) string {
	j.named++
	return fmt.Sprintf("%s.%016x%08x", of, at.UnixNano(), j.named)
}

func sortedEvents(events map[eventKey]*Object) []*Object {
	return slices.SortedFunc(maps.Values(events), func(a, b *Object) int {
		return cmp.Or(a.Event.At.Compare(b.Event.At), strings.Compare(a.Name, b.Name))
	})
}
