package engine

import (
	"errors"
	"fmt"
	"slices"
)

// A checker is shown a job after each step and finds what must not happen in
// the course of time, besides what [Job.Check] finds.
type checker struct {
	job    *Job
	faults []error

	// exact is set if records of ended attempts are never used again, so that
	// it can be followed how each attempt is counted (R288).
	exact bool

	before    snapshot
	attempts  map[int64]*tracked
	numbers   map[[2]int]int64 // attempts by index and number
	finished  bool
	gone      bool
	cancelled []int // indexes, by the step
	succeeded int   // what the counters are to be, if exact
	failed    int
}

// A snapshot is what is compared with the next step.
type snapshot struct {
	spec              Spec
	succeeded, failed int
	created           int64
	run               int
	conditions        []Condition
	startTime, end    Time
	decided           bool
	completed, given  string
	lastFailure       Failure
}

// A tracked is an attempt as it was after the last step.
type tracked struct {
	a      *Attempt
	was    Attempt
	exempt bool // its index may be replaced although it still runs
}

func newChecker(j *Job, exact bool) *checker {
	c := &checker{job: j, exact: exact, attempts: make(map[int64]*tracked), numbers: make(map[[2]int]int64)}
	c.before = c.snap()
	return c
}

func (c *checker) snap() snapshot {
	j := c.job
	return snapshot{
		spec: *j.Spec, run: j.Run(), succeeded: j.Succeeded, failed: j.Failed, created: j.created,
		conditions: slices.Clone(j.Conditions), startTime: j.StartTime, end: j.FinishedAt, decided: j.target != nil,
		completed: j.Completed.String(), given: j.GivenUp.String(), lastFailure: j.LastFailure,
	}
}

func (c *checker) want(ok bool, format string, args ...any) {
	if !ok {
		c.faults = append(c.faults, fmt.Errorf(format, args...))
	}
}

// after is to be called after each step, once its actions have been done.
func (c *checker) after(ev Event, actions []Action) error {
	c.faults = c.faults[:0]
	if err := c.job.Check(); err != nil {
		c.faults = append(c.faults, err)
	}
	c.cancelled = ev.Indexes
	if c.job.Run() != c.before.run {
		c.beginRun(ev)
	}
	c.checkActions(actions)
	c.checkCounts(ev)
	c.checkConditions()
	c.checkStartTime()
	c.checkFinal()
	c.checkAttempts(ev)
	c.checkNew()
	c.checkIdle()
	c.before = c.snap()
	return errors.Join(c.faults...)
}

// beginRun forgets what an earlier run has come to, which had finished.
func (c *checker) beginRun(ev Event) {
	b := &c.before
	c.want(
		ev.Kind == Rerun && c.job.Run() == b.run+1 && b.end != 0, "run %d after run %d, which ended at %d", c.job.Run(),
		b.run, b.end,
	)
	done := 0
	if ev.Keep && c.job.Spec.Completions != None {
		done = b.succeeded
	}
	c.want(c.job.Spec.Indexed || c.job.Succeeded >= done, "%d of %d succeeded are kept", c.job.Succeeded, done)
	c.finished, c.failed, c.succeeded = false, 0, done
	c.before = snapshot{spec: b.spec, run: b.run, created: b.created}
}

func (c *checker) checkActions(actions []Action) {
	started := make(map[int64]int)
	for _, act := range actions {
		a := act.Attempt
		switch act.Kind {
		case Start:
			started[a.Seq]++
			c.want(!c.before.decided || a.Restarts > 0 || a.runEndAt != 0, "attempt %d starts when all is decided", a.Seq)
			c.want(!c.gone || a.Restarts > 0 || a.runEndAt != 0, "attempt %d starts when the job is gone", a.Seq)
		case Stop, Abandon:
			c.want(a != nil, "action %v without attempt", act.Kind)
		case Close:
			c.want(a.Notify || !a.HasEnded(), "attempt %d is closed that did not want it", a.Seq)
		case Finished:
			c.want(!c.finished && c.job.FinishedAt != 0, "finished again")
			c.finished = true
		case Gone:
			c.want(!c.gone && c.job.IsGone(), "gone again")
			c.gone = true
		}
	}
	for seq, n := range started {
		c.want(n == 1, "attempt %d starts %d times in a step", seq, n)
	}
	for seq := c.before.created; seq < c.job.created; seq++ {
		c.want(started[seq] == 1, "attempt %d is not started", seq)
	}
	c.want(c.finished == (c.job.FinishedAt != 0), "finished and nobody told")
	c.want(c.gone == c.job.IsGone(), "gone and nobody told")
}

