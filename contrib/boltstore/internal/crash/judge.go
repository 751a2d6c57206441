//go:build unix

package crash

import (
	"fmt"
	"maps"
	"slices"

	"github.com/runtocompletion/batch"
)

// A fault is a kind of broken promise.
type fault string

const (
	lost       fault = "lost"       // what was told is not there any more
	duplicated fault = "duplicated" // what was acknowledged was done again
	wrong      fault = "wrong"      // all else
)

// A finding is one promise that was broken.
type finding struct {
	fault fault
	job   string
	text  string
}

// A judge reads the ledger of a round, line by line and process by process, and
// finds what was promised and is not so. Lines are in the order in which they
// were written: what was told is true before its line, an execution began before
// its line, and is not over before its last one.
type judge struct {
	plan     *plan
	jobs     map[string]*record // by UID
	named    map[string]*record // the latest of each name
	gone     map[string]bool    // names of jobs that are not to be applied again
	process  int                // that is being read
	halting  bool               // it is being shut down
	listing  bool               // it is writing down what it has found
	listed   map[string]bool    // UIDs of that
	ends     endings
	counts   counts
	findings []finding
}

// counts are what the judge has read.
type counts struct{ jobs, executions, effects, told, repeated, resumed, disrupted, delivered int }

// A record is what the ledger says about one job.
type record struct {
	*judge
	*task
	name, uid string

	last     batch.Status   // what was told last before this process
	statuses []batch.Status // what this process was told, in any order
	finished *batch.Status  // what was told first of the end
	removed  bool           // it was told to be gone
	goneIn   int            // the process in which it was
	deleting bool           // a user has asked for its deletion

	completed  map[int]int         // indexes that were told to be completed, and in which process first
	successes  map[int]int         // successes of executions in this process, by index
	latest     map[place]int       // the process that has executed it last
	open       map[place]*executed // executions of this process that have not ended
	tokens     map[token]*attempted
	wishes     wishes
	stopped    bool // users may have stopped executions in this process
	gracefully bool // the last process was shut down
	executing  bool // this process has executed some

	checkpoints map[int]*saves // by index
	walks       map[int]*walk  // by index
	events      []batch.Event  // what was told last
	delivery    delivery
}

func newJudge(p *plan) *judge {
	return &judge{plan: p, jobs: make(map[string]*record), named: make(map[string]*record), gone: make(map[string]bool)}
}

func (j *judge) find(f fault, job, format string, args ...any) {
	j.findings = append(j.findings, finding{
		f, job, fmt.Sprintf("process %d: %s: ", j.process, job) + fmt.Sprintf(format, args...),
	})
}

func (r *record) find(f fault, format string, args ...any) {
	r.judge.find(f, r.name+" "+r.uid[:8], format, args...)
}

// read records a line.
func (j *judge) read(l line) {
	switch l.Kind {
	case began:
		j.process, j.halting, j.listing, j.listed = l.Process, false, false, make(map[string]bool)
		j.ends.latest = 0
	case opened:
		j.listing = true
	case listed:
		j.listing = false
		j.checkListed()
	case problem:
		j.find(wrong, l.Job, "%s", l.Text)
	case called, agreed:
		if r := j.named[l.Job]; r != nil {
			r.readWish(l)
		}
	case halting:
		j.readHalting()
	case halted:
	case subscribed:
		j.ends.areOwed = true
	default:
		if r := j.record(l); r != nil {
			r.read(l)
		}
	}
}

// record finds the record that a line belongs to; nil if there can be none.
func (j *judge) record(l line) *record {
	if r := j.jobs[l.UID]; r != nil {
		return r
	}
	if j.plan.tasks[l.Job] == nil || len(l.UID) < 8 {
		j.find(wrong, l.Job, "a line tells of no job: %+v", l)
		return nil
	}
	before := j.named[l.Job]
	r := &record{judge: j, task: j.plan.tasks[l.Job], name: l.Job, uid: l.UID,
		completed: make(map[int]int), successes: make(map[int]int),
		latest: make(map[place]int), open: make(map[place]*executed), tokens: make(map[token]*attempted),
		checkpoints: make(map[int]*saves), walks: make(map[int]*walk)}
	r.wishes = newWishes(&r.task.job)
	if before != nil && before.isKnown() && !before.mayBeGone() {
		before.find(lost, "another job %s has its name", l.UID)
	}
	j.counts.jobs++
	j.jobs[l.UID], j.named[l.Job] = r, r
	return r
}

func (r *record) read(l line) {
	switch l.Kind {
	case delivered:
		r.readDelivered(l)
	case found:
		r.oweEnd()
		r.listed[r.uid] = true
		r.readFound(l.Status)
	case told:
		r.readStatus(l.Status)
	case shown:
		r.readAttempts(l.Attempts)
		r.readEvents(l.Events)
	case gone:
		r.readGone(l)
	case started:
		r.oweEnd()
		r.readExecution(l)
	case ended:
		r.readExecution(l)
	case effect:
		r.counts.effects++
	case resumed, saving, saved:
		r.readCheckpoint(l)
	case walking, item:
		r.readWalk(l)
	}
}

// end records how the process has ended: whether it was shut down in good
// order.
func (j *judge) end(gracefully bool) {
	for _, uid := range slices.Sorted(maps.Keys(j.jobs)) {
		r := j.jobs[uid]
		r.endStatuses()
		r.endExecutions(gracefully)
	}
}

// isKnown reports whether a caller was told that there is the job.
func (r *record) isKnown() bool { return r.last.UID != "" || len(r.statuses) > 0 }

// mayBeGone reports whether there may be reasons for the job not to be there.
func (r *record) mayBeGone() bool { return r.removed || r.deleting || r.job.TTLAfterFinished != nil }

// checkListed: all jobs that a caller was told of are there again, unless they
// have been removed.
func (j *judge) checkListed() {
	for _, r := range j.jobs {
		if r.isKnown() && !r.mayBeGone() && !j.listed[r.uid] {
			r.find(lost, "the job is not there any more")
		}
	}
}

// readGone: a job is removed when a user has asked for it, or its time to live
// is over.
func (r *record) readGone(l line) {
	r.gone[r.name] = true
	if r.removed {
		return
	}
	r.removed, r.goneIn = true, r.process
	if r.deleting {
		return
	}
	ttl := r.job.TTLAfterFinished
	if ttl == nil {
		r.find(lost, "the job was removed without a reason")
	} else if r.finished != nil && l.At.Before(finishTime(r.finished).Add(*ttl)) {
		r.find(lost, "the job was removed before its time, %v after its end", l.At.Sub(finishTime(r.finished)))
	}
}
