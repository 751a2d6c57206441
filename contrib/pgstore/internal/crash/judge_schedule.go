//go:build unix

package crash

import "github.com/runtocompletion/batch/contrib/cron"

// A timetable is what the ledger says about one CronJob.
type timetable struct {
	name string
	jobs map[int64]string // that have run, by UID, for each time
	told map[int64]bool   // times that were told to be started
	last int64            // that has run
}

func (j *judge) cronJob(name string) *timetable {
	if j.cronJobs[name] == nil {
		j.cronJobs[name] = &timetable{name: name, jobs: make(map[int64]string), told: make(map[int64]bool)}
	}
	return j.cronJobs[name]
}

// started: a time has one job.
func (t *timetable) started(j *judge, l line) {
	if other := t.jobs[l.Time]; other != "" && other != l.UID {
		j.find("%s has two jobs for %d: %s and %s", t.name, l.Time, other, l.UID)
	}
	t.jobs[l.Time] = l.UID
	t.last = max(t.last, l.Time)
}

// end: if no job may overtake or replace another one, all times have run that were told,
// but for the last one.
func (t *timetable) end(j *judge, job cron.CronJob) {
	if job.ConcurrencyPolicy != cron.Forbid {
		return
	}
	for at := range t.told {
		if at < t.last && t.jobs[at] == "" {
			j.find("%s was told to have started %d, which has not run", t.name, at)
		}
	}
}
