package batch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/indexset"
	"github.com/runtocompletion/batch/internal/names"
	"github.com/runtocompletion/batch/internal/runner"
)

// The completion modes say what a completion of a job is (spec.completionMode).
const (
	// NonIndexed is the default: every success counts, whichever attempt had it.
	NonIndexed = "NonIndexed"
	// Indexed gives each completion an index from 0 to Completions-1; the job
	// is complete when every index has succeeded once.
	Indexed = "Indexed"
)

// The restart policies say what happens to an attempt whose executor failed
// (spec.template.spec.restartPolicy). Kubernetes' third value, Always, is
// refused: a job ends.
const (
	// RestartNever is the default: the attempt has failed, and a new attempt
	// takes its place after the retry delay.
	RestartNever = "Never"
	// RestartOnFailure runs the executor again within the same attempt, which
	// keeps its UID and its scratch directory, after the restart delay.
	RestartOnFailure = "OnFailure"
)

// The replacement policies say when an attempt that is being stopped may be replaced
// (spec.podReplacementPolicy).
const (
	// ReplaceTerminatingOrFailed is the default without a failure policy: an
	// attempt asked to stop counts as failed and is replaced at once, so that
	// old and new may overlap.
	ReplaceTerminatingOrFailed = "TerminatingOrFailed"
	// ReplaceFailed is the default with a failure policy, and the only value
	// it allows: an attempt asked to stop keeps its place until it has ended,
	// and counts as it ended.
	ReplaceFailed = "Failed"
)

// A FailureRule decides what a failed attempt means for its job: see
// [Job.FailurePolicy]. It pairs an action with exactly one matcher: OnExitCodes,
// OnConditions or OnError.
type FailureRule struct {
	// Action is what a match does. It is required.
	Action string

	// OnExitCodes matches the attempt's exit code.
	OnExitCodes *ExitCodes

	// OnConditions matches if any condition of the attempt equals any of these
	// in type and status; an empty status means "True" (onPodConditions). An empty
	// list is no matcher.
	OnConditions []Condition

	// OnError matches the error the executor returned. It has no counterpart
	// in Kubernetes, where errors do not exist. [ErrorIs] and [ErrorAs] make
	// the usual matchers; any predicate will do. It is called on the attempt's
	// goroutine, never with a nil error, possibly by several goroutines at
	// once. A predicate that panics does not match, and the panic is logged.
	OnError func(error) bool `json:"-"`
}

// The actions are what a [FailureRule] does when it matches.
const (
	// ActionFailJob ends the whole job with [ReasonPodFailurePolicy].
	ActionFailJob = "FailJob"
	// ActionFailIndex gives up the attempt's index without retry; it requires
	// [Job.BackoffLimitPerIndex].
	ActionFailIndex = "FailIndex"
	// ActionIgnore counts the failure towards no limit; a replacement starts after
	// the usual delay.
	ActionIgnore = "Ignore"
	// ActionCount counts the failure, as if no rule had matched.
	ActionCount = "Count"
)

// ExitCodes matches exit codes (onExitCodes): those that are in In, or those that are
// not in NotIn. One of them is required, with codes that ascend, each once. Exit code 0
// never matches; In must not have it.
type ExitCodes struct {
	// ContainerName restricts the rule to [Job.ContainerName]; empty means any
	// container, and an attempt here has only one.
	ContainerName string
	In            []int
	NotIn         []int
}

// A SuccessRule is met by the indexes that have succeeded: see [Job.SuccessPolicy]. At
// least one field must be set; with both, SucceededCount counts within SucceededIndexes.
type SuccessRule struct {
	// SucceededIndexes are those that count. Nil means every index; an empty set is
	// never met.
	SucceededIndexes *IndexSet
	// SucceededCount is how many indexes suffice. Nil means all of
	// SucceededIndexes; zero is met by the first success.
	SucceededCount *int
}

