package batch

import (
	"cmp"
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/runner"
	"github.com/runtocompletion/batch/internal/spec"
)

// The completion modes say what a completion of a job is (spec.completionMode).
const (
	// NonIndexed is the default: every success counts, whichever attempt had it.
	NonIndexed = "NonIndexed"
	// Indexed gives each completion an index from 0 to Completions-1; the job is complete
	// when every index has succeeded once.
	Indexed = "Indexed"
)

// The restart policies say what happens to an attempt whose executor failed
// (spec.template.spec.restartPolicy). Kubernetes' third value, Always, is refused: a job
// ends.
const (
	// RestartNever is the default: the attempt has failed, and a new attempt takes its place
	// after the retry delay.
	RestartNever = "Never"
	// RestartOnFailure runs the executor again within the same attempt, which keeps its UID
	// and its scratch directory, after the restart delay.
	RestartOnFailure = "OnFailure"
)

// The replacement policies say when an attempt that is being stopped may be replaced
// (spec.podReplacementPolicy).
const (
	// ReplaceTerminatingOrFailed is the default without a failure policy: an attempt asked to
	// stop counts as failed and is replaced at once, so that old and new may overlap.
	ReplaceTerminatingOrFailed = "TerminatingOrFailed"
	// ReplaceFailed is the default with a failure policy, and the only value it allows: an
	// attempt asked to stop keeps its place until it has ended, and counts as it ended.
	ReplaceFailed = "Failed"
)

// A FailureRule decides what a failed attempt means for its job: see [Job.FailurePolicy].
// It pairs an action with exactly one matcher: OnExitCodes, OnConditions or OnError.
type FailureRule struct {
	// Action is what a match does. It is required.
	Action string

	// OnExitCodes matches the attempt's exit code.
	OnExitCodes *ExitCodes

	// OnConditions matches if any condition of the attempt equals any of these in type and
	// status; an empty status means "True" (onPodConditions). An empty list is no matcher.
	OnConditions []Condition

	// OnError matches the error the executor returned. It has no counterpart in Kubernetes,
	// where errors do not exist. [ErrorIs] and [ErrorAs] make the usual matchers; any
	// predicate will do. It is called on the attempt's goroutine, never with a nil error,
	// possibly by several goroutines at once. A predicate that panics does not match, and the
	// panic is logged.
	OnError func(error) bool `json:"-"`
}

// The actions are what a [FailureRule] does when it matches.
const (
	// ActionFailJob ends the whole job with [ReasonPodFailurePolicy].
	ActionFailJob = "FailJob"
	// ActionFailIndex gives up the attempt's index without retry; it requires
	// [Job.BackoffLimitPerIndex].
	ActionFailIndex = "FailIndex"
	// ActionIgnore counts the failure towards no limit; a replacement starts after the usual
	// delay.
	ActionIgnore = "Ignore"
	// ActionCount counts the failure, as if no rule had matched.
	ActionCount = "Count"
)

// ExitCodes matches exit codes (onExitCodes): those that are in In, or those that are not
// in NotIn. One of them is required, with codes that ascend, each once. Exit code 0 never
// matches; In must not have it.
type ExitCodes struct {
	// ContainerName restricts the rule to [Job.ContainerName]; empty means any container, and
	// an attempt here has only one.
	ContainerName string
	In            []int
	NotIn         []int
}

// A SuccessRule is met by the indexes that have succeeded: see [Job.SuccessPolicy]. At
// least one field must be set; with both, SucceededCount counts within SucceededIndexes.
type SuccessRule struct {
	// SucceededIndexes are those that count. Nil means every index; an empty set is never
	// met.
	SucceededIndexes *IndexSet
	// SucceededCount is how many indexes suffice. Nil means all of SucceededIndexes; zero is
	// met by the first success.
	SucceededCount *int
}

// A Limit is how much of something attempts may use at once, or in a time: connections of
// a database, calls of a service. A job says in [Job.Limits] which ones its attempts
// need, and [Controller.Acquire] lets other code take part. The zero value limits
// nothing.
//
// An attempt gets all that it needs in one decision, and holds nothing while it waits. It
// is Pending then, and Status.WaitsFor names the limit. Jobs take turns by
// [Job.Priority]. Attempts that a limit would not let begin any more run on.
type Limit struct {
	// Active is the most that have it at once. Nil means any number. Zero lets none begin, a
	// pause. A negative value is an error.
	Active *int
	// Every is the time between two that begin: 200*time.Millisecond lets five begin a
	// second. Restarts in place begin, too. Zero means any number. A negative value, or more
	// than 100 years, is an error.
	Every time.Duration
	// Burst is how many may begin at once when none has for a while. Zero means 1. It needs
	// Every. A negative value is an error.
	Burst int
	// PerKey is set if all of this holds for each key on its own: for each value of
	// [Job.LimitKey]. It cannot be changed.
	PerKey bool
}