// checkCounts is R277 and R278.
func (c *checker) checkCounts(ev Event) {
	j, b := c.job, &c.before
	c.want(j.Failed >= b.failed, "failed goes from %d to %d", b.failed, j.Failed)
	cut := ev.Kind == Updated && b.spec.Indexed && ev.Spec.Completions < b.spec.Completions
	c.want(j.Succeeded >= b.succeeded || cut, "succeeded goes from %d to %d", b.succeeded, j.Succeeded)
	c.want(int64(j.Succeeded+j.Failed-b.succeeded-b.failed) <= j.created, "more is counted than there was")
	c.want(j.LastFailure.At >= b.lastFailure.At, "the last failure goes from %+v to %+v", b.lastFailure, j.LastFailure)
}

// checkConditions is R256 and R279: the list grows only, and only Suspended
// changes in it.
func (c *checker) checkConditions() {
	for i, old := range c.before.conditions {
		if i >= len(c.job.Conditions) {
			c.want(false, "condition %s is gone", old.Type)
			continue
		}
		now := c.job.Conditions[i]
		c.want(now == old || now.Type == Suspended && old.Type == Suspended && now.Status != old.Status &&
			now.At == c.job.now,
			"condition %v becomes %v", old, now)
	}
}

// checkStartTime is R284 and R234.
func (c *checker) checkStartTime() {
	j, old := c.job, c.before.startTime
	if j.StartTime == old || old == 0 && j.StartTime == j.now {
		return
	}
	i := slices.IndexFunc(j.Conditions, func(cond Condition) bool { return cond.Type == Suspended })
	flips := i >= 0 && j.Conditions[i].At == j.now
	c.want(flips, "start time goes from %d to %d", old, j.StartTime)
}

// checkFinal is R262 and R282.
func (c *checker) checkFinal() {
	if c.before.end == 0 {
		// R282: a job that ends while it is suspended, or is cancelled, may never have started.
		c.want(c.job.FinishedAt == 0 || c.job.StartTime != 0 || c.job.Spec.Suspend || c.job.isCancelled(),
			"finished without a start time")
		return
	}
	now := c.snap()
	c.want(now.end == c.before.end && now.succeeded == c.before.succeeded && now.failed == c.before.failed &&
		now.created == c.before.created && len(now.conditions) == len(c.before.conditions) &&
		now.startTime == c.before.startTime && now.completed == c.before.completed && now.given == c.before.given &&
		now.lastFailure == c.before.lastFailure,
		"finished, and goes from %+v to %+v", c.before, now)
}

// checkAttempts follows each attempt: what it has become it stays (R125), and
// it is counted once at most (R136).
func (c *checker) checkAttempts(ev Event) {
	j := c.job
	for _, a := range j.live {
		if c.attempts[a.Seq] == nil {
			c.attempts[a.Seq] = &tracked{
				a: a, was: Attempt{Seq: a.Seq, Index: a.Index, Number: a.Number, CreatedAt: a.CreatedAt},
			}
		}
	}
	switched := ev.Kind == Updated && ev.Spec.ReplaceFailed && !c.before.spec.ReplaceFailed
	for seq, t := range c.attempts {
		if t.a.Seq != seq {
			delete(c.attempts, seq)
			c.want(!c.exact, "the record of attempt %d is used again", seq)
			continue
		}
		c.follow(t)
		if switched && t.a.State == StateStopping && !t.a.holding {
			t.exempt = true
		}
		t.was = *t.a
		if !c.exact && t.a.HasEnded() && !t.a.Pinned && !t.a.retained {
			delete(c.attempts, seq)
		}
	}
	if !c.exact || j.Spec.perIndex() {
		return
	}
	c.want(j.Failed == c.failed, "%d failed, want %d", j.Failed, c.failed)
	c.want(j.Spec.Indexed || j.Succeeded == c.succeeded, "%d succeeded, want %d", j.Succeeded, c.succeeded)
}

