//go:build unix

package crash

import (
	"fmt"

	"github.com/runtocompletion/batch"
)

// A judge reads a ledger. Its lines are in order; those of executors have the highest
// fence so far.
type judge struct {
	jobs     map[string]*record
	cronJobs map[string]*timetable
	owners   map[int64]int // the process of the system that has had a fence
	fence    int64
	findings []string
	begun    int
	terms    int // changes of who works
}

// A record is what the ledger says about one job.
type record struct {
	done  batch.IndexSet // that were told
	count int
	over  bool
}

func newJudge() *judge {
	return &judge{jobs: make(map[string]*record), cronJobs: make(map[string]*timetable), owners: make(map[int64]int)}
}

func (j *judge) find(format string, args ...any) {
	j.findings = append(j.findings, fmt.Sprintf(format, args...))
}

func (j *judge) read(lines []line) {
	for _, l := range lines {
		switch l.Kind {
		case began:
			j.fenced(l)
			j.began(l)
		case started:
			j.fenced(l)
			j.cronJob(l.Job).started(j, l)
		case told:
			j.told(l)
		case scheduled:
			j.cronJob(l.Job).told[l.Time] = true
		case up, left:
		default:
			j.find("process %d: %s", l.PID, l.Text)
		}
	}
}

func (j *judge) job(name string) *record {
	if j.jobs[name] == nil {
		j.jobs[name] = new(record)
	}
	return j.jobs[name]
}

// fenced: a claim has one process; one that was overtaken does not come back under its
// old claim.
func (j *judge) fenced(l line) {
	if owner := j.owners[l.Fence]; owner != 0 && owner != l.PID {
		j.find("fence %d is that of processes %d and %d", l.Fence, owner, l.PID)
	}
	j.owners[l.Fence] = l.PID
	if l.Fence < j.fence {
		j.find("an executor under fence %d goes on after one under %d", l.Fence, j.fence)
	}
	if l.Fence != j.fence {
		j.fence = l.Fence
		j.terms++
	}
}

// began: a completion that was told is not run again.
func (j *judge) began(l line) {
	j.begun++
	if j.job(l.Job).done.Contains(l.Index) {
		j.find("index %d of %s runs again under fence %d, though it was told to be done", l.Index, l.Job, l.Fence)
	}
}

// told: what is told of a job does not get less, but for one who looks on and is behind.
func (j *judge) told(l line) {
	r := j.job(l.Job)
	done, err := batch.ParseIndexSet(l.Done)
	if err != nil {
		j.find("indexes of %s: %v", l.Job, err)
		return
	}
	if done.Len() != l.Count {
		j.find("%s has %d completions, but these indexes: %s", l.Job, l.Count, l.Done)
	}
	if r.over && l.Over && l.Count != r.count {
		j.find("%s has ended with %d and with %d completions", l.Job, r.count, l.Count)
	}
	if l.Count >= r.count {
		for first, last := range r.done.Intervals() {
			for i := first; i <= last; i++ {
				if !done.Contains(i) {
					j.find("index %d of %s was told to be done, and is not", i, l.Job)
				}
			}
		}
		r.done, r.count, r.over = done, l.Count, r.over || l.Over
	}
}

// end requires that all jobs have ended with all their indexes, and looks at CronJobs.
func (j *judge) end(p plan) {
	for _, job := range p.jobs {
		if r := j.job(job.Name); !r.over || r.count != *job.Completions {
			j.find("%s has %d completions of %d, ended: %t", job.Name, r.count, *job.Completions, r.over)
		}
	}
	for _, job := range p.cronJobs {
		j.cronJob(job.Name).end(j, job)
	}
}
