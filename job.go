// Package batch runs work to completion: Kubernetes Jobs as a Go library.
//
// A [Job] says what to run, how many completions it needs, how many attempts
// may run at once, how often and how they may fail. [Run] runs one job and
// waits for it; [Map] applies a function to a slice; a [Controller] runs many
// jobs in a long-lived service. The answer is the one that the Job controller
// of Kubernetes would give, in this process, without a cluster.
//
// An attempt is one call of an [Executor]; Kubernetes has a pod in its place.
// State is in memory and ends with the process, unless there is a [Store].
//
// # Guarantees
//
//   - At least once. A completion is done when one attempt for it has returned
//     nil. Until then its executor may have run more than once, so it should be
//     idempotent. Under [ReplaceFailed] no attempt is replaced before it has
//     ended; under [ReplaceTerminatingOrFailed] the old and the new one may
//     overlap. An attempt that [Controller.Disrupt] declares lost counts as
//     ended, even if its function still runs.
//   - A token for each attempt. [Attempt.Token] is the job's UID, the index and
//     the number of the attempt. It is unique, except that a restart in place
//     keeps it, and that an attempt lost in a crash may be repeated under it. A
//     key that must be the same for all attempts of a completion is made of the
//     index, not of the token.
//   - Counted at most once. Each attempt counts as succeeded, as failed, or not
//     at all.
//   - Counted as failed: an attempt whose executor returned an error, panicked,
//     called [runtime.Goexit] or exceeded its timeout; one stopped by a user or
//     an eviction, unless it still succeeds under [ReplaceFailed]; and every
//     attempt that has not ended when the job fails. A rule with [ActionIgnore]
//     exempts what it matches.
//   - Not counted: attempts stopped by suspension, scaling down, a success
//     policy, the cancel of their index, deletion of the job or [Controller.Shutdown]; and restarts in
//     place.
//   - Failure comes first. If one outcome both completes and fails a job, the
//     job fails. A job is complete or failed only when all of its attempts have
//     stopped; until then it has the condition [ConditionSuccessCriteriaMet] or
//     [ConditionFailureTarget]. A finished job never changes its outcome, unless
//     [Controller.Again] runs it once more.
//   - A millisecond to settle. An attempt that is asked to stop by a user or an
//     eviction, and ends within a millisecond, is judged by how it ended. So
//     are attempts that end within a millisecond of the one that decides the
//     job. The controller of Kubernetes, which looks at a job about once a
//     second, sees such events together.
//   - Executors cannot break the accounting. A panic or a [runtime.Goexit] is a
//     failure with its stack. An executor that ignores the end of its context
//     is reported as abandoned after the grace period, and its attempt is
//     terminating until it returns. [Controller.Shutdown] leaves no goroutine
//     behind, or returns an [AbandonedError] that names the attempts it left.
//   - A watch misses nothing. [Controller.Watch] continues from the revision of
//     any status. Several changes of one job may be delivered as one; its end
//     and its removal are always delivered, or the watch ends with [ErrTooOld].
//
// # Jobs in a store
//
// A controller that finds jobs in its [Store] goes on with them, after a shutdown
// as after a crash: counters, conditions, index sets, retries, deadlines and
// suspension are what they were. No wait becomes longer, whatever the clocks of the
// machine did meanwhile.
//
//   - Attempts interrupted by [Controller.Shutdown] do not count, even if they
//     return nil then.
//   - Attempts that ran when the process ended are disrupted, with
//     [ReasonTerminationByProcessExit]. If a rule of the failure policy matches
//     that condition, it decides. Otherwise the exit is one event and no attempt
//     counts as failed. More exits in a row than failures are allowed, and at
//     least two, fail the job with [ReasonProcessExitLimitExceeded]; a success in
//     between, of the same index in an Indexed job, begins the count anew.
//   - A completion that has been reported is never run again. One that has not
//     may be.
//   - A job keeps the input that it was created with, the results of its completions,
//     and the last failure of each index that has failed, whatever Job.History is. A
//     result is stored together with the completion that it belongs to.
//   - Functions are not stored. A job waits, with the condition
//     [ConditionStalled], until [Controller.Apply] declares it. Logs are not
//     stored either, and of errors only their texts.
//   - While the store fails, jobs start no attempts and are Stalled, changes
//     return [ErrStore], and [Attempt.SaveCheckpoint] waits. The store is
//     tried again until it works. If it refuses the records of one job only, that
//     job is Stalled and the others go on.
//   - The end of a job is stored together with the job, for each subscription that the
//     store has ([Controller.Subscribe]). It is told at least once, whatever becomes of
//     the job or of the process; what was told just before a crash may be told again.
//     Ends come in the order in which they became durable.
//
// # Several processes
//
// One controller works on a store; see [Claimer]. Others wait for it, with
// Options.Standby: the next one works when the store is free.
//
//   - Every process declares its jobs with [Controller.Apply]. A standby keeps that for
//     when it works, but what was done and removed meanwhile is not done again. Other
//     changes are refused, with the process that works in the error.
//   - A standby shows what the store has, somewhat late. [Controller.Wait] goes on when
//     another process works; [Controller.Watch] ends with [ErrTooOld], which is
//     [ErrStoreInUse] as well.
//   - A process whose claim is lost, because it was suspended for longer than the lease,
//     stores and reports nothing more. The contexts of its attempts end with
//     [ErrStoreInUse]; with [Attempt.Fence] what they still do can be refused elsewhere.
//   - To deploy without a loss, start the new process, and then shut the old one down
//     and close its store. What still runs then is interrupted, and not counted.
//
// # Jobs that share and wait
//
// Of all jobs of a controller, [Options.MaxActive] executors run at once, and of those
// that name a [Limit] as many as that allows: so many at once, so many in a time, so
// many for each key. What an attempt needs it gets in one decision. Jobs take turns,
// those of a higher [Job.Priority] first, though not for ever. One that needs several
// limits, and was overtaken for a minute by those that need fewer, has them kept for it
// as they come; if that takes another minute, nothing is kept for a while. A job with
// [Job.After] starts when other jobs are complete.
//
// # Errors
//
// All errors are found by errors.Is and errors.As, however they are wrapped.
// The errors of functions and of methods of a [Controller]:
//
//   - [ValidationError]: a job, or a change of it, is invalid; it has a
//     [FieldError] with path, kind and value for each mistake
//   - [ErrExists], [ErrNotFound]: there is a job of that name already; there is
//     no such job or attempt
//   - [JobError]: the job failed, or a [Map] ended before its job; it has the last
//     status, the reason, and an [AttemptError] for each failed attempt that is kept
//   - [ErrJobFinished]: the job is over, or about to be, and cannot be cancelled
//   - [ErrDeleted]: the job was deleted before it finished
//   - [ErrStoreInUse]: another controller has the store; see [Claimer]
//   - [ErrAttemptEnded]: the attempt has ended already
//   - [ErrTooOld]: a watch cannot continue from that revision; list the jobs
//     and watch from there
//   - [ErrShutdown]: the controller is shut down
//   - [AbandonedError]: these attempts did not return before the end of a
//     shutdown
//   - [ErrStore]: the store failed; it is unknown whether the change is stored
//   - [ErrStoreFormat]: the store was written by another version or program
//   - [ErrTooLarge]: a checkpoint is larger than [Job.CheckpointLimit], or a result than
//     [Job.ResultLimit]
//   - [ErrBadCheckpoint]: the checkpoint of an [Iteration] cannot be read; it is
//     left as it is
//   - [ItemError]: an item, or a chunk, ended an [Iteration]
//
// The causes with which the context of an attempt ends, and the errors of
// executors that do not return one:
//
//   - [ErrDeleted], [ErrDisrupted]: a user deleted the attempt or its job; it
//     was evicted or lost
//   - [ErrSuspended], [ErrScaledDown]: the job was suspended; it needs fewer
//     attempts or indexes
//   - [ErrJobFinished]: the job ended without this attempt
//   - [ErrJobDeadline]: [Job.ActiveDeadline] has passed; it is [ErrJobFinished]
//     as well
//   - the cause of [Controller.Cancel]
//   - [ErrAttemptTimeout]: [Job.AttemptTimeout] has passed
//   - [ErrNoProgress]: [Job.ProgressDeadline] has passed without a sign of life
//   - [ErrShutdown]: the controller was shut down
//   - [ErrStoreInUse]: another process may have the store
//   - [ErrAttemptEnded]: the executor has returned; it is also the error of an
//     [Attempt] that is used after that
//   - [PanicError]: the executor panicked, or, with the value [ErrGoexit],
//     called [runtime.Goexit]
//
// An executor that returns an error wrapped by [Permanent] is not retried, and
// [RetryAfter] sets the delay of the next try; [Snooze] does, and does not count. An
// error with a method ExitCode() int has that exit code; any other error has 1.
//
// # Fields of a Kubernetes Job
//
// The fields of a [Job] and of its policies are those of a Job in batch/v1:
//
//	metadata.name                       Job.Name
//	metadata.labels                     Job.Labels
//	metadata.annotations                Job.Annotations
//	spec.activeDeadlineSeconds          Job.ActiveDeadline
//	spec.backoffLimit                   Job.BackoffLimit
//	spec.backoffLimitPerIndex           Job.BackoffLimitPerIndex
//	spec.completionMode                 Job.CompletionMode
//	spec.completions                    Job.Completions
//	spec.managedBy                      Job.ManagedBy
//	spec.maxFailedIndexes               Job.MaxFailedIndexes
//	spec.parallelism                    Job.Parallelism
//	spec.podFailurePolicy.rules         Job.FailurePolicy
//	  action                            FailureRule.Action
//	  onExitCodes                       FailureRule.OnExitCodes
//	    containerName                   ExitCodes.ContainerName
//	    values,operator=In              ExitCodes.In
//	    values,operator=NotIn           ExitCodes.NotIn
//	  onPodConditions                   FailureRule.OnConditions
//	  -                                 FailureRule.OnError
//	spec.podReplacementPolicy           Job.ReplacementPolicy
//	spec.successPolicy.rules            Job.SuccessPolicy
//	  succeededIndexes                  SuccessRule.SucceededIndexes
//	  succeededCount                    SuccessRule.SucceededCount
//	spec.suspend                        Job.Suspend
//	spec.ttlSecondsAfterFinished        Job.TTLAfterFinished
//	spec.template                       Job.Executor
//	  spec.activeDeadlineSeconds        Job.AttemptTimeout
//	  spec.containers[0].name           Job.ContainerName
//	  spec.restartPolicy                Job.RestartPolicy
//	  spec.terminationGracePeriodSeconds Job.TerminationGracePeriod
//	-                                   Job.Input
//	-                                   Job.Backoff
//	-                                   Job.RestartBackoff
//	-                                   Job.ProgressDeadline
//	-                                   Job.After
//	-                                   Job.Limits
//	-                                   Job.LimitKey
//	-                                   Job.Priority
//	-                                   Job.History
//	-                                   Job.LogLimit
//	-                                   Job.CheckpointLimit
//	-                                   Job.ResultLimit
//	spec.manualSelector                 -
//	spec.scheduling                     -
//	spec.selector                       -
//
// While a job runs, [Controller.Update] may change Parallelism, BackoffLimit,
// MaxFailedIndexes, ActiveDeadline, TTLAfterFinished, Suspend and
// ReplacementPolicy; Completions of an Indexed job together with Parallelism;
// and Priority, Labels, Annotations, the back-offs, History, LogLimit, CheckpointLimit
// and ResultLimit.
//
// # Differences from Kubernetes
//
//   - Every event takes effect at once. The Job controller looks at a job about
//     once a second and creates pods in batches of 1, 2, 4 and so on up to 500.
//   - Parallelism, indexes, rules and values have no limits but those of int.
//   - Times are not cut to seconds.
//   - [Job.RestartPolicy] has a default, [RestartNever].
//   - The newest 1,000 finished attempts of a job are kept, or [Job.History];
//     finished pods are kept until their job is deleted. Counters are exact.
//   - The newest 10,000 finished jobs are kept, or [Options].FinishedJobs; there
//     they are kept until they are deleted or their TTL has passed.
//   - After the grace period a program is killed, as a container is, with its
//     process group. Windows has neither SIGTERM nor process groups: there a
//     program is killed at once, and its children are not. A function cannot be
//     killed and is abandoned.
//   - With a [Store], the number of retries and their delays survive a restart;
//     the Job controller forgets them.
//   - Attempts are goroutines or child processes. There are no nodes, no
//     selectors and no adoption of pods.
//
// # Specification
//
// What a job does, rule by rule and each beside its tests, is written down in
// internal/engine/specification.md.
package batch

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/names"
)

