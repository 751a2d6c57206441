package engine

import (
	"slices"
	"time"

	"github.com/runtocompletion/batch/internal/indexset"
)

// None is the value of an optional number that is not set.
const None = -1

// A Spec is what a job is to do, with all defaults resolved.
type Spec struct {
	Completions          int           // None: a work queue
	Parallelism          int           // how many attempts run at once
	BackoffLimit         int           // one more failure than that fails the job
	BackoffLimitPerIndex int           // likewise for an index; or None
	MaxFailedIndexes     int           // one more failed index than that fails the job; or None
	ActiveDeadline       time.Duration // from the start, or the latest resume, of the job; or None
	AttemptTimeout       time.Duration // from the start of an attempt; or None
	ProgressDeadline     time.Duration // between two signs of life of an attempt; zero: none
	Grace                time.Duration // that an attempt has to stop
	TTL                  time.Duration // from the end of the job to its removal; or None
	FailureRules         []FailureRule
	SuccessRules         []SuccessRule
	Delay                time.Duration // see FixedDelay
	History              int           // how many ended attempts are kept
	Container, Namespace string

	Indexed            bool // each completion has an index
	OnFailure          bool // restart in place
	Suspend            bool // nothing runs
	ReplaceFailed      bool // replacement policy Failed
	Unmanaged          bool // another controller's
	HoldsPending       bool // new attempts are Pending until Started
	QueuesStarts       bool // new attempts and restarts alike wait for Started
	CustomDelay        bool // ask for retry delays with NeedDelay
	FixedDelay         bool // every retry delay is Delay
	CustomRestartDelay bool // ask for restart delays with NeedRestartDelay
}

// perIndex reports whether each index has a limit and delays of its own.
func (s *Spec) perIndex() bool { return s.BackoffLimitPerIndex >= 0 }

// A FailureRule matches by exit code if Codes is set, by condition if
// Conditions is; otherwise by error, which only the caller can do.
type FailureRule struct {
	Action     FailureAction
	NotIn      bool
	Codes      []int
	Conditions []Condition // only Type and Status
}

// FailureAction is what a failure rule does.
type FailureAction uint8

const (
	Count     FailureAction = iota // the failure counts, as without a rule
	Ignore                         // it does not, and is tried again after the delay
	FailIndex                      // the index has failed for good
	FailJob                        // the job has
)

// A SuccessRule is met when Count indexes of Indexes, or of all if Indexes is
// nil, have succeeded. A Count of None means every one of Indexes.
type SuccessRule struct {
	Indexes *indexset.Set
	Count   int
}

// A Result is how an executor ended.
type Result struct {
	Code      int  // the exit code; zero is success
	ErrorRule int  // the first rule that matched the error, or None
	Permanent bool // not worth a retry
	// RetryAfter is the delay before the next try, in place of any other; zero if the
	// result has none to say.
	RetryAfter time.Duration
	// Snooze is set if the result is no failure, only that it is too early: with
	// RetryAfter, which it needs, it does not count. See Spec.snoozeLimit.
	Snooze bool
}

// match finds the first rule that matches a failed attempt, or None. An attempt
// that has not ended can match by its conditions only.
func (s *Spec) match(a *Attempt) int {
	for i := range s.FailureRules {
		r := &s.FailureRules[i]
		// The first that matches decides, whatever it matches by: so the order of rules is in
		// the hands of the user.
		if i == a.errorRule || r.matchesCode(a) || r.matchesCondition(a) {
			return i
		}
	}
	return None
}

// matchesCode reports whether the rule is about exit codes and the attempt has one of them,
// or has one that is not among them.
func (r *FailureRule) matchesCode(a *Attempt) bool {
	if len(r.Codes) == 0 || !a.HasExit || a.ExitCode == 0 {
		return false // exit code 0 matches no rule, not even NotIn
	}
	return slices.Contains(r.Codes, a.ExitCode) != r.NotIn
}

// matchesCondition reports whether the attempt has any of the conditions.
func (r *FailureRule) matchesCondition(a *Attempt) bool {
	return slices.ContainsFunc(r.Conditions, func(want Condition) bool {
		return slices.ContainsFunc(a.Conditions, func(c Condition) bool {
			return c.Type == want.Type && c.Status == want.Status
		})
	})
}

// successRule finds the first success rule that is met, or None.
func (j *Job) successRule() int {
	// No rule is met by nothing, not even one whose count is zero.
	if j.Completed.Len() == 0 {
		return None
	}
	for i := range j.Spec.SuccessRules {
		if j.meets(&j.Spec.SuccessRules[i]) {
			return i
		}
	}
	return None
}

// meets reports whether a success rule is met. Of its indexes those count that the job
// still has: a rule whose indexes were all cut off is never met.
func (j *Job) meets(r *SuccessRule) bool {
	if r.Indexes == nil {
		return j.Completed.Len() >= r.Count
	}
	size, done := 0, 0
	// By intervals: a rule may name ten million indexes in one.
	for first, last := range r.Indexes.Intervals() {
		last = min(last, j.Spec.Completions-1)
		if first > last {
			break
		}
		size += last - first + 1
		done += j.Completed.CountBelow(last+1) - j.Completed.CountBelow(first)
	}
	return size > 0 && (done == size || r.Count != None && done >= r.Count)
}
