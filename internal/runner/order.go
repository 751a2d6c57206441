package runner

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/journal"
)

// A job may be to start after others. What it has seen of their ends is stored with it:
// in the commit that stores such an end, so that no crash comes in between. A job that
// is complete and removed was still seen to be complete.

// An order says which jobs wait for which others. It is guarded by Runner.mu.
type order struct {
	waiting map[string]map[*Job]struct{} // by name of a job, those that wait for it
	after   map[string][]string          // by name of a job that waits, also while it is created: for which it does
}

// A fate is what jobs that wait for another one are to know of its end.
type fate string

const (
	completed fate = "Complete"
	failed    fate = "Failed"
	removed   fate = "Removed" // before it was complete
)

// afterKey, and a name, is the key of the record that says how that job has ended, as the
// record's owner has seen it.
const afterKey = "after/"

// A CycleError says which jobs would wait for each other, the first one twice.
type CycleError struct{ Jobs []string }

// Error lists them.
func (e *CycleError) Error() string {
	return fmt.Sprintf("batch: jobs wait for each other: %s", strings.Join(e.Jobs, " after "))
}

// reserveLocked notes for which jobs one waits that is being created. It needs r.mu.
func (o *order) reserveLocked(name string, after []string) error {
	if len(after) == 0 {
		return nil
	}
	if path := o.pathLocked(name, after, make(map[string]bool)); path != nil {
		return &CycleError{append([]string{name}, path...)}
	}
	o.prepareLocked()
	o.after[name] = after
	return nil
}

// pathLocked returns how the names lead to the wanted one, which is the last; nil if they
// do not. It needs r.mu.
func (o *order) pathLocked(wanted string, names []string, seen map[string]bool) []string {
	for _, name := range names {
		if name == wanted {
			return []string{name}
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		if path := o.pathLocked(wanted, o.after[name], seen); path != nil {
			return append([]string{name}, path...)
		}
	}
	return nil
}

// awaitLocked has a job get to know of the ends of those that it waits for. It needs
// r.mu.
func (o *order) awaitLocked(j *Job, names []string) {
	if len(names) == 0 || j.r.reader != nil { // those of another process are told there
		return
	}
	o.prepareLocked()
	o.after[j.id.Job] = slices.Clone(names)
	for _, name := range names {
		if o.waiting[name] == nil {
			o.waiting[name] = make(map[*Job]struct{})
		}
		o.waiting[name][j] = struct{}{}
	}
}

func (o *order) prepareLocked() {
	if o.after == nil {
		o.after, o.waiting = make(map[string][]string), make(map[string]map[*Job]struct{})
	}
}

// awaitNoMore takes a job out of those that wait for one of them. Left are those that it
// still waits for.
func (r *Runner) awaitNoMore(j *Job, names, left []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		delete(r.order.waiting[name], j)
		if len(r.order.waiting[name]) == 0 {
			delete(r.order.waiting, name)
		}
	}
	if r.jobs[j.id.Job] != j {
		return
	}
	if r.order.after[j.id.Job] = slices.Clone(left); len(left) == 0 {
		delete(r.order.after, j.id.Job)
	}
}

// awaitNothingLocked ends the wait of a job that is not to start any more, or has to.
func (j *Job) awaitNothingLocked() {
	if len(j.awaits) > 0 {
		j.r.awaitNoMore(j, j.awaits, nil)
		j.awaits = nil
	}
}

// whoAwaits returns the jobs that wait for one.
func (r *Runner) whoAwaits(name string) []*Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.order.waiting[name]))
}

// fateLocked is how the job has ended, as far as it has.
func (j *Job) fateLocked() (f fate, ended bool) {
	conditions := j.engine.Conditions
	switch {
	case j.engine.FinishedAt != 0 && conditions[len(conditions)-1].Type == engine.JobComplete:
		return completed, true
	case j.engine.FinishedAt != 0:
		return failed, true
	}
	return removed, j.engine.IsGone()
}

// noteFateLocked puts what those that wait for the job will have seen of its end.
func (j *Job) noteFateLocked(put func(journal.Record)) {
	f, ended := j.fateLocked()
	if !ended || j.stored.isNoted || j.holds&creatingHold != 0 {
		return
	}
	j.stored.isNoted = true
	for _, waiting := range j.r.whoAwaits(j.id.Job) {
		put(journal.Record{Job: waiting.id.String(), Key: afterKey + j.id.Job, Value: []byte(f)})
	}
}

