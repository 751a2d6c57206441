package runner

import (
	"github.com/runtocompletion/batch/internal/compact"
	"github.com/runtocompletion/batch/internal/engine"
)

// A job that has finished is asked about now and then, and there may be a hundred
// thousand of them. So it rests as soon as nothing of it is left to be done: as a
// record, its functions, its errors and its history. Who wants to see it as a whole
// reads the record; for anything else its body is made again, and is gone with the lock
// unless the job has changed.

// A rest is what is kept of a job that rests.
type rest struct {
	data      string // a restRecord
	functions any    // of its definition
	kept      *engine.Kept
	errors    *restErrors // nil if it has none
}

// RestErrors are the errors of a job that has failures.
type restErrors struct {
	last   failureText
	lastOf map[int]FailedAttempt
	// cancelled is why the job was cancelled; nil if it was not.
	cancelled *stop
}

// A restRecord is the part of a rest that is text. What a View needs comes first.
type restRecord struct {
	generation               int64
	parallelism, completions int
	suspend, hasLimit        bool
	managedBy                string
	head, events             string
	definition               string
}

// code lists the fields.
func (r *restRecord) code(c *compact.Coder) {
	compact.Int(c, &r.generation)
	compact.Int(c, &r.parallelism)
	compact.Int(c, &r.completions)
	c.Flags(&r.suspend, &r.hasLimit)
	for _, text := range [...]*string{&r.managedBy, &r.head, &r.events, &r.definition} {
		c.Text(text)
	}
}

func (r *rest) record() (record restRecord) {
	record.code(compact.Reader(r.data))
	return record
}

// restLocked lets a job rest that has settled, or goes on with its rest.
func (j *Job) restLocked() {
	switch {
	case j.resting != nil: // somebody has looked at it
		j.fallAsleepLocked()
	case j.hasEnded && j.hasSettledLocked():
		j.resting = j.newRestLocked(j.engine.Rest(), j.def.Load().Encode(j.generation))
		j.fallAsleepLocked()
		j.r.setAwake(j, false)
	}
}

func (j *Job) fallAsleepLocked() {
	j.body = nil
	j.def.Store(nil)
}

// hasSettledLocked reports whether nothing is left to be done for a job that has
// finished: to be stored, logged, cleared away or waited for.
func (j *Job) hasSettledLocked() bool {
	e, s := j.engine, j.stored
	return j.r.mayRest && !j.hasLeft && j.removals == 0 && j.stuck == nil && !j.log.writing &&
		!e.IsGone() && e.DeletedAt == 0 && len(e.Live())+len(j.zombies) == 0 &&
		(s == nil || !s.isChanged && !s.isCollected)
}

func (j *Job) newRestLocked(e engine.Rest, definition []byte) *rest {
	r := newRest(e, &j.engine.Spec, j.def.Load(), j.generation, definition)
	if j.lastText != (failureText{}) || len(j.lastOf) > 0 || j.cancelled != nil {
		r.errors = &restErrors{j.lastText, j.lastOf, j.cancelled}
	}
	return r
}

// newRest returns a rest without errors.
func newRest(e engine.Rest, spec *engine.Spec, def *Definition, generation int64, definition []byte) *rest {
	record := restRecord{
		generation: generation, parallelism: spec.Parallelism, completions: spec.Completions,
		suspend: spec.Suspend, hasLimit: hasLimit(spec), managedBy: def.ManagedBy,
		head: e.Head, events: e.Events, definition: string(definition),
	}
	c := compact.Writer()
	record.code(c)
	return &rest{data: string(c.Bytes()), functions: def.Functions, kept: e.Kept}
}

// wakeLocked makes the body of a job that rests.
func (j *Job) wakeLocked() {
	r := j.resting
	record := r.record()
	saved, err := j.r.decode([]byte(record.definition), r.functions)
	if err != nil {
		panic("batch: definition of a job that rests: " + err.Error())
	}
	b := j.newBody()
	b.generation, b.hasEnded = saved.Generation, true
	if r.errors != nil {
		b.lastText, b.lastOf, b.cancelled = r.errors.last, r.errors.lastOf, r.errors.cancelled
	}
	var describe func(*engine.Attempt) []byte
	if b.stored != nil {
		describe = describeAttempt
	}
	e := engine.Rest{Head: record.head, Events: record.events, Kept: r.kept}
	b.engine = e.Wake(j.id, j.r.spec(saved.Definition), describe)
	b.created, b.due = b.engine.CreatedAt, b.engine.Due()
	close(b.end.reached)
	j.body = b
	j.def.Store(saved.Definition)
	if b.stored != nil {
		b.stored.failure = j.lastText.saved()
		b.stored.collected = j.presentLocked()
		b.stored.told = b.stored.collected
	}
}

// rouseLocked ends a job's rest, as it is going to change.
func (j *Job) rouseLocked() {
	if j.resting != nil {
		j.resting = nil
		j.r.setAwake(j, true)
	}
}

// viewAtRestLocked is presentLocked for a job that rests.
func (j *Job) viewAtRestLocked() View {
	r := j.resting.record()
	e := engine.Rest{Head: r.head, Kept: j.resting.kept}
	o, date := e.Outcome(), j.r.date
	v := View{
		Name: j.id.Job, UID: j.id.String(), ManagedBy: r.managedBy, Generation: r.generation,
		CreatedAt: date(o.CreatedAt), DeletedAt: date(o.DeletedAt), StartTime: date(o.StartTime),
		FinishedAt: date(o.FinishedAt), Parallelism: r.parallelism, Completions: r.completions,
		Run: max(1, o.Run), Suspend: r.suspend, Succeeded: o.Succeeded, Failed: o.Failed,
		Conditions: j.r.conditions(o.Conditions), LastFailure: j.r.lastFailure(j.id, o.LastFailure),
	}
	v.Completed, v.GivenUp = e.Sets()
	v.FailsIndexes = r.hasLimit || v.GivenUp.Len() > 0
	if errors := j.resting.errors; errors != nil {
		errors.last.describe(v.LastFailure)
	}
	return v
}

// setAwake notes whether a job rests, unless it is gone.
func (r *Runner) setAwake(j *Job, awake bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !awake:
		delete(r.awake, j)
	case r.jobs[j.id.Job] == j:
		r.awake[j] = struct{}{}
	}
}