func (c *checker) follow(t *tracked) {
	now, was := t.a, &t.was
	c.want(now.Index == was.Index && now.Number == was.Number && now.CreatedAt == was.CreatedAt &&
		(now.Failures == was.Failures && now.Ignored == was.Ignored || was.StartedAt == 0), "attempt %d becomes another",
		now.Seq)
	c.want(now.Phase() >= was.Phase(), "attempt %d goes from phase %d to %d", now.Seq, was.Phase(), now.Phase())
	c.want(
		now.Restarts >= was.Restarts && now.Restarts <= was.Restarts+1, "attempt %d: restarts go from %d to %d", now.Seq,
		was.Restarts, now.Restarts,
	)
	c.want(was.DeletedAt == 0 || now.DeletedAt == was.DeletedAt && now.DeletedBy == was.DeletedBy,
		"attempt %d is deleted again", now.Seq)
	c.want(!was.HasEnded() || now.Phase() == was.Phase() && now.FinishedAt == was.FinishedAt &&
		now.ExitCode == was.ExitCode && now.HasExit == was.HasExit && now.Reason == was.Reason,
		"attempt %d has ended as %+v and becomes %+v", now.Seq, *was, *now)
	c.want(
		!now.HasEnded() || now.FinishedAt >= now.CreatedAt && now.FinishedAt >= now.StartedAt, "attempt %d ends too early",
		now.Seq,
	)
	uncounted := was.retained && now.account == open && c.job.Spec.ReplaceFailed && !was.HasEnded()
	c.want(was.account == open || now.account == was.account || was.retained && now.account != open || uncounted ||
		!c.job.inRange(now), "attempt %d is counted again", now.Seq)
	if was.account != open || was.HasEnded() {
		return
	}
	rule := c.job.Spec.match(now)
	ignored := rule != None && c.job.Spec.FailureRules[rule].Action == Ignore
	switch now.account {
	case counted:
		if now.Phase() == Succeeded {
			c.succeeded++
		} else if !ignored && !now.snoozed {
			c.failed++
		}
	case exempted: // R170, R209
		running := *now
		running.HasExit, running.ExitCode = was.HasExit, was.ExitCode
		rule := c.job.Spec.match(&running)
		ignored := rule != None && c.job.Spec.FailureRules[rule].Action == Ignore
		fails := c.job.target != nil && !c.job.target.success && !c.before.decided
		if fails && !ignored && !slices.Contains(c.cancelled, now.Index) && c.job.inRange(now) && now.exempted(c.job) {
			c.failed++
		}
	}
}

// exempted reports whether the attempt, which was open before the step in which
// its job failed, was counted as one of those that had not ended (R170).
func (a *Attempt) exempted(j *Job) bool {
	return !a.HasEnded() || a.DeletedAt == j.now && a.FinishedAt == j.now
}

// checkNew looks at the attempts that the step has created.
func (c *checker) checkNew() {
	j := c.job
	if j.created == c.before.created {
		return
	}
	c.want(j.target == nil && j.DeletedAt == 0 && !j.halted && !j.Spec.Suspend, "attempts are created that nobody wants")
	if j.Spec.ReplaceFailed {
		c.want(j.Active+j.Terminating <= j.Spec.Parallelism, "%d attempts run of %d, and one is created",
			j.Active+j.Terminating, j.Spec.Parallelism)
	}
	c.want(
		j.Active+int(j.settling) <= j.Spec.Parallelism, "%d active and %d settling of %d", j.Active, int(j.settling),
		j.Spec.Parallelism,
	)
	for _, a := range j.live {
		if a.Seq < c.before.created {
			continue
		}
		c.want(a.active() && a.account == open && a.CreatedAt == j.now, "attempt %d is created as %+v", a.Seq, a)
		c.want(a.Index < j.Spec.Completions || !j.Spec.Indexed, "attempt %d has index %d", a.Seq, a.Index)
		key := [2]int{a.Index, a.Number}
		twin, ok := c.numbers[key]
		c.want(!ok, "attempt %d has index %d and number %d, as attempt %d", a.Seq, a.Index, a.Number, twin)
		c.numbers[key] = a.Seq
		for _, other := range j.live {
			if other.Index < 0 || other.Index != a.Index || other == a {
				continue
			}
			t := c.attempts[other.Seq]
			c.want(!j.Spec.ReplaceFailed || t.exempt, "index %d is replaced while attempt %d runs", a.Index, other.Seq)
			c.want(!other.active(), "index %d is active twice", a.Index)
		}
	}
}

// checkIdle makes sure that no place stays empty without a reason (R160, R165).
func (c *checker) checkIdle() {
	j := c.job
	if !(&checkup{Job: j}).managed() || j.Spec.Suspend || j.awaiting {
		return
	}
	missing := j.wanted() - j.Active - int(j.settling)
	if j.Spec.ReplaceFailed {
		missing -= j.Terminating
	}
	if missing <= 0 || !j.Spec.perIndex() && j.now < j.retry.heldUntil() {
		return
	}
	if !j.Spec.Indexed {
		c.want(false, "%d places are empty", missing)
		return
	}
	held := make(map[int]bool)
	for _, a := range j.live {
		held[a.Index] = held[a.Index] || a.holding
	}
	for i := 0; i < j.Spec.Completions && missing > 0; i++ {
		if held[i] || j.Completed.Contains(i) || j.GivenUp.Contains(i) {
			continue
		}
		missing--
		a := j.retained[i]
		c.want(a != nil && a.retryAt > j.now, "index %d could start", i)
	}
}
