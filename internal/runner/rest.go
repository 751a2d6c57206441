package runner

import (
	"github.com/runtocompletion/batch/internal/compact"
	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/results"
)

// A job that has finished is asked about now and then, and there may be a hundred
// thousand of them. So it rests as soon as nothing of it is left to be done: as a
// record, its functions, its errors, its results and its history. A caller that needs it as a whole
// reads the record; for anything else its body is made again, and is gone with the lock
// unless the job has changed.

// A rest is what is kept of a job that rests.
type rest struct {
	data      string // a restRecord
	functions any    // of its definition
	kept      *engine.Kept
	left      *leavings // nil if there are none
}

// Leavings are what the attempts of a job have left besides their history.
type leavings struct {
	last      failureText
	cancelled *stop    // why the job was; nil if it was not
	indexes   *byIndex // nil if there is nothing
	mirror    *mirror  // nil if nothing was reported
}

// ByIndex is what there is of single indexes or, of results, completions.
type byIndex struct {
	failures []failedIndex
	results  results.Rest
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
	case j.resting != nil: // it was looked at
		j.fallAsleepLocked()
	case j.hasEnded && j.hasSettledLocked():
		j.input.forget()
		j.resting = j.newRestLocked(j.engine.Rest(), j.def.Load().encode(j.generation))
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
	r := j.r.newRest(e, j.engine.Spec, j.def.Load(), j.generation, definition)
	r.leave(leavings{last: j.lastText, cancelled: j.cancelled, mirror: j.mirror},
		byIndex{j.failures.rest(), j.results.Rest()})
	return r
}

// leave keeps what attempts have left.
func (r *rest) leave(l leavings, indexes byIndex) {
	if len(indexes.failures) > 0 || !indexes.results.IsEmpty() {
		l.indexes = &indexes
	}
	if l != (leavings{}) {
		r.left = &l
	}
}

// newRest returns a rest without leavings.
func (r *Runner) newRest(e engine.Rest, spec *engine.Spec, def *Definition, generation int64, definition []byte) *rest {
	record := restRecord{
		generation: generation, parallelism: spec.Parallelism, completions: spec.Completions,
		suspend: spec.Suspend, hasLimit: hasLimit(spec), managedBy: def.ManagedBy,
		head: e.Head, events: e.Events, definition: string(definition),
	}
	c := compact.Writer()
	record.code(c)
	return &rest{data: string(c.Bytes()), functions: r.functionsOf(def.Source), kept: e.Kept}
}

// wakeLocked makes the body of a job that rests.
func (j *Job) wakeLocked() {
	r := j.resting
	record := r.record()
	saved, err := j.r.decode([]byte(record.definition), j.input.bytes(), r.functions)
	if err != nil {
		panic("batch: definition of a job that rests: " + err.Error())
	}
	b := j.newBody()
	b.generation, b.hasEnded = saved.Generation, true
	b.takeBack(r.left)
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

// takeBack undoes rest.leave.
func (b *body) takeBack(l *leavings) {
	if l == nil {
		return
	}
	b.lastText, b.cancelled, b.mirror = l.last, l.cancelled, l.mirror
	if l.indexes != nil {
		if rested := l.indexes.failures; len(rested) > 0 {
			b.failures = &failures{isStored: b.stored != nil, rested: rested}
		}
		b.results = l.indexes.results.Wake(b.stored != nil)
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
	if left := j.resting.left; left != nil {
		left.last.describe(v.LastFailure)
		if left.mirror != nil {
			v.LastFailure = left.mirror.lastFailureShown()
		}
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
