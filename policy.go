package batch

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/indexset"
	"github.com/runtocompletion/batch/internal/names"
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
	// old and new may overlap (R241).
	ReplaceTerminatingOrFailed ReplacementPolicy = "TerminatingOrFailed"
	// ReplaceFailed is the default with a failure policy, and the only value
	// it allows: an attempt asked to stop keeps its place until it has ended,
	// and counts as it ended (R242).
	ReplaceFailed ReplacementPolicy = "Failed"
)

// A FailurePolicy decides what a failed attempt means for its job
// (spec.podFailurePolicy). The first rule that matches decides; a failure that
// no rule matches is counted. A job with a failure policy must have
// [RestartNever] and [ReplaceFailed], which it gets by default.
type FailurePolicy struct {
	// Rules are tried in order. An empty list is accepted (R41).
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
	// patterns in type and status. An empty list is no matcher (R73).
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
	// FailJob ends the whole job with [ReasonPodFailurePolicy] (R200).
	FailJob FailureAction = "FailJob"
	// FailIndex gives up the attempt's index without retry; it requires
	// [Job.BackoffLimitPerIndex] (R201).
	FailIndex FailureAction = "FailIndex"
	// Ignore counts the failure towards no limit; a replacement starts after
	// the usual delay (R202).
	Ignore FailureAction = "Ignore"
	// Count counts the failure, as if no rule had matched (R203).
	Count FailureAction = "Count"
)

// ExitCodes matches exit codes (onExitCodes). Exit code 0 never matches.
type ExitCodes struct {
	// ContainerName restricts the rule to [Job.ContainerName]; empty means any
	// container, and an attempt here has only one (R43).
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
	// Status is the condition's status; empty means [ConditionTrue] (R38).
	Status ConditionStatus
}

// A SuccessPolicy lets an Indexed job succeed before all its indexes have
// (spec.successPolicy). What still runs when a rule is met is stopped and
// counts neither as failed nor as succeeded (R224). If the outcome that meets a
// rule also fails the job, failure wins: a rule that is only met by the last
// index to finish does not save a job with failed indexes (R227).
type SuccessPolicy struct {
	// Rules are tried in order after each success; at least one is required.
	Rules []SuccessRule
}