// A Job says what to run to completion, and how. The zero value of every
// field but Name and Executor is Kubernetes' default. A pointer is used where
// zero and unset differ: write Completions: new(3).
//
// A Job is a plain value: a controller takes a copy, but for the executor and
// the functions, which are shared. Negative numbers and durations are errors.
type Job struct {
	// Name names the job within its controller (metadata.name). It must be a
	// DNS-1123 subdomain of at most 63 characters and, for an Indexed job, so
	// short that "<name>-<index>" fits in 63. Required.
	Name string
	// Labels and Annotations are kept with the job and mean nothing to it. Their
	// keys, and the values of labels, must have Kubernetes' form.
	Labels, Annotations map[string]string

	// Executor runs the attempts. Required. Executors and other functions are not
	// compared: what was declared last runs the attempts that start from then on.
	Executor Executor `json:"-"`
	// Input is what the job works on: a value that encodes as at most 1 MiB of JSON,
	// which attempts get by [Input]. It is encoded when the job is created and does not
	// change any more; in a Job that a controller returns it is a [json.RawMessage]. A
	// controller keeps it in memory as long as the job: of larger things it should have
	// the names. Nil means none; to [Controller.Apply], whatever the job has.
	Input any `json:",omitempty"`
	// ContainerName is what messages of the failure policy call the executor
	// and what [ExitCodes].ContainerName refers to; empty means "main". It
	// must be a DNS-1123 label.
	ContainerName string

	// Completions is how many successes complete the job (spec.completions). Nil
	// means 1 if Parallelism is nil too; with Parallelism set it makes the job a
	// work queue, which is complete when one attempt has succeeded and all
	// others have ended. Zero completes at once. Required if CompletionMode is
	// Indexed and Parallelism is set.
	Completions *int
	// Parallelism is the most attempts that are active at once
	// (spec.parallelism). Nil means 1. Zero runs nothing, a pause.
	Parallelism *int
	// CompletionMode is NonIndexed, the default, or Indexed
	// (spec.completionMode).
	CompletionMode string
	// RestartPolicy is RestartNever, the default, or RestartOnFailure. (In
	// Kubernetes it has no default.)
	RestartPolicy string

	// BackoffLimit is how many failed attempts the job survives; one more fails
	// it with [ReasonBackoffLimitExceeded] (spec.backoffLimit). Under
	// RestartOnFailure, restarts of running attempts are held against it too,
	// and reaching it is enough, so that 0 and 1 mean the same there: the first
	// restart fails the job. Nil means 6, or no limit if BackoffLimitPerIndex is
	// set. Zero means that the first failure is final.
	BackoffLimit *int
	// BackoffLimitPerIndex is how many failures each index survives; one more
	// fails the index, and the others go on (spec.backoffLimitPerIndex). Nil
	// means that there is no such limit. Indexed jobs only.
	BackoffLimitPerIndex *int
	// MaxFailedIndexes is how many failed indexes the job survives before the
	// rest is stopped; one more fails it with [ReasonMaxFailedIndexesExceeded]
	// (spec.maxFailedIndexes). Nil means that all indexes get their chance. It
	// must not exceed Completions, and requires BackoffLimitPerIndex.
	MaxFailedIndexes *int
	// Backoff makes the delays before failed attempts are replaced. Nil means
	// Kubernetes' 10 seconds, doubling up to 10 minutes. The delay holds back
	// every new attempt of the job or, with BackoffLimitPerIndex, of the index;
	// a success ends the sequence.
	Backoff Backoff `json:"-"`
	// RestartBackoff makes the delays before restarts in place; it is used under
	// RestartOnFailure only. Nil means the kubelet's: the first restart at once,
	// then 10 seconds, doubling up to 5 minutes, beginning anew after a run of
	// over 10 minutes.
	RestartBackoff Backoff `json:"-"`

	// ActiveDeadline ends the job with [ReasonDeadlineExceeded] that long after
	// its start or last resumption, whatever it does then
	// (spec.activeDeadlineSeconds). Nil means never. Zero ends it before the
	// first attempt. Executors see it, or the end of AttemptTimeout if that is
	// earlier, as the deadline of their context.
	ActiveDeadline *time.Duration
	// AttemptTimeout ends an attempt that long after its start, restarts in
	// place included; it then has failed, whatever its executor returns
	// (spec.template.spec.activeDeadlineSeconds). Nil means never; otherwise it
	// must be positive.
	AttemptTimeout *time.Duration
	// ProgressDeadline fails an attempt that has given no sign of life for so long: it
	// has reported no progress and no output, saved no checkpoint and printed nothing. It
	// is stopped with [ErrNoProgress], and counts as failed, whatever its executor
	// returns. Zero means that it need not give any. It may not change.
	ProgressDeadline time.Duration
	// TerminationGracePeriod is how long an attempt may take to return after
	// its context was cancelled (spec.template.spec.
	// terminationGracePeriodSeconds). After it a [Command] is killed and a
	// function is abandoned: reported, and terminating until it returns. Nil
	// means 30 seconds. Zero means at once.
	TerminationGracePeriod *time.Duration
	// TTLAfterFinished removes the job, its attempts and their logs that long
	// after it finished (spec.ttlSecondsAfterFinished). Nil means never. Zero
	// means at once; those who wait for the job still get its status. It may be
	// changed after the job has finished.
	TTLAfterFinished *time.Duration

	// Suspend holds the job: nothing runs until it is resumed (spec.suspend).
	// Attempts that run are stopped, uncounted, and ActiveDeadline begins anew
	// with the resumption.
	Suspend bool
	// ReplacementPolicy says when a stopping attempt may be replaced. Empty
	// means ReplaceTerminatingOrFailed, or ReplaceFailed if there is a
	// FailurePolicy (spec.podReplacementPolicy).
	ReplacementPolicy string
	// FailurePolicy says what each kind of failure means. Nil means that all
	// count (spec.podFailurePolicy).
	FailurePolicy []FailureRule
	// SuccessPolicy says when an Indexed job is complete before all indexes
	// have succeeded. Nil means never (spec.successPolicy).
	SuccessPolicy []SuccessRule
	// ManagedBy names another controller, as "acme.io/foo": this one then keeps
	// the job and never touches it (spec.managedBy). Nil and
	// "kubernetes.io/job-controller" mean this controller. Waiting for a job of
	// another one ends with the context, or the job's deletion.
	ManagedBy *string

	// After names jobs that must be complete before this one starts: until then it has
	// no attempts and no start time, and no deadline runs. If one of them fails, or is
	// deleted before it is complete, the job fails with [ReasonDependencyFailed]. What
	// was seen complete may be removed. A name that no job has is waited for: jobs can be
	// declared in any order. A cycle is an error of the job that closes it. Another run,
	// by [Controller.Again], waits for nobody. It cannot be changed. Nil means none. Not
	// for [Run] and [Map].
	After []string

	// Limits names the limits of the controller that each attempt needs while it runs,
	// besides [Options.MaxActive]: see [Limit]. An unknown name is an error. It cannot be
	// changed. Nil means none. Not for [Run] and [Map].
	Limits []string
	// LimitKey says for which key the attempts of an index, or of -1, need those Limits
	// that are PerKey, such as the customer. It must return soon. If it panics, the
	// attempt fails as if its executor had. Nil means the empty key.
	LimitKey func(index int) string `json:"-"`
	// Priority says whose turn it is at limits and at [Options.MaxActive]: a job of the
	// next higher priority counts as having come a minute earlier, so that it goes first,
	// and lets nobody wait for ever. Those of one priority take turns, one attempt each. It
	// is from -1000 to 1000.
	Priority int

	// History is how many finished attempts are kept with their logs: the
	// newest, failed ones preferred. Counters do not depend on it, nor does the last
	// error of each index that BackoffLimitPerIndex gives up. Nil means 1000. Zero
	// keeps none.
	History *int
	// CheckpointLimit is the most bytes that [Attempt.SaveCheckpoint] takes. Nil
	// means 1 MiB. Zero means none.
	CheckpointLimit *int
	// ResultLimit is the most bytes of JSON that [Attempt.SetResult] takes. Nil means
	// 64 KiB. Zero means none.
	ResultLimit *int
	// LogLimit is how many bytes of its last output each attempt keeps; a line
	// costs its text and a few bytes more. Nil means 64 KiB. Zero keeps none.
	LogLimit *int
}

