package batch

import (
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

// CompletionMode says what a completion of a job is (spec.completionMode).
type CompletionMode string

const (
	// NonIndexed is the default: every success counts, whichever attempt had it.
	NonIndexed CompletionMode = "NonIndexed"
	// Indexed gives each completion an index from 0 to Completions-1; the job
	// is complete when every index has succeeded once.
	Indexed CompletionMode = "Indexed"
)

// RestartPolicy says what happens to an attempt whose executor failed
// (spec.template.spec.restartPolicy). Kubernetes' third value, Always, is
// refused: a job ends.
type RestartPolicy string

const (
	// RestartNever is the default: the attempt has failed, and a new attempt
	// takes its place after the retry delay.
	RestartNever RestartPolicy = "Never"
	// RestartOnFailure runs the executor again within the same attempt, which
	// keeps its UID and its scratch directory, after the restart delay.
	RestartOnFailure RestartPolicy = "OnFailure"
)

// ReplacementPolicy says when an attempt that is being stopped may be replaced
// (spec.podReplacementPolicy).
type ReplacementPolicy string

const (
	// ReplaceTerminatingOrFailed is the default without a failure policy: an
	// attempt asked to stop counts as failed and is replaced at once, so that
	// old and new may overlap.
	ReplaceTerminatingOrFailed ReplacementPolicy = "TerminatingOrFailed"
	// ReplaceFailed is the default with a failure policy, and the only value
	// it allows: an attempt asked to stop keeps its place until it has ended,
	// and counts as it ended.
	ReplaceFailed ReplacementPolicy = "Failed"
)

// A FailurePolicy decides what a failed attempt means for its job
// (spec.podFailurePolicy). The first rule that matches decides; a failure that
// no rule matches is counted. A job with a failure policy must have
// [RestartNever] and [ReplaceFailed], which it gets by default.
type FailurePolicy struct {
	// Rules are tried in order. An empty list is accepted.
	Rules []FailureRule
}

// A FailureRule pairs an action with exactly one matcher: OnExitCodes,
// OnConditions or OnError.
type FailureRule struct {
	// Action is what a match does. It is required.
	Action FailureAction

	// OnExitCodes matches the attempt's exit code.
	OnExitCodes *ExitCodes

	// OnConditions matches if any condition of the attempt equals any of these
	// patterns in type and status. An empty list is no matcher.
	OnConditions []ConditionPattern

	// OnError matches the error the executor returned. It has no counterpart
	// in Kubernetes, where errors do not exist. [ErrorIs] and [ErrorAs] make
	// the usual matchers; any predicate will do. It is called on the attempt's
	// goroutine, never with a nil error, possibly by several goroutines at
	// once. A predicate that panics does not match, and the panic is logged.
	OnError func(error) bool `json:"-"`
}

// FailureAction is what a [FailureRule] does when it matches.
type FailureAction string

const (
	// FailJob ends the whole job with [ReasonPodFailurePolicy].
	FailJob FailureAction = "FailJob"
	// FailIndex gives up the attempt's index without retry; it requires
	// [Job.BackoffLimitPerIndex].
	FailIndex FailureAction = "FailIndex"
	// Ignore counts the failure towards no limit; a replacement starts after
	// the usual delay.
	Ignore FailureAction = "Ignore"
	// Count counts the failure, as if no rule had matched.
	Count FailureAction = "Count"
)

// ExitCodes matches exit codes (onExitCodes). Exit code 0 never matches.
type ExitCodes struct {
	// ContainerName restricts the rule to [Job.ContainerName]; empty means any
	// container, and an attempt here has only one.
	ContainerName string
	// Operator is In or NotIn. It is required.
	Operator ExitCodeOperator
	// Values are the codes: at least one, ascending, without duplicates, and
	// without 0 if Operator is In.
	Values []int
}

// ExitCodeOperator says how [ExitCodes] compares.
type ExitCodeOperator string

const (
	In    ExitCodeOperator = "In"    // the exit code is one of Values
	NotIn ExitCodeOperator = "NotIn" // the exit code is not 0 and none of Values
)

// A ConditionPattern matches one condition of an attempt (onPodConditions).
type ConditionPattern struct {
	// Type is the condition's type, such as [DisruptionTarget].
	Type ConditionType
	// Status is the condition's status; empty means [ConditionTrue].
	Status ConditionStatus
}

// A SuccessPolicy lets an Indexed job succeed before all its indexes have
// (spec.successPolicy). What still runs when a rule is met is stopped and
// counts neither as failed nor as succeeded. If the outcome that meets a rule
// also fails the job, failure wins: a rule that is only met by the last index
// to finish does not save a job with failed indexes.
type SuccessPolicy struct {
	// Rules are tried in order after each success; at least one is required.
	Rules []SuccessRule
}

// A SuccessRule is met by the indexes that have succeeded. At least one field
// must be set; with both, SucceededCount counts within SucceededIndexes.
type SuccessRule struct {
	// SucceededIndexes is a set such as "0,2-4", in the text format of
	// [ParseIndexSet]. Nil means every index; an empty set is never met.
	SucceededIndexes *string
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

func (p *FailurePolicy) clone() *FailurePolicy {
	c := copyOf(p)
	if c != nil {
		c.Rules = slices.Clone(c.Rules)
		for i := range c.Rules {
			c.Rules[i].OnExitCodes = c.Rules[i].OnExitCodes.clone()
			c.Rules[i].OnConditions = slices.Clone(c.Rules[i].OnConditions)
		}
	}
	return c
}

func (e *ExitCodes) clone() *ExitCodes {
	c := copyOf(e)
	if c != nil {
		c.Values = slices.Clone(c.Values)
	}
	return c
}

// setDefaults makes the status of every pattern True that has none.
func (p *FailurePolicy) setDefaults() {
	for _, rule := range p.Rules {
		for i := range rule.OnConditions {
			if rule.OnConditions[i].Status == "" {
				rule.OnConditions[i].Status = ConditionTrue
			}
		}
	}
}

// equal compares two policies. Of predicates it only matters that there is one.
func (p *FailurePolicy) equal(q *FailurePolicy) bool {
	if p == nil || q == nil {
		return p == q
	}
	return slices.EqualFunc(p.Rules, q.Rules, func(a, b FailureRule) bool {
		return a.Action == b.Action &&
			a.OnExitCodes.equal(b.OnExitCodes) &&
			slices.Equal(a.OnConditions, b.OnConditions) &&
			(a.OnError == nil) == (b.OnError == nil)
	})
}

func (e *ExitCodes) equal(f *ExitCodes) bool {
	if e == nil || f == nil {
		return e == f
	}
	return e.ContainerName == f.ContainerName && e.Operator == f.Operator && slices.Equal(e.Values, f.Values)
}

// check returns what is wrong with the failure policy of job j.
func (p *FailurePolicy) check(j *Job) []FieldError {
	if p == nil {
		return nil
	}
	var errs []FieldError
	for i, rule := range p.Rules {
		errs = append(errs, rule.check(j, fmt.Sprintf("spec.podFailurePolicy.rules[%d]", i))...)
	}
	return errs
}

func (r *FailureRule) check(j *Job, path string) []FieldError {
	errs := oneOf(path+".action", r.Action, Count, FailIndex, FailJob, Ignore)
	if r.Action == FailIndex && j.BackoffLimitPerIndex == nil {
		errs = append(errs, invalid(path+".action", string(FailIndex), "requires the backoffLimitPerIndex to be set"))
	}
	errs = append(errs, r.OnExitCodes.check(j, path+".onExitCodes")...)
	for i, pattern := range r.OnConditions {
		errs = append(errs, pattern.check(fmt.Sprintf("%s.onPodConditions[%d]", path, i))...)
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
	errs := oneOf(path+".operator", e.Operator, In, NotIn)
	if e.ContainerName != "" && e.ContainerName != j.ContainerName {
		errs = append(errs, invalid(path+".containerName", e.ContainerName,
			"must be one of the container or initContainer names in the pod template"))
	}
	return append(errs, e.checkValues(path+".values")...)
}

func (e *ExitCodes) checkValues(path string) []FieldError {
	if len(e.Values) == 0 {
		return []FieldError{invalid(path, jsonOf(e.Values), "at least one value is required")}
	}
	var errs []FieldError
	seen := make(map[int]bool, len(e.Values))
	for i, value := range e.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		if value == 0 && e.Operator == In {
			errs = append(errs, invalid(at, value, "must not be 0 for the In operator"))
		}
		if seen[value] {
			errs = append(errs, FieldError{Field: at, Kind: Duplicate, Value: value})
		}
		seen[value] = true
	}
	if !slices.IsSorted(e.Values) {
		errs = append(errs, invalid(path, jsonOf(e.Values), "must be ordered"))
	}
	return errs
}

func jsonOf(values []int) rawJSON {
	text, _ := json.Marshal(values) // cannot fail
	return rawJSON(text)
}

func (c ConditionPattern) check(path string) []FieldError {
	return append(
		invalidEach(path+".type", string(c.Type), names.Qualified(string(c.Type))),
		oneOf(path+".status", c.Status, ConditionFalse, ConditionTrue, ConditionUnknown)...)
}

func (p *SuccessPolicy) clone() *SuccessPolicy {
	c := copyOf(p)
	if c != nil {
		c.Rules = slices.Clone(c.Rules)
		for i, rule := range c.Rules {
			c.Rules[i] = SuccessRule{copyOf(rule.SucceededIndexes), copyOf(rule.SucceededCount)}
		}
	}
	return c
}

func (p *SuccessPolicy) equal(q *SuccessPolicy) bool {
	if p == nil || q == nil {
		return p == q
	}
	return slices.EqualFunc(p.Rules, q.Rules, func(a, b SuccessRule) bool {
		return equal(a.SucceededIndexes, b.SucceededIndexes) && equal(a.SucceededCount, b.SucceededCount)
	})
}

// check returns what is wrong with the success policy of job j.
func (p *SuccessPolicy) check(j *Job) []FieldError {
	const path = "spec.successPolicy"
	switch {
	case p == nil:
		return nil
	case j.CompletionMode != Indexed: // what its rules say does not matter
		return []FieldError{invalid(path, someObject, "requires indexed completion mode")}
	case len(p.Rules) == 0:
		return []FieldError{required(path+".rules", "at least one rules must be specified when the successPolicy is specified")}
	case j.Completions == nil: // which is reported; rules cannot be held against it
		return nil
	}
	var errs []FieldError
	for i, rule := range p.Rules {
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
	if text := r.SucceededIndexes; text != nil {
		set, err := indexset.Parse(*text, max(completions, 0))
		if err != nil {
			errs = append(errs, invalid(path+".succeededIndexes", *text, "error parsing succeededIndexes: "+err.Error()))
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
			fmt.Sprintf("must be less than or equal to %d (the number of indexes in the specified succeededIndexes field)", size)))
	}
	return errs
}

var engineActions = map[FailureAction]engine.FailureAction{
	FailJob:   engine.FailJob,
	FailIndex: engine.FailIndex,
	Ignore:    engine.Ignore,
	Count:     engine.Count,
}

// engineRules are the rules as the engine wants them. Matching errors is left to
// the caller of the engine.
func (p *FailurePolicy) engineRules() []engine.FailureRule {
	if p == nil {
		return nil
	}
	rules := make([]engine.FailureRule, len(p.Rules))
	for i, r := range p.Rules {
		rules[i].Action = engineActions[r.Action]
		if codes := r.OnExitCodes; codes != nil {
			rules[i].Codes, rules[i].NotIn = codes.Values, codes.Operator == NotIn
		}
		for _, c := range r.OnConditions {
			rules[i].Conditions = append(rules[i].Conditions, engine.Condition{Type: string(c.Type), Status: string(c.Status)})
		}
	}
	return rules
}

func (p *SuccessPolicy) engineRules() []engine.SuccessRule {
	if p == nil {
		return nil
	}
	rules := make([]engine.SuccessRule, len(p.Rules))
	for i, r := range p.Rules {
		rules[i].Count = valueOr(r.SucceededCount, engine.None)
		if r.SucceededIndexes != nil {
			set := indexset.ParseLenient(*r.SucceededIndexes, -1)
			rules[i].Indexes = &set
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
// RetryAfter() time.Duration, or the error of package backoff; zero if it does not.
func retryAfterOf(err error) (delay time.Duration) {
	inOwnChain(err, func(err error) bool {
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
	return max(delay, 0)
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
	case nil, *JobError, *UnfinishedError, *AttemptError, *MapError:
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

func newJudge(policy *FailurePolicy, log func(message string, panicked any)) *judge {
	g := &judge{log: log}
	if policy != nil && slices.ContainsFunc(policy.Rules, func(r FailureRule) bool { return r.OnError != nil }) {
		g.rules = policy.Rules
	}
	return g
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
	res.Permanent, res.RetryAfter = isPermanent(err), retryAfterOf(err)
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
	case stopped != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, stopped)):
		return exitTerminated
	}
	return exitError
}