// ErrorIs returns a matcher for [FailureRule.OnError] that holds if [errors.Is] finds
// target in the attempt's error.
func ErrorIs(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// ErrorAs returns a matcher for [FailureRule.OnError] that holds if [errors.AsType] finds
// an error of type E in the attempt's error.
func ErrorAs[E error]() func(error) bool {
	return func(err error) bool {
		_, ok := errors.AsType[E](err)
		return ok
	}
}

// Permanent marks err as not worth a retry. An attempt that returns it fails its index if
// the job has [Job.BackoffLimitPerIndex], and the whole job otherwise, with
// [ReasonPodFailurePolicy], unless a rule of the failure policy matches: then the rule
// decides. Under [RestartOnFailure] the attempt is not restarted but fails. Errors marked
// by Permanent of any package backoff mean the same. What a job has failed with that the
// executor has run itself does not count. A nil err gives nil.
func Permanent(err error) error {
	return backoff.Permanent(err)
}

// RetryAfter marks err with the delay before the next try, such as that of an HTTP header
// Retry-After. It takes the place of [Job.Backoff], or [Job.RestartBackoff]; the failure
// counts as any other. Errors with a method RetryAfter() time.Duration, and those of
// backoff.RetryAfter, mean the same. Zero or less marks nothing. A nil err gives nil.
func RetryAfter(err error, delay time.Duration) error {
	if err == nil || delay <= 0 {
		return err
	}
	return &retryAfterError{err, delay}
}

// Snooze marks err as no failure, but a sign that it is too early: the work is to be
// tried again after the delay, as with [RetryAfter], and the attempt counts towards no
// limit, nor does it lengthen later delays. It is bounded: the 101st snooze in a row of
// an index, without another outcome in between, counts as any failure, and in a job
// without indexes that of so many for each of its Parallelism. A rule of the failure
// policy goes before it. Zero or less marks nothing. A nil err gives nil.
func Snooze(err error, delay time.Duration) error {
	if err == nil || delay <= 0 {
		return err
	}
	return &snoozeError{retryAfterError{err, delay}}
}

type snoozeError struct{ retryAfterError }

type retryAfterError struct {
	error
	delay time.Duration
}

func (e *retryAfterError) Unwrap() error             { return e.error }
func (e *retryAfterError) RetryAfter() time.Duration { return e.delay }

// A Backoff makes the delays of sequences of failures. BackOff is called when a sequence
// begins, that is for each job, for each index of a job with [Job.BackoffLimitPerIndex],
// and for each attempt under [RestartOnFailure]; NextBackOff of what it returns is called
// once for each failure, and [backoff.Stop] means that there is to be no retry. Calls for
// one job come one at a time; a slow one delays only that job's retries. If a call panics
// or exits, or there is no BackOff, that is logged and Kubernetes' delay is used. A
// changed Backoff serves the next sequence.
type Backoff interface {
	BackOff() backoff.BackOff
}

// BackoffFunc returns a [Backoff] that calls a constructor. Any of
// github.com/cenkalti/backoff/v4 fits; its exponential one gives up after 15 minutes
// unless it has backoff.WithMaxElapsedTime(0).
func BackoffFunc(f func() backoff.BackOff) Backoff { return spec.BackoffFunc(f) }

// ConstantBackoff waits d after every failure. Zero or less retries at once.
func ConstantBackoff(d time.Duration) Backoff { return spec.ConstantBackoff{Delay: max(d, 0)} }

// ExponentialBackoff waits initial after the first failure and twice as long after each
// further one, up to limit. Each delay is spread at random by the factor jitter in both
// directions: 0 means not at all, which makes it deterministic, and 0.5 between half and
// one and a half times the delay. Jitter may exceed limit. Negative arguments and NaN
// count as 0, a jitter above 1 as 1. ExponentialBackoff(10*time.Second, 10*time.Minute,
// 0) is Kubernetes' default.
func ExponentialBackoff(initial, limit time.Duration, jitter float64) Backoff {
	return spec.NewExponentialBackoff(initial, limit, jitter)
}

// makerOf returns what makes back-offs; nil for nil.
func makerOf(b Backoff) func() backoff.BackOff {
	if b == nil {
		return nil
	}
	return b.BackOff
}

// failureRules are the rules as plain data.
func failureRules(policy []FailureRule) []spec.FailureRule {
	if policy == nil {
		return nil
	}
	rules := make([]spec.FailureRule, len(policy))
	for i, r := range policy {
		rules[i].Action, rules[i].OnError = r.Action, r.OnError != nil
		rules[i].OnExitCodes = (*spec.ExitCodes)(r.OnExitCodes)
		for _, c := range r.OnConditions {
			rules[i].OnConditions = append(rules[i].OnConditions, engine.Condition{Type: c.Type, Status: c.Status})
		}
	}
	return rules
}

// setStatuses makes the status of every condition True that has none.
func setStatuses(rules []FailureRule) {
	for _, rule := range rules {
		for i := range rule.OnConditions {
			rule.OnConditions[i].Status = cmp.Or(rule.OnConditions[i].Status, conditionTrue)
		}
	}
}

// successRules are the rules as plain data.
func successRules(policy []SuccessRule) []spec.SuccessRule {
	if policy == nil {
		return nil
	}
	rules := make([]spec.SuccessRule, len(policy))
	for i, r := range policy {
		rules[i].Count = r.SucceededCount
		if r.SucceededIndexes != nil {
			rules[i].Indexes = &r.SucceededIndexes.set
		}
	}
	return rules
}

// isPermanent reports whether an error is marked by [Permanent], or by that of any
// version of package backoff.
func isPermanent(err error) bool {
	return inOwnChain(err, func(err error) bool {
		_, ok := err.(*backoff.PermanentError)
		return ok || reflect.TypeOf(err).String() == permanentType
	})
}

// retryAfterOf is the delay that an error asks for, by [RetryAfter], a method
// RetryAfter() time.Duration, or the error of package backoff; zero if it does not. It
// snoozes if the first that asks is by [Snooze].
func retryAfterOf(err error) (delay time.Duration, snoozes bool) {
	inOwnChain(err, func(err error) bool {
		_, snoozes = err.(*snoozeError)
		if e, ok := err.(interface{ RetryAfter() time.Duration }); ok {
			delay = e.RetryAfter()
			return true
		}
		if reflect.TypeOf(err).String() != retryAfterType {
			return false
		}
		field := reflect.ValueOf(err).Elem().FieldByName("Duration")
		if field.IsValid() && field.CanInt() {
			delay = time.Duration(field.Int())
		}
		return true
	})
	const longest = math.MaxInt64 / 4 // what is added to it does not overflow
	return min(max(delay, 0), longest), snoozes
}

// What the types are called in the versions of package backoff that have them. Where the
// package is does not matter: it may be a fork, or vendored.
const (
	permanentType  = "*backoff.PermanentError"
	retryAfterType = "*backoff.RetryAfterError"
)

// inOwnChain reports whether match holds for an error in the chain of err, or for several
// of them. What made a job fail that the executor has run itself says nothing of the
// executor, and is left out.
func inOwnChain(err error, match func(error) bool) bool {
	switch err.(type) {
	case nil, *JobError, *unfinishedError, *AttemptError:
		return false
	}
	if match(err) {
		return true
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return inOwnChain(e.Unwrap(), match)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), func(err error) bool { return inOwnChain(err, match) })
	}
	return false
}