// A ValidationError reports everything that is wrong with a job, or with a
// change of it. It is found by errors.As.
type ValidationError struct {
	Job    string // the job's name
	Fields []FieldError
}

// validationError returns a [*ValidationError], or nil if nothing is wrong.
func validationError(job string, fields []FieldError) error {
	if len(fields) == 0 {
		return nil
	}
	return &ValidationError{Job: job, Fields: fields}
}

// Error lists all fields by their names in Go, such as AttemptTimeout.
func (e *ValidationError) Error() string {
	texts := make([]string, len(e.Fields))
	for i, field := range e.Fields {
		texts[i] = field.goText()
	}
	return fmt.Sprintf("batch: job %q is invalid: %s", e.Job, strings.Join(texts, "; "))
}

// A FieldError says what is wrong with one field.
type FieldError struct {
	// Field is the field's path in a Kubernetes manifest, such as
	// "spec.podFailurePolicy.rules[0].action"; a field that Kubernetes lacks
	// has a path of the same form, such as "spec.executor".
	Field string `json:"field"`
	// Kind is "Required" for a value that is missing; "Invalid" for one that is
	// malformed, out of range, or may not change; "NotSupported" for one that is not
	// among the known values; "Forbidden" for one that may not be set here; or
	// "TooLong", "TooMany" or "Duplicate".
	Kind string `json:"kind"`
	// Value is the value at fault: a string, an int, a [time.Duration], or
	// something that prints as JSON would, "{...}" for an object. It is nil if
	// there is none to show.
	Value any `json:"value,omitempty"`
	// Detail says what would be right; it may be empty.
	Detail string `json:"detail,omitempty"`
}