// ErrorIs returns a matcher for [FailureRule.OnError] that holds if
// [errors.Is] finds target in the attempt's error.
func ErrorIs(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// ErrorAs returns a matcher for [FailureRule.OnError] that holds if
// [errors.AsType] finds an error of type E in the attempt's error.
func ErrorAs[E error]() func(error) bool {
	return func(err error) bool {
		_, ok := errors.AsType[E](err)
		return ok
	}
}

// Permanent marks err as not worth a retry. An attempt that returns it fails
// its index if the job has [Job.BackoffLimitPerIndex], and the whole job
// otherwise, with [ReasonPodFailurePolicy], unless a rule of the failure policy
// matches: then the rule decides. Under [RestartOnFailure] the attempt is not
// restarted but fails. Errors marked by Permanent of any package backoff mean the
// same. What a job has failed with that the executor has run itself does not count.
// A nil err gives nil.
func Permanent(err error) error {
	return backoff.Permanent(err)
}

// RetryAfter marks err with the delay before the next try, such as that of an HTTP
// header Retry-After. It takes the place of [Job.Backoff], or [Job.RestartBackoff];
// the failure counts as any other. Errors with a method RetryAfter() time.Duration,
// and those of backoff.RetryAfter, mean the same. Zero or less marks nothing. A nil
// err gives nil.
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

// A Backoff makes the delays of sequences of failures. BackOff is called when a
// sequence begins, that is for each job, for each index of a job with
// [Job.BackoffLimitPerIndex], and for each attempt under [RestartOnFailure];
// NextBackOff of what it returns is called once for each failure, and
// [backoff.Stop] means that there is to be no retry. Calls for one job come one at a
// time; a slow one delays only that job's retries. If a call panics or exits, or
// there is no BackOff, that is logged and Kubernetes' delay is used. A changed
// Backoff serves the next sequence.
type Backoff interface {
	BackOff() backoff.BackOff
}

// BackoffFunc adapts a constructor to a [Backoff]. Any of
// github.com/cenkalti/backoff/v4 fits; its exponential one gives up after 15 minutes
// unless it has backoff.WithMaxElapsedTime(0).
type BackoffFunc func() backoff.BackOff

// BackOff calls f.
func (f BackoffFunc) BackOff() backoff.BackOff { return f() }

// ConstantBackoff waits d after every failure. Zero or less retries at once.
func ConstantBackoff(d time.Duration) Backoff { return constantBackoff{max(d, 0)} }

type constantBackoff struct{ Delay time.Duration }

func (b constantBackoff) BackOff() backoff.BackOff { return backoff.NewConstantBackOff(b.Delay) }

// ExponentialBackoff waits initial after the first failure and twice as long
// after each further one, up to limit. Each delay is spread at random by the
// factor jitter in both directions: 0 means not at all, which makes it
// deterministic, and 0.5 between half and one and a half times the delay.
// Jitter may exceed limit. Negative arguments and NaN count as 0, a jitter above 1
// as 1. ExponentialBackoff(10*time.Second, 10*time.Minute, 0) is Kubernetes' default.
func ExponentialBackoff(initial, limit time.Duration, jitter float64) Backoff {
	if math.IsNaN(jitter) {
		jitter = 0
	}
	return exponentialBackoff{max(min(initial, limit), 0), max(limit, 0), min(max(jitter, 0), 1)}
}

type exponentialBackoff struct {
	Initial, Limit time.Duration
	Jitter         float64
}

// longestDelay leaves room for the largest jitter.
const longestDelay = math.MaxInt64 / 4

func (b exponentialBackoff) BackOff() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(min(b.Initial, longestDelay)),
		backoff.WithMaxInterval(min(b.Limit, longestDelay)),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(b.Jitter),
		backoff.WithMaxElapsedTime(0),
	)
}

// constantDelay is that of a back-off that need not be asked.
func constantDelay(b Backoff) (time.Duration, bool) {
	c, ok := b.(constantBackoff)
	return c.Delay, ok
}

// makerOf returns what makes back-offs; nil for nil.
func makerOf(b Backoff) func() backoff.BackOff {
	if b == nil {
		return nil
	}
	return b.BackOff
}

// sameBackoff reports whether both wait alike, as far as can be told: functions are
// not compared.
func sameBackoff(a, b Backoff) bool {
	_, isFunc := a.(BackoffFunc)
	_, isToo := b.(BackoffFunc)
	if isFunc || isToo {
		return isFunc && isToo
	}
	return reflect.DeepEqual(a, b)
}

func cloneFailureRules(rules []FailureRule) []FailureRule {
	rules = slices.Clone(rules)
	for i := range rules {
		rules[i].OnExitCodes = rules[i].OnExitCodes.clone()
		rules[i].OnConditions = slices.Clone(rules[i].OnConditions)
	}
	return rules
}

func (e *ExitCodes) clone() *ExitCodes {
	c := copyOf(e)
	if c != nil {
		c.In, c.NotIn = slices.Clone(c.In), slices.Clone(c.NotIn)
	}
	return c
}

// setStatuses makes the status of every condition True that has none.
func setStatuses(rules []FailureRule) {
	for _, rule := range rules {
		for i := range rule.OnConditions {
			rule.OnConditions[i].Status = cmp.Or(rule.OnConditions[i].Status, conditionTrue)
		}
	}
}

