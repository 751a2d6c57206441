package engine

import (
	"cmp"
	"slices"
	"strconv"
)

// lookUntilStill looks again as long as a look changes the state, as that is
// something that happens, too.
func (c *CronJob) lookUntilStill(now Time) (actions []Action) {
	if c.Held && !c.Deleting {
		return nil
	}
	before := c.changed
	for again := true; again; again = c.changed && len(actions) == 0 {
		before = before || c.changed
		c.changed = false
		actions = c.look(now)
	}
	c.changed = c.changed || before
	return actions
}

// look is one pass, in the order of Kubernetes' controller.
func (c *CronJob) look(now Time) []Action {
	if c.Deleting && c.How != Foreground {
		return c.end()
	}
	actions := c.trimHistory(now)
	c.checkJobs(now)
	if c.Deleting {
		return append(actions, c.end()...)
	}
	return append(actions, c.start(now)...)
}

// end deletes the jobs with the CronJob, or lets them go, and then the CronJob.
func (c *CronJob) end() (actions []Action) {
	c.Due = Never
	heldUp := false
	for _, j := range c.jobs {
		heldUp = heldUp || !j.Manual && c.How == Foreground
		switch {
		case j.removed:
		case c.How == Orphan:
			actions = append(actions, Action{Do: Release, Job: j.Ref})
		default:
			j.removed = true
			actions = append(actions, Action{Do: Delete, Job: j.Ref, Linger: c.How == Foreground, Deletion: ByOwner})
		}
	}
	if !heldUp {
		actions = append(actions, Action{Do: Remove})
	}
	return actions
}

// trimHistory deletes the finished jobs beyond the limits, those that were started
// first.
func (c *CronJob) trimHistory(now Time) (actions []Action) {
	for _, kept := range []struct {
		phase Phase
		limit int
	}{{Complete, c.Spec.Successful}, {Failed, c.Spec.Failed}} {
		if len(c.jobs) <= kept.limit {
			continue
		}
		var finished []*Job
		for _, j := range c.jobs {
			if j.Phase == kept.phase && !j.removed {
				finished = append(finished, j)
			}
		}
		slices.SortStableFunc(finished, compareStarts)
		for _, j := range finished[:max(0, len(finished)-kept.limit)] {
			c.sawCompleted(j, now)
			actions = append(actions, c.delete(j, ByHistory, now))
		}
	}
	return actions
}

// compareStarts orders by the second of the start; jobs without one are last.
func compareStarts(a, b *Job) int {
	if a.Started == 0 || b.Started == 0 {
		return cmp.Or(-cmp.Compare(min(a.Started, 1), min(b.Started, 1)), cmp.Compare(a.Name, b.Name))
	}
	return cmp.Or(cmp.Compare(floorSeconds(a.Started), floorSeconds(b.Started)), cmp.Compare(a.Name, b.Name))
}

func (c *CronJob) delete(j *Job, why Deletion, now Time) Action {
	j.removed, j.fromActive = true, c.isActive(j.UID)
	if j.fromActive {
		c.deactivate(j.UID)
	}
	c.emit(now, Event{Kind: SuccessfulDelete, Job: j.Name})
	return Action{Do: Delete, Job: j.Ref, Deletion: why}
}

// sawCompleted reports the end of an active job.
func (c *CronJob) sawCompleted(j *Job, now Time) {
	if c.isActive(j.UID) {
		c.deactivate(j.UID)
		c.emit(now, Event{Kind: SawCompletedJob, Job: j.Name, Failed: j.Phase == Failed})
	}
}

// checkJobs compares the active jobs with those there are.
func (c *CronJob) checkJobs(now Time) {
	for _, j := range c.jobs {
		switch {
		case j.removed:
		case j.Phase != Unfinished:
			c.sawCompleted(j, now)
		case !c.isActive(j.UID):
			c.tell(now, Event{Kind: UnexpectedJob, Job: j.Name})
		}
	}
	for i := 0; i < len(c.Active); {
		if r := c.Active[i]; c.find(r.UID) == nil {
			c.deactivate(r.UID)
			c.emit(now, Event{Kind: MissingJob, Job: r.Name})
		} else {
			i++
		}
	}
}

// start starts what is due, unless something is against it.
func (c *CronJob) start(now Time) []Action {
	c.Due, c.Blocked = Never, ""
	switch {
	case c.Spec.BadZone:
		c.tell(now, Event{Kind: UnknownTimeZone, Detail: c.Spec.Zone})
		return nil
	case c.Spec.Suspend:
		return nil
	}
	if c.Spec.HasZone {
		c.tell(now, Event{Kind: UnsupportedSchedule, Detail: c.Spec.Text})
	}
	if c.Spec.Schedule == nil {
		c.tell(now, Event{Kind: UnparseableSchedule, Detail: strconv.Quote(c.Spec.Text) + " : " + c.Spec.Unparsable})
		return nil
	}
	due := c.Spec.Schedule.Due(c.base(), now, c.Spec.Deadline)
	if due.Never {
		c.tell(now, Event{Kind: InvalidSchedule, Detail: c.Spec.Text})
		return nil
	}
	if next, ok := c.Spec.Schedule.Next(c.base(), now); ok {
		c.Due = nanoseconds(next)
	}
	if !due.Is {
		return nil
	}
	if due.Many {
		c.tell(now, Event{Kind: TooManyMissedTimes})
	}
	return c.startAt(due.Time, now)
}

func (c *CronJob) startAt(due int64, now Time) (actions []Action) {
	name := JobName(c.Spec.Name, due)
	switch {
	case c.hasActiveName(name) || c.LastSchedule == due:
		return nil
	case c.Spec.Policy == Forbid && len(c.Active) > 0:
		c.tell(now, Event{Kind: JobAlreadyActive})
		return nil
	case c.Spec.Policy == Replace:
		for _, r := range slices.Clone(c.Active) {
			if j := c.find(r.UID); j != nil {
				actions = append(actions, c.delete(j, ByReplacement, now))
			}
		}
	}
	c.starting = due
	for _, j := range c.jobs { // one that was made by hand, or before a crash
		if j.Name == name && !j.removed {
			c.started(j.Ref)
			return actions
		}
	}
	return append(actions, Action{Do: Create, Job: Ref{Name: name}, Time: due})
}

// JobName is the name of the job for a scheduled time, which is in seconds.
func JobName(cronJob string, scheduled int64) string {
	minutes := scheduled / 60
	if scheduled%60 < 0 {
		minutes--
	}
	return cronJob + "-" + strconv.FormatInt(minutes, 10)
}