// Error gives the path, the kind, the value and the detail in the form of
// Kubernetes' field errors. Durations are shown as seconds, as paths say.
func (e FieldError) Error() string {
	value := ""
	if e.Value != nil {
		value = valueText(e.Value)
	}
	return e.text(e.Field, value, e.Detail)
}

// goText is Error for who has written the job in Go.
func (e FieldError) goText() string {
	value := ""
	if d, ok := e.Value.(time.Duration); ok {
		value = d.String()
	} else if e.Value != nil {
		value = valueText(e.Value)
	}
	return e.text(names.GoField(e.Field), value, names.GoDetail(e.Field, e.Detail))
}

func (e FieldError) text(field, value, detail string) string {
	text := field + ": " + cmp.Or(kindTexts[e.Kind], e.Kind)
	for _, part := range []string{value, detail} {
		if part != "" {
			text += ": " + part
		}
	}
	return text
}

func valueText(value any) string {
	switch v := value.(type) {
	case rawJSON:
		return string(v)
	case string:
		return strconv.Quote(v)
	case time.Duration:
		return strconv.FormatFloat(v.Seconds(), 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

var kindTexts = map[string]string{
	"Required":     "Required value",
	"Invalid":      "Invalid value",
	"NotSupported": "Unsupported value",
	"TooLong":      "Too long",
	"TooMany":      "Too many",
	"Duplicate":    "Duplicate value",
}

// clone returns a deep copy of j, which shares only functions and the executor.
func (j *Job) clone() Job {
	c := *j
	c.Labels = maps.Clone(j.Labels)
	c.Annotations = maps.Clone(j.Annotations)
	for _, p := range []**int{
		&c.Completions, &c.Parallelism, &c.BackoffLimit, &c.BackoffLimitPerIndex,
		&c.MaxFailedIndexes, &c.History, &c.LogLimit, &c.CheckpointLimit, &c.ResultLimit,
	} {
		*p = copyOf(*p)
	}
	for _, p := range []**time.Duration{
		&c.ActiveDeadline, &c.AttemptTimeout, &c.TerminationGracePeriod, &c.TTLAfterFinished,
	} {
		*p = copyOf(*p)
	}
	c.FailurePolicy = cloneFailureRules(j.FailurePolicy)
	c.SuccessPolicy = cloneSuccessRules(j.SuccessPolicy)
	c.ManagedBy = copyOf(j.ManagedBy)
	if input, ok := j.Input.(json.RawMessage); ok {
		c.Input = json.RawMessage(bytes.Clone(input))
	}
	c.After, c.Limits = slices.Clone(j.After), slices.Clone(j.Limits)
	return c
}

// The defaults that are numbers.
const (
	defaultBackoffLimit = 6
	noBackoffLimit      = math.MaxInt32 // as in Kubernetes
	defaultGracePeriod  = 30 * time.Second
	defaultHistory      = 1000
	defaultLogLimit     = 64 << 10
	defaultCheckpoint   = 1 << 20
	defaultResult       = 64 << 10
)

// withDefaults returns a copy of j that shares nothing with it (see clone) and
// has its defaults resolved. What is nil then stays off: no completions (a work
// queue), no such limit, no such policy. Backoff and RestartBackoff stay nil,
// too: the engine knows Kubernetes' own delays without a backoff.BackOff.
func (j *Job) withDefaults() Job {
	d := j.clone()
	if d.Completions == nil && d.Parallelism == nil { // without Completions alone, a work queue
		d.Completions = new(1)
	}
	d.Parallelism = orDefault(d.Parallelism, 1)
	d.CompletionMode = cmp.Or(d.CompletionMode, NonIndexed)
	d.RestartPolicy = cmp.Or(d.RestartPolicy, RestartNever)
	d.ContainerName = cmp.Or(d.ContainerName, "main")
	if d.BackoffLimitPerIndex != nil {
		d.BackoffLimit = orDefault(d.BackoffLimit, noBackoffLimit)
	}
	d.BackoffLimit = orDefault(d.BackoffLimit, defaultBackoffLimit)
	d.TerminationGracePeriod = orDefault(d.TerminationGracePeriod, defaultGracePeriod)
	if d.FailurePolicy != nil {
		setStatuses(d.FailurePolicy)
		d.ReplacementPolicy = cmp.Or(d.ReplacementPolicy, ReplaceFailed)
	}
	d.ReplacementPolicy = cmp.Or(d.ReplacementPolicy, ReplaceTerminatingOrFailed)
	d.History = orDefault(d.History, defaultHistory)
	d.LogLimit = orDefault(d.LogLimit, defaultLogLimit)
	d.Input = encodeInput(d.Input)
	d.CheckpointLimit = orDefault(d.CheckpointLimit, defaultCheckpoint)
	d.ResultLimit = orDefault(d.ResultLimit, defaultResult)
	return d
}

// Validate returns what [Controller.Create] would find wrong with j, as a
// [*ValidationError], or nil. Extensions that create jobs later, from a template,
// report with it at once what is wrong with that.
func (j *Job) Validate() error {
	d := j.withDefaults()
	return validationError(d.Name, d.validate())
}

// validate returns everything that is wrong with j, whose defaults are
// resolved: metadata first, then what Kubernetes has in the spec, in the order
// of the API server, then what it lacks.
func (j *Job) validate() []FieldError {
	return slices.Concat(
		j.checkName(),
		j.checkLabels(),
		j.checkNumbers(),
		j.checkManagedBy(),
		j.checkIndexing(),
		j.checkFailurePolicy(),
		j.checkSuccessPolicy(),
		j.checkReplacementPolicy(),
		j.checkTemplate(),
		checkExecutor(j.Executor),
		checkInput(j.Input),
		nonNegative("spec.progressDeadlineSeconds", &j.ProgressDeadline),
		j.checkAfter(),
		j.checkSharing(),
		nonNegative("spec.history", j.History),
		nonNegative("spec.logLimit", j.LogLimit),
		nonNegative("spec.checkpointLimit", j.CheckpointLimit),
		nonNegative("spec.resultLimit", j.ResultLimit),
	)
}

func (j *Job) checkName() []FieldError {
	errs := invalidEach("metadata.name", j.Name, names.Subdomain(j.Name))
	if j.Name == "" {
		errs = []FieldError{required("metadata.name", "name or generateName is required")}
	}
	if n := j.Completions; j.CompletionMode == Indexed && n != nil && *n > 0 {
		// The host name of the last index must be a DNS label.
		last := fmt.Sprintf("%s-%d", j.Name, *n-1)
		if names.Label(last) != nil {
			errs = append(errs, invalid("metadata.name", j.Name,
				"will not able to create pod with invalid DNS label: "+last))
		}
	}
	// The name is the value of a label of every attempt.
	return append(errs, invalidEach("spec.template.labels", j.Name, names.LabelValue(j.Name))...)
}

func (j *Job) checkLabels() []FieldError {
	var errs []FieldError
	for _, key := range slices.Sorted(maps.Keys(j.Labels)) {
		value := j.Labels[key]
		errs = append(errs, invalidEach("metadata.labels", key, names.Qualified(key))...)
		errs = append(errs, invalidEach("metadata.labels", value, names.LabelValue(value))...)
	}
	for _, key := range slices.Sorted(maps.Keys(j.Annotations)) {
		wrong := names.Qualified(strings.ToLower(key)) // their case is free
		errs = append(errs, invalidEach("metadata.annotations", key, wrong)...)
		if value := j.Annotations[key]; !utf8.ValidString(value) {
			errs = append(errs, invalid("metadata.annotations", value, "must be valid UTF-8"))
		}
	}
	return errs
}

func (j *Job) checkNumbers() []FieldError {
	errs := slices.Concat(
		nonNegative("spec.parallelism", j.Parallelism),
		nonNegative("spec.completions", j.Completions),
		nonNegative("spec.activeDeadlineSeconds", j.ActiveDeadline),
		nonNegative("spec.backoffLimit", j.BackoffLimit),
		nonNegative("spec.ttlSecondsAfterFinished", j.TTLAfterFinished),
		nonNegative("spec.backoffLimitPerIndex", j.BackoffLimitPerIndex),
		nonNegative("spec.maxFailedIndexes", j.MaxFailedIndexes),
	)
	if j.MaxFailedIndexes != nil && j.BackoffLimitPerIndex == nil {
		errs = append(errs, required("spec.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
	}
	return errs
}

// checkAfter wants names of other jobs, each once.
func (j *Job) checkAfter() []FieldError {
	var errs []FieldError
	for i, name := range j.After {
		path := fmt.Sprintf("spec.after[%d]", i)
		errs = append(errs, invalidEach(path, name, names.Subdomain(name))...)
		errs = append(errs, invalidEach(path, name, names.LabelValue(name))...)
		switch {
		case name == j.Name:
			errs = append(errs, invalid(path, name, "a job cannot start after itself"))
		case slices.Contains(j.After[:i], name):
			errs = append(errs, FieldError{Field: path, Kind: "Duplicate", Value: name})
		}
	}
	return errs
}

// checkSharing looks at what the job shares with others, but for whether that exists.
func (j *Job) checkSharing() []FieldError {
	var errs []FieldError
	for i, name := range j.Limits {
		path := fmt.Sprintf("spec.limits[%d]", i)
		errs = append(errs, invalidEach(path, name, names.Subdomain(name))...)
		if slices.Contains(j.Limits[:i], name) {
			errs = append(errs, FieldError{Field: path, Kind: "Duplicate", Value: name})
		}
	}
	const most = 1000
	if j.Priority < -most || j.Priority > most {
		errs = append(errs, invalid("spec.priority", j.Priority, "must be between -1000 and 1000, inclusive"))
	}
	return errs
}

// checkManagedBy wants a domain-prefixed path.
func (j *Job) checkManagedBy() []FieldError {
	const path = "spec.managedBy"
	switch {
	case j.ManagedBy == nil:
		return nil
	case *j.ManagedBy == "":
		return []FieldError{required(path, "")}
	}
	host, rest, _ := strings.Cut(*j.ManagedBy, "/")
	if host == "" || rest == "" {
		return []FieldError{invalid(path, *j.ManagedBy, `must be a domain-prefixed path (such as "acme.io/foo")`)}
	}
	return append(invalidEach(path, host, names.Subdomain(host)), invalidEach(path, rest, names.Path(rest))...)
}

func (j *Job) checkIndexing() []FieldError {
	const needsIndexes = "requires indexed completion mode"
	var errs []FieldError
	switch j.CompletionMode {
	case Indexed:
		if j.Completions == nil {
			errs = append(errs, required("spec.completions", "when completion mode is Indexed"))
		} else if j.MaxFailedIndexes != nil && *j.MaxFailedIndexes > *j.Completions {
			errs = append(
				errs, invalid("spec.maxFailedIndexes", *j.MaxFailedIndexes, "must be less than or equal to completions"),
			)
		}
	case NonIndexed:
		if j.BackoffLimitPerIndex != nil {
			errs = append(errs, invalid("spec.backoffLimitPerIndex", *j.BackoffLimitPerIndex, needsIndexes))
		}
		if j.MaxFailedIndexes != nil {
			errs = append(errs, invalid("spec.maxFailedIndexes", *j.MaxFailedIndexes, needsIndexes))
		}
	}
	return append(errs, oneOf("spec.completionMode", j.CompletionMode, NonIndexed, Indexed)...)
}

func (j *Job) checkReplacementPolicy() []FieldError {
	const path = "spec.podReplacementPolicy"
	if j.FailurePolicy != nil {
		return oneOf(path, j.ReplacementPolicy, ReplaceFailed)
	}
	return oneOf(path, j.ReplacementPolicy, ReplaceFailed, ReplaceTerminatingOrFailed)
}

func (j *Job) checkTemplate() []FieldError {
	errs := invalidEach("spec.template.spec.containers[0].name", j.ContainerName, names.Label(j.ContainerName))
	if j.AttemptTimeout != nil && *j.AttemptTimeout <= 0 {
		errs = append(errs, invalid("spec.template.spec.activeDeadlineSeconds", *j.AttemptTimeout,
			"must be between 1 and 2147483647, inclusive"))
	}
	errs = append(errs, nonNegative("spec.template.spec.terminationGracePeriodSeconds", j.TerminationGracePeriod)...)
	return append(errs, j.checkRestartPolicy()...)
}

func (j *Job) checkRestartPolicy() []FieldError {
	const path = "spec.template.spec.restartPolicy"
	switch {
	case j.RestartPolicy == "Always": // what a pod without a restart policy has
		return []FieldError{required(path, `valid values: "OnFailure", "Never"`)}
	case j.RestartPolicy == RestartOnFailure && j.FailurePolicy != nil:
		return []FieldError{invalid(path, j.RestartPolicy, `only "Never" is supported when podFailurePolicy is specified`)}
	}
	return oneOf(path, j.RestartPolicy, RestartOnFailure, RestartNever)
}

// checkExecutor finds executors that cannot run: none at all, a nil function, a
// command without a program.
func checkExecutor(e Executor) []FieldError {
	const path = "spec.executor"
	switch e := e.(type) {
	case nil:
		return []FieldError{required(path, "a job needs something to run")}
	case ExecutorFunc:
		if e == nil {
			return []FieldError{required(path, "the function is nil")}
		}
	case Command:
		return e.check(path)
	case *Command:
		if e == nil {
			e = &Command{}
		}
		return e.check(path)
	}
	return nil
}

// check returns what is wrong with a command before it runs.
func (c *Command) check(path string) []FieldError {
	var errs []FieldError
	if len(c.Args) == 0 || c.Args[0] == "" {
		errs = append(errs, required(path, "Args of a Command must name a program"))
	}
	for i, entry := range c.Env {
		if name, _, ok := strings.Cut(entry, "="); !ok || name == "" || strings.ContainsRune(entry, 0) {
			errs = append(
				errs, invalid(fmt.Sprintf("%s.env[%d]", path, i), entry, `must have the form "NAME=value", without a zero byte`),
			)
		}
	}
	return errs
}

// validateUpdate returns everything that is wrong with j as a change of old: what is
// wrong with j itself, and what may not change. Both have their defaults resolved. Of
// the template, nothing that a Job has may change while it is suspended.
func (j *Job) validateUpdate(old *Job) []FieldError {
	return slices.Concat(
		j.validate(),
		immutable("metadata.name", j.Name == old.Name, j.Name),
		j.checkCompletionsUpdate(old),
		immutable("spec.template", j.sameTemplate(old), someObject),
		immutable("spec.completionMode", j.CompletionMode == old.CompletionMode, j.CompletionMode),
		immutable(
			"spec.podFailurePolicy", sameFailureRules(j.FailurePolicy, old.FailurePolicy), objectOrNull(j.FailurePolicy),
		),
		immutable(
			"spec.backoffLimitPerIndex", equal(j.BackoffLimitPerIndex, old.BackoffLimitPerIndex),
			valueOrNull(j.BackoffLimitPerIndex),
		),
		immutable("spec.managedBy", equal(j.ManagedBy, old.ManagedBy), valueOrNull(j.ManagedBy)),
		immutable("spec.after", slices.Equal(j.After, old.After), rawJSON(fmt.Sprintf("%q", j.After))),
		immutable("spec.limits", slices.Equal(j.Limits, old.Limits), rawJSON(fmt.Sprintf("%q", j.Limits))),
		immutable("spec.successPolicy", sameSuccessRules(j.SuccessPolicy, old.SuccessPolicy), objectOrNull(j.SuccessPolicy)),
		j.checkInputUpdate(old),
	)
}

// largestInput is in bytes.
const largestInput = 1 << 20

// An unencodable input is one that does not encode as JSON.
type unencodable struct {
	value any
	err   error
}

// encodeInput returns an input as JSON, nil as it is, or an unencodable one.
func encodeInput(value any) any {
	switch value.(type) {
	case nil, unencodable:
		return value
	}
	data, err := json.Marshal(value)
	if err != nil {
		return unencodable{value, err}
	}
	return json.RawMessage(data)
}

// inputBytes is an input that encodeInput has returned; nil if there is none.
func (j *Job) inputBytes() []byte {
	data, _ := j.Input.(json.RawMessage)
	return data
}

func checkInput(input any) []FieldError {
	const path = "spec.input"
	switch input := input.(type) {
	case unencodable:
		return []FieldError{invalid(path, fmt.Sprintf("%T", input.value), input.err.Error())}
	case json.RawMessage:
		if len(input) > largestInput {
			return []FieldError{{Field: path, Kind: "TooLong", Value: rawJSON(fmt.Sprintf("%d bytes", len(input))),
				Detail: fmt.Sprintf("may not be more than %d bytes of JSON", largestInput)}}
		}
	}
	return nil
}

// checkInputUpdate wants the input to stay. Inputs may be large: they are told apart by
// their sizes and digests.
func (j *Job) checkInputUpdate(old *Job) []FieldError {
	now, was := j.inputBytes(), old.inputBytes()
	if _, bad := j.Input.(unencodable); bad || bytes.Equal(now, was) {
		return nil
	}
	return []FieldError{invalid("spec.input", rawJSON(digest(now)), "field is immutable: the job has "+digest(was))}
}

func digest(input []byte) string {
	if input == nil {
		return "none"
	}
	return fmt.Sprintf("%d bytes with SHA-256 %.8x", len(input), sha256.Sum256(input))
}

func (j *Job) checkCompletionsUpdate(old *Job) []FieldError {
	const path = "spec.completions"
	same := equal(j.Completions, old.Completions)
	if j.CompletionMode != Indexed {
		return immutable(path, same, valueOrNull(j.Completions))
	}
	// Without completions an Indexed job is invalid already.
	if same || j.Completions == nil || *j.Completions == *j.Parallelism {
		return nil
	}
	return []FieldError{invalid(path, *j.Completions, "can only be modified in tandem with spec.parallelism")}
}

func (j *Job) sameTemplate(old *Job) bool {
	return j.RestartPolicy == old.RestartPolicy &&
		j.ContainerName == old.ContainerName &&
		equal(j.AttemptTimeout, old.AttemptTimeout) &&
		j.ProgressDeadline == old.ProgressDeadline &&
		equal(j.TerminationGracePeriod, old.TerminationGracePeriod)
}

// rawJSON is a value that a [FieldError] shows as it is.
type rawJSON string

const (
	someObject rawJSON = "{...}"
	null       rawJSON = "null"
)

func valueOrNull[T any](p *T) any {
	if p == nil {
		return null
	}
	return *p
}

func objectOrNull[T any](p []T) any {
	if p == nil {
		return null
	}
	return someObject
}

func required(path, detail string) FieldError {
	return FieldError{Field: path, Kind: "Required", Detail: detail}
}

func invalid(path string, value any, detail string) FieldError {
	return FieldError{Field: path, Kind: "Invalid", Value: value, Detail: detail}
}

// invalidEach returns an error for each text of a check of package names.
func invalidEach(path, value string, texts []string) []FieldError {
	var errs []FieldError
	for _, text := range texts {
		errs = append(errs, invalid(path, value, text))
	}
	return errs
}

func nonNegative[T int | time.Duration](path string, value *T) []FieldError {
	if value == nil || *value >= 0 {
		return nil
	}
	return []FieldError{invalid(path, *value, "must be greater than or equal to 0")}
}

// oneOf wants one of the known values of an enumeration.
func oneOf[T ~string](path string, value T, known ...T) []FieldError {
	switch {
	case slices.Contains(known, value):
		return nil
	case value == "":
		return []FieldError{required(path, fmt.Sprintf("valid values: %q", known))}
	}
	quoted := make([]string, len(known))
	for i, k := range known {
		quoted[i] = strconv.Quote(string(k))
	}
	return []FieldError{{
		Field: path, Kind: "NotSupported", Value: string(value),
		Detail: "supported values: " + strings.Join(quoted, ", "),
	}}
}

func immutable(path string, same bool, value any) []FieldError {
	if same {
		return nil
	}
	return []FieldError{invalid(path, value, "field is immutable")}
}

func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}

func orDefault[T any](p *T, value T) *T {
	if p == nil {
		return new(value)
	}
	return p
}

// equal reports whether both are nil, or both point to the same value.
func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// engineSpec is j, with its defaults, as the engine wants it. What the
// controller decides is left out.
func (j *Job) engineSpec(holdsPending bool) engine.Spec {
	delay, fixed := constantDelay(j.Backoff)
	return engine.Spec{
		Indexed:              j.CompletionMode == Indexed,
		Completions:          valueOr(j.Completions, engine.None),
		Parallelism:          *j.Parallelism,
		OnFailure:            j.RestartPolicy == RestartOnFailure,
		BackoffLimit:         *j.BackoffLimit,
		BackoffLimitPerIndex: valueOr(j.BackoffLimitPerIndex, engine.None),
		MaxFailedIndexes:     valueOr(j.MaxFailedIndexes, engine.None),
		ActiveDeadline:       valueOr(j.ActiveDeadline, engine.None),
		AttemptTimeout:       valueOr(j.AttemptTimeout, engine.None),
		ProgressDeadline:     j.ProgressDeadline,
		Grace:                *j.TerminationGracePeriod,
		TTL:                  valueOr(j.TTLAfterFinished, engine.None),
		Suspend:              j.Suspend,
		ReplaceFailed:        j.ReplacementPolicy == ReplaceFailed,
		FailureRules:         engineFailureRules(j.FailurePolicy),
		SuccessRules:         engineSuccessRules(j.SuccessPolicy),
		Unmanaged:            j.otherManager() != "",
		HoldsPending:         holdsPending,
		CustomDelay:          j.Backoff != nil && !fixed,
		FixedDelay:           fixed,
		Delay:                delay,
		CustomRestartDelay:   j.RestartBackoff != nil,
		History:              *j.History,
		Container:            j.ContainerName,
	}
}

// thisController is the value of ManagedBy that means this controller.
const thisController = "kubernetes.io/job-controller"

// otherManager is the controller that has the job; empty if it is this one.
func (j *Job) otherManager() string {
	if j.ManagedBy == nil || *j.ManagedBy == thisController {
		return ""
	}
	return *j.ManagedBy
}

func holdsPending(e Executor) bool {
	p, ok := e.(PendingExecutor)
	return ok && p.HoldsPending()
}

func valueOr[T any](p *T, unset T) T {
	if p == nil {
		return unset
	}
	return *p
}