// sameFailureRules compares two failure policies. Of predicates it only matters that
// there is one.
func sameFailureRules(p, q []FailureRule) bool {
	return (p == nil) == (q == nil) && slices.EqualFunc(p, q, func(a, b FailureRule) bool {
		return a.Action == b.Action &&
			a.OnExitCodes.equal(b.OnExitCodes) &&
			slices.EqualFunc(a.OnConditions, b.OnConditions, sameCondition) &&
			(a.OnError == nil) == (b.OnError == nil)
	})
}

func sameCondition(a, b Condition) bool { return a.Type == b.Type && a.Status == b.Status }

func (e *ExitCodes) equal(f *ExitCodes) bool {
	if e == nil || f == nil {
		return e == f
	}
	return e.ContainerName == f.ContainerName && slices.Equal(e.In, f.In) && slices.Equal(e.NotIn, f.NotIn)
}

func (j *Job) checkFailurePolicy() []FieldError {
	var errs []FieldError
	for i, rule := range j.FailurePolicy {
		errs = append(errs, rule.check(j, fmt.Sprintf("spec.podFailurePolicy.rules[%d]", i))...)
	}
	return errs
}

func (r *FailureRule) check(j *Job, path string) []FieldError {
	errs := oneOf(path+".action", r.Action, ActionCount, ActionFailIndex, ActionFailJob, ActionIgnore)
	if r.Action == ActionFailIndex && j.BackoffLimitPerIndex == nil {
		errs = append(errs, invalid(path+".action", ActionFailIndex, "requires the backoffLimitPerIndex to be set"))
	}
	errs = append(errs, r.OnExitCodes.check(j, path+".onExitCodes")...)
	for i, condition := range r.OnConditions {
		errs = append(errs, condition.checkPattern(fmt.Sprintf("%s.onPodConditions[%d]", path, i))...)
	}
	return append(errs, r.checkMatchers(path)...)
}

// checkMatchers wants exactly one matcher.
func (r *FailureRule) checkMatchers(path string) []FieldError {
	var given []string
	if r.OnExitCodes != nil {
		given = append(given, "OnExitCodes")
	}
	if len(r.OnConditions) > 0 {
		given = append(given, "OnPodConditions")
	}
	if r.OnError != nil {
		given = append(given, "OnError")
	}
	switch len(given) {
	case 0:
		return []FieldError{invalid(path, nil, "specifying one of OnExitCodes and OnPodConditions is required")}
	case 1:
		return nil
	}
	return []FieldError{invalid(path, nil, "specifying both "+strings.Join(given, " and ")+" is not supported")}
}

func (e *ExitCodes) check(j *Job, path string) []FieldError {
	if e == nil {
		return nil
	}
	var errs []FieldError
	values := e.In
	switch {
	case e.In == nil && e.NotIn == nil:
		errs = append(errs, required(path+".operator", "In or NotIn must be given"))
	case e.In != nil && e.NotIn != nil:
		errs = append(errs, invalid(path+".operator", nil, "specifying both In and NotIn is not supported"))
	case e.In == nil:
		values = e.NotIn
	}
	if e.ContainerName != "" && e.ContainerName != j.ContainerName {
		errs = append(errs, invalid(path+".containerName", e.ContainerName,
			"must be one of the container or initContainer names in the pod template"))
	}
	if slices.Contains(e.In, 0) {
		at := fmt.Sprintf("%s.values[%d]", path, slices.Index(e.In, 0))
		errs = append(errs, invalid(at, 0, "must not be 0 for the In operator"))
	}
	return append(errs, checkCodes(values, path+".values")...)
}

func checkCodes(values []int, path string) []FieldError {
	if len(values) == 0 {
		return []FieldError{invalid(path, jsonOf(values), "at least one value is required")}
	}
	var errs []FieldError
	seen := make(map[int]bool, len(values))
	for i, value := range values {
		if seen[value] {
			errs = append(errs, FieldError{Field: fmt.Sprintf("%s[%d]", path, i), Kind: "Duplicate", Value: value})
		}
		seen[value] = true
	}
	if !slices.IsSorted(values) {
		errs = append(errs, invalid(path, jsonOf(values), "must be ordered"))
	}
	return errs
}

func jsonOf(values []int) rawJSON {
	text, _ := json.Marshal(values) // cannot fail
	return rawJSON(text)
}

func (c Condition) checkPattern(path string) []FieldError {
	return append(
		invalidEach(path+".type", c.Type, names.Qualified(c.Type)),
		oneOf(path+".status", c.Status, "False", conditionTrue, "Unknown")...)
}

func cloneSuccessRules(rules []SuccessRule) []SuccessRule {
	rules = slices.Clone(rules)
	for i := range rules {
		rules[i].SucceededCount = copyOf(rules[i].SucceededCount)
		rules[i].SucceededIndexes = copyOf(rules[i].SucceededIndexes) // a set is immutable
	}
	return rules
}

