//go:build unix

package crash

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/runtocompletion/batch"
)

// A judge reads a ledger. Its lines are in order; those of executors have the highest
// fence so far.
type judge struct {
	jobs     map[string]*record
	owners   map[int64]int // the process of the system that has had a fence
	fence    int64
	terms    []term
	findings []string
	begun    int
}

// A record is what the ledger says about one job.
type record struct {
	done  batch.IndexSet // that were told
	count int
	over  bool
}

// A term is the time in which a process worked.
type term struct {
	pid         int
	first, last time.Time // of its executors
}

func newJudge() *judge {
	return &judge{jobs: make(map[string]*record), owners: make(map[int64]int)}
}

func (j *judge) find(format string, args ...any) {
	j.findings = append(j.findings, fmt.Sprintf(format, args...))
}

func (j *judge) read(lines []line) {
	for _, l := range lines {
		switch l.Kind {
		case began:
			j.began(l)
		case told:
			j.told(l)
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

// began: a completion that was told is not run again; a claim has one process; a process
// that was overtaken does not come back under its old claim.
func (j *judge) began(l line) {
	j.begun++
	if j.job(l.Job).done.Contains(l.Index) {
		j.find("index %d of %s runs again under fence %d, though it was told to be done", l.Index, l.Job, l.Fence)
	}
	if owner := j.owners[l.Fence]; owner != 0 && owner != l.PID {
		j.find("fence %d is that of processes %d and %d", l.Fence, owner, l.PID)
	}
	j.owners[l.Fence] = l.PID
	if l.Fence < j.fence {
		j.find("an executor under fence %d goes on after one under %d", l.Fence, j.fence)
	}
	if l.Fence != j.fence {
		j.fence = l.Fence
		j.terms = append(j.terms, term{pid: l.PID, first: l.At})
	}
	j.terms[len(j.terms)-1].last = l.At
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

// end requires that all jobs have ended with all their indexes.
func (j *judge) end(jobs []batch.Job) {
	for _, job := range jobs {
		if r := j.job(job.Name); !r.over || r.count != *job.Completions {
			j.find("%s has %d completions of %d, ended: %t", job.Name, r.count, *job.Completions, r.over)
		}
	}
}

// takeOver returns how long it took from an instant at which a process that worked was
// hit until another one worked; false if that one went on for longer than its lease.
func (j *judge) takeOver(pid int, at time.Time, lease time.Duration) (time.Duration, bool) {
	i := slices.IndexFunc(j.terms, func(t term) bool { return t.first.After(at) })
	if i < 1 || j.terms[i-1].pid != pid || j.terms[i].pid == pid || j.terms[i-1].last.Sub(at) > lease {
		return 0, false
	}
	return j.terms[i].first.Sub(at), true
}

// quantile of durations, which it sorts.
func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.SortFunc(list, cmp.Compare[time.Duration])
	return list[min(len(list)-1, int(q*float64(len(list))))].Round(time.Millisecond)
}