// judgeOf returns what judges errors. Most jobs have no rules for them, and cost nothing.
func judgeOf(rules []FailureRule, log func(message string, panicked any)) func(err, stopped error) runner.Verdict {
	if slices.ContainsFunc(rules, func(r FailureRule) bool { return r.OnError != nil }) {
		return (&judge{rules, log}).judge
	}
	return func(err, stopped error) runner.Verdict { return (&judge{log: log}).judge(err, stopped) }
}

// A judge says what the errors of a job's executor mean.
type judge struct {
	rules []FailureRule // those that match errors, in the places they have in the policy
	log   func(message string, panicked any)
}

// judge finds out what an error came to. Stopped is why the attempt had been asked to
// stop, or nil.
func (g *judge) judge(err, stopped error) runner.Verdict {
	return runner.Verdict{Result: g.result(err, stopped), Text: errorText(err)}
}

// result says what an error means to the job. It calls user code; an error whose methods
// panic has exit code 1.
func (g *judge) result(err, stopped error) (res engine.Result) {
	res = engine.Result{Code: exitError, ErrorRule: engine.None}
	defer func() {
		if v := recover(); v != nil {
			g.log("error of an executor panicked", v)
		}
	}()
	res.Code = stoppedExitCode(err, stopped)
	res.Permanent = isPermanent(err)
	res.RetryAfter, res.Snooze = retryAfterOf(err)
	res.ErrorRule = slices.IndexFunc(g.rules, func(rule FailureRule) bool {
		return rule.OnError != nil && g.matches(rule.OnError, err)
	})
	return res
}

func (g *judge) matches(match func(error) bool, err error) (matched bool) {
	defer func() {
		if v := recover(); v != nil {
			matched = false
			g.log("failure rule panicked", v)
		}
	}()
	return match(err)
}

// stoppedExitCode is [ExitCode], but for an attempt that was asked to stop and says no
// more than that it did: such a container exits with 143.
func stoppedExitCode(err, stopped error) int {
	code, ok := exitCodeIn(err)
	switch {
	case ok:
		return code
	case stopped == nil:
		return exitError
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, stopped):
		return exitTerminated
	}
	return exitError
}