func sameSuccessRules(p, q []SuccessRule) bool {
	return (p == nil) == (q == nil) && slices.EqualFunc(p, q, func(a, b SuccessRule) bool {
		return sameSet(a.SucceededIndexes, b.SucceededIndexes) && equal(a.SucceededCount, b.SucceededCount)
	})
}

func sameSet(a, b *IndexSet) bool { return a == b || a != nil && b != nil && a.Equal(*b) }

func (j *Job) checkSuccessPolicy() []FieldError {
	const path = "spec.successPolicy"
	switch {
	case j.SuccessPolicy == nil:
		return nil
	case j.CompletionMode != Indexed: // what its rules say does not matter
		return []FieldError{invalid(path, someObject, "requires indexed completion mode")}
	case len(j.SuccessPolicy) == 0:
		return []FieldError{
			required(path+".rules", "at least one rules must be specified when the successPolicy is specified"),
		}
	case j.Completions == nil: // which is reported; rules cannot be held against it
		return nil
	}
	var errs []FieldError
	for i, rule := range j.SuccessPolicy {
		errs = append(errs, rule.check(*j.Completions, fmt.Sprintf("%s.rules[%d]", path, i))...)
	}
	return errs
}

func (r SuccessRule) check(completions int, path string) []FieldError {
	if r.SucceededCount == nil && r.SucceededIndexes == nil {
		return []FieldError{required(path, "at least one of succeededCount or succeededIndexes must be specified")}
	}
	var errs []FieldError
	size := 0
	if r.SucceededIndexes != nil {
		text := r.SucceededIndexes.String()
		set, err := indexset.Parse(text, max(completions, 0))
		if err != nil {
			errs = append(errs, invalid(path+".succeededIndexes", text, "error parsing succeededIndexes: "+err.Error()))
		}
		size = set.Len()
	}
	if r.SucceededCount != nil {
		errs = append(errs, r.checkCount(completions, size, path+".succeededCount")...)
	}
	return errs
}

// checkCount wants no more than completions, and no more than size, the number
// of SucceededIndexes if there are any.
func (r SuccessRule) checkCount(completions, size int, path string) []FieldError {
	count := *r.SucceededCount
	errs := nonNegative(path, r.SucceededCount)
	if count > completions {
		errs = append(errs, invalid(path, count,
			fmt.Sprintf("must be less than or equal to %d (the number of specified completions)", completions)))
	}
	if r.SucceededIndexes != nil && count > size {
		errs = append(errs, invalid(path, count,
			fmt.Sprintf("must be less than or equal to %d (the number of indexes in the specified succeededIndexes field)",
				size)))
	}
	return errs
}

var engineActions = map[string]engine.FailureAction{
	ActionFailJob:   engine.FailJob,
	ActionFailIndex: engine.FailIndex,
	ActionIgnore:    engine.Ignore,
	ActionCount:     engine.Count,
}

// engineFailureRules are the rules as the engine wants them. Matching errors is left to
// the caller of the engine.
func engineFailureRules(policy []FailureRule) []engine.FailureRule {
	if policy == nil {
		return nil
	}
	rules := make([]engine.FailureRule, len(policy))
	for i, r := range policy {
		rules[i].Action = engineActions[r.Action]
		if codes := r.OnExitCodes; codes != nil {
			rules[i].NotIn = codes.In == nil
			rules[i].Codes = codes.In
			if rules[i].NotIn {
				rules[i].Codes = codes.NotIn
			}
		}
		for _, c := range r.OnConditions {
			rules[i].Conditions = append(rules[i].Conditions, engine.Condition{Type: c.Type, Status: c.Status})
		}
	}
	return rules
}

func engineSuccessRules(policy []SuccessRule) []engine.SuccessRule {
	if policy == nil {
		return nil
	}
	rules := make([]engine.SuccessRule, len(policy))
	for i, r := range policy {
		rules[i].Count = valueOr(r.SucceededCount, engine.None)
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
	return max(delay, 0), snoozes
}

// What the types are called in the versions of package backoff that have them. Where
// the package is does not matter: it may be a fork, or vendored.
const (
	permanentType  = "*backoff.PermanentError"
	retryAfterType = "*backoff.RetryAfterError"
)

// inOwnChain reports whether match holds for an error in the chain of err, or for
// several of them. What made a job fail that the executor has run itself says nothing
// of the executor, and is left out.
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

// result says what an error means to the job. It calls user code; an error
// whose methods panic has exit code 1.
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

// stoppedExitCode is [ExitCode], but for an attempt that was asked to stop and says
// no more than that it did: such a container exits with 143.
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
