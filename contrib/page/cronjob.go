package page

import (
	"iter"
	"time"
)

// A CronJob is what the list shows of what makes jobs on a schedule.
type CronJob struct {
	Name     string      `json:"name"`
	Sentence string      `json:"explain"` // when it comes, and how it last went
	Next     []time.Time `json:"next"`    // the next times; none if there are none
	Last     string      `json:"last"`    // the job that ended last; empty if none has
}

// CronJobsOf shows the CronJobs of a controller of package cron, in one line:
//
//	page.Options{CronJobs: page.CronJobsOf(crons.All())}
//
// What else says such a summary of itself is shown as well.
func CronJobsOf[S interface {
	Summary() (name, sentence string, next []time.Time, last string)
}](all iter.Seq[S]) iter.Seq[CronJob] {
	return func(yield func(CronJob) bool) {
		for s := range all {
			if name, sentence, next, last := s.Summary(); !yield(CronJob{name, sentence, next, last}) {
				return
			}
		}
	}
}
