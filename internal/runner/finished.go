package runner

import (
	"cmp"
	"container/list"
	"slices"

	"github.com/runtocompletion/batch/internal/engine"
)

// Finished are the jobs that have finished, in the order in which they did, so that
// the first can go when there are too many.
type finished struct {
	limit int // negative: none
	jobs  list.List
}

// keepFinished has the job kept as long as not too many others finish after it.
func (r *Runner) keepFinished(j *Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &r.finished
	if f.limit < 0 || j.asFinished != nil {
		return
	}
	j.asFinished = f.jobs.PushBack(j)
	if f.jobs.Len() == f.limit+1 { // otherwise that is under way
		r.enter()
		r.launch(r.removeOldest)
	}
}

// removeOldest removes jobs until there are not too many. It has a goroutine of its
// own, as the lock of another job is held where that is found out.
func (r *Runner) removeOldest() {
	defer r.leave()
	for {
		r.mu.Lock()
		f := &r.finished
		if f.jobs.Len() <= f.limit {
			r.mu.Unlock()
			return
		}
		j := f.jobs.Remove(f.jobs.Front()).(*Job)
		j.asFinished = nil
		r.mu.Unlock()
		j.removeFinished()
	}
}

// removeFinished removes the job, unless it was run again meanwhile.
func (j *Job) removeFinished() {
	var e effects
	j.lock()
	if j.engine.FinishedAt != 0 && !j.r.keepsFinished(j) {
		j.stepLocked(&e, engine.Event{Kind: engine.Deleted})
	}
	j.unlock()
	j.r.perform(&e)
}

// keepsFinished reports whether the job is among those that are kept.
func (r *Runner) keepsFinished(j *Job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return j.asFinished != nil
}

// forgetFinished takes a job out that is to run again.
func (r *Runner) forgetFinished(j *Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetFinishedLocked(j)
	j.asFinished = nil
}

// forgetFinishedLocked takes a job out that is gone. It needs r.mu.
func (r *Runner) forgetFinishedLocked(j *Job) {
	if j.asFinished != nil {
		r.finished.jobs.Remove(j.asFinished) // does nothing if it is not in the list
	}
}

// keepAllFinished is keepFinished for jobs that were loaded.
func (r *Runner) keepAllFinished(jobs []*loadedJob) {
	jobs = slices.DeleteFunc(slices.Clone(jobs), func(l *loadedJob) bool { return l.finished == 0 })
	slices.SortStableFunc(jobs, func(a, b *loadedJob) int { return cmp.Compare(a.finished, b.finished) })
	for _, l := range jobs {
		r.keepFinished(l.job)
	}
}
