package engine

import (
	"fmt"
	"time"

	"github.com/runtocompletion/batch/internal/indexset"
)

// The rules here are those by which the API server accepts a status: of one that has not
// changed no rule is asked again, so that a rule which an update of the spec has broken
// does not keep the manager from mending it.

// A ReportFault is what is wrong with a report.
type ReportFault struct {
	Field    string // as in a manifest, such as "status.active"
	Required bool   // it is missing; otherwise it is invalid
	Value    any    // nil: there is none to show
	Detail   string
}

// A reportCheck compares a report with what there was before.
type reportCheck struct {
	old    *Job
	new    *Report
	now    Job // with the conditions of the report
	faults []ReportFault
}

// CheckReport returns everything for which the report cannot be taken.
func (j *Job) CheckReport(r *Report) []ReportFault {
	c := &reportCheck{old: j, new: r, now: Job{Conditions: r.Conditions}}
	c.checkCounters()
	c.checkEnd()
	c.checkTimes()
	c.checkSets()
	c.checkConditions()
	return c.faults
}

func (c *reportCheck) want(ok bool, field string, value any, detail string) {
	if !ok {
		c.faults = append(c.faults, ReportFault{Field: "status." + field, Value: value, Detail: detail})
	}
}

func (c *reportCheck) require(ok bool, field, detail string) {
	if !ok {
		c.faults = append(c.faults, ReportFault{Field: "status." + field, Required: true, Detail: detail})
	}
}

// turns reports whether a condition is true of one of both and not of the other.
func (c *reportCheck) turns(condition string) bool {
	return c.old.has(condition) != c.now.has(condition)
}

func (c *reportCheck) finishes() bool {
	return c.old.hasFinal() != c.now.hasFinal()
}

// hasFinal reports whether a final condition is true.
func (j *Job) hasFinal() bool { return j.has(JobComplete) || j.has(JobFailed) }

func (c *reportCheck) checkCounters() {
	r, old := c.new, c.old
	for _, n := range []struct {
		field string
		value int
	}{{"active", r.Active}, {"succeeded", r.Succeeded}, {"failed", r.Failed}, {"ready", r.Ready},
		{"terminating", r.Terminating}} {
		c.want(n.value >= 0, n.field, n.value, "must be greater than or equal to 0")
	}
	ended := c.now.hasFinal()
	if c.finishes() || r.Active != old.Active {
		c.want(!ended || r.Active <= 0, "active", r.Active, "active>0 is invalid for finished job")
	}
	if c.finishes() || r.Terminating != old.Terminating {
		c.want(!ended || r.Terminating <= 0, "terminating", r.Terminating, "terminating>0 is invalid for finished job")
	}
	if r.Ready != old.Ready || r.Active != old.Active {
		c.want(r.Ready <= r.Active, "ready", r.Ready, "cannot set more ready pods than active")
	}
	c.want(r.Failed >= old.Failed, "failed", r.Failed, "cannot decrease the failed counter")
	// A job that is scaled down together with its completions loses successes.
	s := old.Spec
	c.want(r.Succeeded >= old.Succeeded || s.Indexed && s.Completions == s.Parallelism,
		"succeeded", r.Succeeded, "cannot decrease the succeeded counter")
}