// A SuccessRule is met by the indexes that have succeeded. At least one field
// must be set; with both, SucceededCount counts within SucceededIndexes.
type SuccessRule struct {
	// SucceededIndexes is a set such as "0,2-4", in the text format of
	// [ParseIndexSet]. Nil means every index; an empty set is never met (R223).
	SucceededIndexes *string
	// SucceededCount is how many indexes suffice. Nil means all of
	// SucceededIndexes; zero is met by the first success (R223).
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
// restarted but fails. Errors marked by backoff.Permanent mean the same.
// A nil err gives nil.
func Permanent(err error) error {
	return backoff.Permanent(err)
}

// A Backoff makes the delays of one sequence of failures. A new BackOff is
// asked for when a sequence begins, that is for each job, for each index of a
// job with [Job.BackoffLimitPerIndex], and for each attempt under
// [RestartOnFailure]; NextBackOff is called once for each failure. A delay of
// [backoff.Stop] means that there is to be no retry. The calls for one job
// come one at a time, with no lock held that others need, so that a slow
// NextBackOff delays only its own job's retries. If a call panics, or there is no
// BackOff, that is logged and Kubernetes' delay is used. A changed Backoff
// serves the next sequence.
//
// Any constructor of github.com/cenkalti/backoff/v4 fits. Its exponential one
// gives up after 15 minutes unless told otherwise:
//
//	Backoff: func() backoff.BackOff { return backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0)) },
type Backoff = func() backoff.BackOff

// ConstantBackoff waits d after every failure. Zero or less retries at once.
//
//go:noinline
func ConstantBackoff(d time.Duration) Backoff {
	return func() backoff.BackOff { return backoff.NewConstantBackOff(max(d, 0)) }
}

// constantCode tells the functions that ConstantBackoff returns from others, as
// long as it is not inlined. Their delays need not be asked for, which is what a
// retry would mostly cost.
var constantCode = reflect.ValueOf(ConstantBackoff(0)).Pointer()

func isConstant(b Backoff) bool { return b != nil && reflect.ValueOf(b).Pointer() == constantCode }

func constantDelay(b Backoff) time.Duration {
	if !isConstant(b) {
		return 0
	}
	return b().NextBackOff()
}

// ExponentialBackoff waits initial after the first failure and twice as long
// after each further one, up to limit. Each delay is spread at random by the
// factor jitter in both directions: 0 means not at all, which makes it
// deterministic, and 0.5 between half and one and a half times the delay.
// Jitter may exceed limit. Negative arguments count as 0, a jitter above 1 as 1.
// ExponentialBackoff(10*time.Second, 10*time.Minute, 0) is Kubernetes' default.
func ExponentialBackoff(initial, limit time.Duration, jitter float64) Backoff {
	return func() backoff.BackOff {
		return backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(max(min(initial, limit), 0)),
			backoff.WithMaxInterval(max(limit, 0)),
			backoff.WithMultiplier(2),
			backoff.WithRandomizationFactor(min(max(jitter, 0), 1)),
			backoff.WithMaxElapsedTime(0),
		)
	}
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

// setDefaults makes the status of every pattern True that has none (R38).
func (p *FailurePolicy) setDefaults() {
	for _, rule := range p.Rules {
		for i := range rule.OnConditions {
			if rule.OnConditions[i].Status == "" {
				rule.OnConditions[i].Status = ConditionTrue
			}
		}
	}
}

// equal compares two policies; predicates are the same if their code is.
func (p *FailurePolicy) equal(q *FailurePolicy) bool {
	if p == nil || q == nil {
		return p == q
	}
	return slices.EqualFunc(p.Rules, q.Rules, func(a, b FailureRule) bool {
		return a.Action == b.Action &&
			a.OnExitCodes.equal(b.OnExitCodes) &&
			slices.Equal(a.OnConditions, b.OnConditions) &&
			same(reflect.ValueOf(a.OnError), reflect.ValueOf(b.OnError))
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

// checkMatchers wants exactly one matcher (R73).
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
	case j.CompletionMode != Indexed: // R68
		return []FieldError{invalid(path, someObject, "requires indexed completion mode")}
	case len(p.Rules) == 0:
		return []FieldError{required(path+".rules", "at least one rules must be specified when the successPolicy is specified")}
	case j.Completions == nil: // R99
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
// of SucceededIndexes if there are any (R87).
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

// A question is an action that asks for a delay.
type question struct {
	engine.Action
	seq int64 // of the attempt, whose record may serve another one by the time
}

// ask adds questions.
func (w *wishes) ask(questions []question) {
	if len(questions) > 0 {
		w.rarely().delays = append(w.rarely().delays, questions...)
	}
}

// ask puts a question to the job's back-off, or keeps it until there is one.
func (j *jobRun) ask(act *engine.Action, w *wishes) {
	q := question{Action: *act}
	if act.Attempt != nil {
		q.seq = act.Attempt.Seq
		j.own(act.Attempt) // one that was loaded may have none
	}
	if j.holds&undeclaredHold != 0 {
		j.unasked = append(j.unasked, q)
	} else {
		w.ask([]question{q})
	}
}

// answer finds the delays that the engine asked for, and returns an execution
// for this goroutine, if they let one begin.
func (j *jobRun) answer(questions []question) (next *run) {
	for ; len(questions) > 0; questions = questions[1:] {
		q := questions[0]
		ev := j.findDelay(q)
		j.lock()
		if q.Attempt != nil && q.Attempt.Seq != q.seq {
			j.mu.Unlock()
			continue // it has ended meanwhile
		}
		w := j.step(ev)
		j.mu.Unlock()
		r := j.carryOut(w)
		if w.rare != nil {
			questions = slices.Concat(questions, w.rare.delays)
		}
		if next == nil {
			next = r
		} else if r != nil {
			j.c.spawnRun(r)
		}
	}
	return next
}

// findDelay asks the job's back-off. One that fails is replaced by Kubernetes'
// own.
func (j *jobRun) findDelay(q question) engine.Event {
	var d time.Duration
	err := errExited
	j.lock()
	retry, restart := j.spec.Backoff, j.spec.RestartBackoff
	j.mu.Unlock()
	n := q.N
	ev := engine.Event{Kind: engine.DelayKnown, Index: q.Index, N: n}
	usual := engine.RetryDelay(n)
	if q.Kind == engine.NeedDelay {
		apart(func() { d, err = j.retries.After(q.Index, n, retry) })
	} else {
		ev = engine.Event{Kind: engine.RestartDelayKnown, Attempt: q.Attempt}
		usual = engine.RetryDelay(n - 1) // the first restart is immediate
		apart(func() { d, err = runOf(q.Attempt).restarts(q.seq, n, restart) })
	}
	if err != nil {
		j.log(slog.LevelError, "back-off failed, using the default", slog.Any("error", err))
		d = usual
	}
	if d != backoff.Stop {
		d = max(d, 0)
	}
	ev.Delay = d
	return ev
}

var errExited = errors.New("Backoff called runtime.Goexit")

// apart calls f so that runtime.Goexit in it does not end the caller.
func apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}