// tellEndLocked lets those that wait for the job know that it has ended, which is
// durable. Their locks are not to be taken here.
func (j *Job) tellEndLocked() {
	waiting := j.r.whoAwaits(j.id.Job)
	if len(waiting) == 0 {
		return
	}
	f, _ := j.fateLocked()
	j.r.enter()
	j.r.launch(func() {
		defer j.r.leave()
		for _, w := range waiting {
			w.sees(j.id.Job, f)
		}
	})
}

// sees records how a job has ended that this one waits for.
func (j *Job) sees(name string, f fate) {
	var e effects
	j.lock()
	j.seesLocked(&e, name, f)
	j.unlock()
	j.r.perform(&e)
}

func (j *Job) seesLocked(e *effects, name string, f fate) {
	if j.hasLeft || !slices.Contains(j.awaits, name) {
		return
	}
	if j.stored != nil {
		j.stored.newEnds = append(j.stored.newEnds, seenEnd{name, f})
	}
	if f != completed {
		j.awaitNothingLocked()
		message := fmt.Sprintf("Job %s, after which this one was to start, %s", name, fateTexts[f])
		j.stepLocked(e, engine.Event{Kind: engine.DependencyFailed, Reason: message})
		return
	}
	j.awaits = slices.DeleteFunc(j.awaits, func(other string) bool { return other == name })
	j.r.awaitNoMore(j, []string{name}, j.awaits)
	if len(j.awaits) > 0 {
		j.changedLocked()
		return
	}
	j.stepLocked(e, engine.Event{Kind: engine.DependenciesMet})
}

var fateTexts = map[fate]string{failed: "has failed", removed: "was deleted"}

// A seenEnd is the end of another job, to be stored.
type seenEnd struct {
	name string
	fate
}

func (j *Job) saveEndsLocked(put func(key string, value []byte)) {
	for _, end := range j.stored.newEnds {
		put(afterKey+end.name, []byte(end.fate))
	}
	j.stored.newEnds = nil
}

// lookAround records the ends that were there before the job waited for them.
func (j *Job) lookAround() {
	names, ends := j.awaited()
	for _, name := range names {
		f, ended := ends[name]
		if other, err := j.r.Find(name); !ended && err == nil {
			f, ended = other.knownFate()
		}
		if ended {
			j.sees(name, f)
		}
	}
}

// awaited returns the jobs that must be complete first, and what an earlier process knew
// of their ends.
func (j *Job) awaited() (names []string, ends map[string]fate) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.body == nil {
		return nil, nil
	}
	if j.stored != nil {
		ends, j.stored.ends = j.stored.ends, nil
	}
	return slices.Clone(j.awaits), ends
}

// knownFate is how the job has finished, if others may know that.
func (j *Job) knownFate() (f fate, ended bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.body != nil && !j.hasEnded:
		return "", false
	case j.body != nil:
		return j.fateLocked()
	}
	conditions := j.viewAtRestLocked().Conditions
	if conditions[len(conditions)-1].Type == engine.JobComplete {
		return completed, true
	}
	return failed, true
}

// loadEnds has a job that was loaded wait for the others that it has not seen complete.
func (j *Job) loadEnds(after []string, ends map[string]fate) {
	j.awaits = slices.DeleteFunc(slices.Clone(after), func(name string) bool { return ends[name] == completed })
	j.stored.ends = ends
}

// hasOnlyEnds reports whether there is nothing else of a job.
func hasOnlyEnds(records map[string][]byte) bool {
	for key := range records {
		if !strings.HasPrefix(key, afterKey) {
			return false
		}
	}
	return true
}

// endsIn takes the records about ends out of the records of a job.
func endsIn(records map[string][]byte) (ends map[string]fate) {
	for key, value := range records {
		if name, ok := strings.CutPrefix(key, afterKey); ok {
			if ends == nil {
				ends = make(map[string]fate)
			}
			ends[name] = fate(value)
			delete(records, key)
		}
	}
	return ends
}

// describeAwaitedLocked says which jobs are to be complete first.
func (j *Job) describeAwaitedLocked() string {
	const most = 3
	var texts []string
	for _, name := range j.awaits[:min(most, len(j.awaits))] {
		text := "job " + name
		if _, err := j.r.Find(name); err != nil {
			text += ", which does not exist"
		}
		texts = append(texts, text)
	}
	if more := len(j.awaits) - most; more > 0 {
		texts = append(texts, fmt.Sprintf("%d more jobs", more))
	}
	return strings.Join(texts, "; ")
}