// checkEnd looks at the conditions that say how a job ends.
func (c *reportCheck) checkEnd() {
	const at = "conditions"
	now := &c.now
	complete, failed := now.has(JobComplete), now.has(JobFailed)
	succeeds, fails := now.has(SuccessCriteriaMet), now.has(FailureTarget)
	if c.turns(JobComplete) || c.turns(JobFailed) {
		c.want(!complete || !failed, at, nil, "cannot set Complete=True and Failed=true conditions")
	}
	if c.turns(JobComplete) || c.turns(FailureTarget) {
		c.want(!complete || !fails, at, nil, "cannot set Complete=True and FailureTarget=true conditions")
	}
	if c.turns(JobFailed) || c.givenUpChanges() {
		c.want(!failed || fails, at, nil, "cannot set Failed=True condition without the FailureTarget=true condition")
	}
	if c.turns(JobComplete) || c.turns(SuccessCriteriaMet) {
		c.want(!complete || succeeds, at, nil,
			"cannot set Complete=True condition without the SuccessCriteriaMet=true condition")
	}
	c.want(!succeeds || !failed, at, nil, "cannot set SuccessCriteriaMet=True and Failed=true conditions")
	c.want(!succeeds || !fails, at, nil, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
	c.want(c.old.Spec.SuccessRules == nil || succeeds || !complete, at, nil,
		"cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True")
}

// checkConditions makes sure that what has been decided stays so.
func (c *reportCheck) checkConditions() {
	for _, condition := range []string{JobFailed, JobComplete, FailureTarget} {
		c.want(!c.old.has(condition) || c.now.has(condition), "conditions", nil,
			fmt.Sprintf("cannot disable the terminal %s=True condition", condition))
	}
	met := c.now.has(SuccessCriteriaMet)
	c.want(!c.old.has(SuccessCriteriaMet) || met, "conditions", nil,
		"cannot disable the SuccessCriteriaMet=True condition")
	c.want(!c.old.has(JobComplete) || c.old.has(SuccessCriteriaMet) || !met, "conditions", nil,
		"cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")
}

func (c *reportCheck) checkTimes() {
	r, old := c.new, c.old
	completion := old.completionTime()
	complete := c.now.has(JobComplete)
	if c.turns(JobComplete) || r.CompletionTime != completion {
		c.want(r.CompletionTime == 0 || complete, "completionTime", shownTime(r.CompletionTime),
			"cannot set completionTime when there is no Complete=True condition")
		c.require(r.CompletionTime != 0 || !complete, "completionTime", "completionTime is required for Complete jobs")
	}
	if r.StartTime != old.StartTime || r.CompletionTime != completion {
		c.want(r.StartTime == 0 || r.CompletionTime == 0 || r.CompletionTime >= r.StartTime,
			"completionTime", shownTime(r.CompletionTime), "must be equal to or after `startTime`")
	}
	suspendedWithNothing := old.Spec.Suspend && old.Spec.Completions == 0
	if (c.finishes() || r.StartTime != old.StartTime) && !suspendedWithNothing {
		c.require(r.StartTime != 0 || !c.now.hasFinal(), "startTime", "startTime is required for finished job")
	}
	c.want(r.CompletionTime == 0 || completion == 0 || r.CompletionTime == completion,
		"completionTime", shownTime(r.CompletionTime), "field is immutable")
	if r.StartTime != old.StartTime && !c.resumes() {
		c.want(old.StartTime == 0 || old.Spec.Suspend, "startTime", shownTime(r.StartTime),
			"field is immutable for unsuspended job once set")
	}
}

// completionTime is when the job became Complete, as was reported.
func (j *Job) completionTime() Time {
	if !j.has(JobComplete) {
		return 0
	}
	return j.FinishedAt
}

// resumes reports whether the report takes back that the job is suspended.
func (c *reportCheck) resumes() bool {
	if !c.old.has(Suspended) {
		return false
	}
	for _, condition := range c.new.Conditions {
		if condition.Type == Suspended {
			return condition.Status == False
		}
	}
	return false
}

func shownTime(t Time) any {
	if t == 0 {
		return nil
	}
	return time.Unix(0, int64(t)).UTC().Format(time.RFC3339)
}

func (c *reportCheck) givenUpChanges() bool {
	if c.new.GivenUp == nil {
		return c.old.GivenUp.Len() > 0
	}
	return !c.new.GivenUp.Equal(c.old.GivenUp)
}

func (c *reportCheck) checkSets() {
	r, s := c.new, c.old.Spec
	completedChanges := !r.Completed.Equal(c.old.Completed)
	if completedChanges {
		c.checkRange("completedIndexes", r.Completed)
		c.want(s.Indexed || r.Completed.Len() == 0, "completedIndexes", r.Completed.String(),
			"cannot set non-empty completedIndexes when non-indexed completion mode")
	}
	if r.GivenUp == nil {
		return
	}
	text := r.GivenUp.String()
	if s.perIndex() && c.givenUpChanges() {
		c.checkRange("failedIndexes", *r.GivenUp)
	}
	c.want(s.perIndex(), "failedIndexes", text, "cannot set non-null failedIndexes when backoffLimitPerIndex is null")
	if completedChanges || c.givenUpChanges() {
		c.checkOverlap(r, text)
	}
}

func (c *reportCheck) checkRange(field string, set indexset.Set) {
	if c.old.Spec.Completions < 0 {
		return
	}
	if _, err := indexset.Parse(set.String(), c.old.Spec.Completions); err != nil {
		c.want(false, field, set.String(), fmt.Sprintf("error parsing %s: %s", field, err))
	}
}

func (c *reportCheck) checkOverlap(r *Report, text string) {
	for i := range r.GivenUp.All() {
		if r.Completed.Contains(i) {
			c.want(false, "failedIndexes", text,
				fmt.Sprintf("failedIndexes and completedIndexes overlap at index: %d", i))
			return
		}
	}
}
