package prometheus

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/around"
)

// The values of the label kind of batch_attempt_retries_total.
const (
	kindAttempt = "attempt" // a new attempt for what an earlier one has not completed
	kindRestart = "restart" // a restart in place
)

// maxDebts is how many jobs may have debts.
const maxDebts = 10_000

// debts tell retries from first attempts in jobs that are not Indexed, whose
// attempts do not say which they are: each that is to be replaced leaves a debt,
// which the next one that starts pays. The zero value is ready to use.
type debts struct {
	controller atomic.Pointer[batch.Controller] // nil while there is no collector
	jobs       atomic.Int64                     // how many have debts; without any, mu is not needed

	mu   sync.Mutex
	owed map[string]int // by the job's UID
}

// kindOf says of an execution that starts in which way it repeats an earlier one;
// empty means that it does not.
func (d *debts) kindOf(a batch.Attempt) string {
	switch {
	case a.Restarts > 0:
		return kindRestart
	case a.Index >= 0 && a.Number > 0, a.Index < 0 && d.pay(a):
		return kindAttempt
	}
	return ""
}

// ended takes in how an execution has ended.
func (d *debts) ended(a batch.Attempt, outcome string) {
	if a.Index >= 0 || outcome == around.Succeeded || d.isRestarted(a, outcome) {
		return
	}
	job := jobUID(a)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owed[job] == 0 && len(d.owed) >= maxDebts {
		return
	}
	if d.owed == nil {
		d.owed = make(map[string]int)
	}
	d.owed[job]++
	d.jobs.Store(int64(len(d.owed)))
}

// isRestarted reports whether an execution that ended like that is followed by a
// restart in place, if by anything.
func (d *debts) isRestarted(a batch.Attempt, outcome string) bool {
	c := d.controller.Load()
	if c == nil || outcome != around.Failed && outcome != around.Panicked {
		return false
	}
	job, err := c.Job(a.Job)
	return err == nil && job.RestartPolicy == batch.RestartOnFailure
}

func (d *debts) pay(a batch.Attempt) bool {
	if d.jobs.Load() == 0 {
		return false
	}
	job := jobUID(a)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owed[job] == 0 {
		return false
	}
	d.owed[job]--
	if d.owed[job] == 0 {
		d.drop(job)
	}
	return true
}

// drop forgets a job. It needs d.mu.
func (d *debts) drop(job string) {
	delete(d.owed, job)
	d.jobs.Store(int64(len(d.owed)))
}

// debtors are the jobs that have debts.
func (d *debts) debtors() map[string]struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	jobs := make(map[string]struct{}, len(d.owed))
	for job := range d.owed {
		jobs[job] = struct{}{}
	}
	return jobs
}

// forgive forgets jobs that will pay nothing any more.
func (d *debts) forgive(jobs map[string]struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for job := range jobs {
		d.drop(job)
	}
}

func jobUID(a batch.Attempt) string {
	uid, _, _ := strings.Cut(a.Token(), "/")
	return uid
}
