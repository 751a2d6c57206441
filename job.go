// Package batch runs work to completion: Kubernetes Jobs as a Go library.
//
// A [Job] says what to run, how many completions it needs, how many attempts may run at
// once, how often and how they may fail. [Run] runs one job and waits for it; [Map]
// applies a function to a slice; a [Controller] runs many jobs in a long-lived service.
// The answer is the one that the Job controller of Kubernetes would give, in this
// process, without a cluster.
//
// An attempt is one call of an [Executor]; Kubernetes has a pod in its place. State is in
// memory and ends with the process, unless there is a [Store].
//
// # Guarantees
//
//   - At least once. A completion is done when one attempt for it has returned nil. Until
//     then its executor may have run more than once, so it should be idempotent. Under
//     [ReplaceFailed] no attempt is replaced before it has ended; under
//     [ReplaceTerminatingOrFailed] the old and the new one may overlap. An attempt that
//     [Controller.Disrupt] declares lost counts as ended, even if its function still
//     runs.
//   - A token for each attempt. [Attempt.Token] is unique, except that a restart in place
//     keeps it, and that an attempt lost in a crash may be repeated under it.
//   - Counted at most once. Each attempt counts as succeeded, as failed, or not at all.
//   - Counted as failed: an attempt whose executor returned an error, panicked, called
//     [runtime.Goexit] or exceeded its timeout; one stopped by a user or an eviction,
//     unless it still succeeds under [ReplaceFailed]; and every attempt that has not
//     ended when the job fails. A rule with [ActionIgnore] exempts what it matches.
//   - Not counted: restarts in place, and attempts stopped by suspension, scaling down, a
//     success policy, the cancel of their index, deletion of the job or
//     [Controller.Shutdown].
//   - Failure comes first. If one outcome both completes and fails a job, the job fails.
//     A job is complete or failed only when all of its attempts have stopped; until then
//     it has the condition [ConditionSuccessCriteriaMet] or [ConditionFailureTarget]. A
//     finished job never changes its outcome, unless [Controller.Again] runs it once
//     more.
//   - A millisecond to settle. An attempt that is asked to stop by a user or an eviction,
//     and ends within a millisecond, is judged by how it ended. So are attempts that end
//     within a millisecond of the one that decides the job. The controller of Kubernetes,
//     which looks at a job about once a second, sees such events together.
//   - Executors cannot break the accounting. A panic or a [runtime.Goexit] is a failure
//     with its stack. An executor that ignores the end of its context is reported as
//     abandoned after the grace period, and its attempt is terminating until it returns.
//     [Controller.Shutdown] leaves no goroutine behind, or returns an [AbandonedError]
//     that names the attempts it left.
//   - A watch misses nothing. [Controller.Watch] continues from the revision of any
//     status. Several changes of one job may be delivered as one; its end and its removal
//     are always delivered, or the watch ends with [ErrTooOld].
//
// # Jobs in a store
//
// A controller that finds jobs in its [Store] continues them, after a shutdown as after a
// crash: counters, conditions, index sets, retries, deadlines and suspension are what
// they were. No wait becomes longer, even if the clocks of the machine were set.
//
//   - Attempts interrupted by [Controller.Shutdown] do not count, even if they return nil
//     then.
//   - Attempts that ran when the process ended are disrupted, with
//     [ReasonTerminationByProcessExit]. If a rule of the failure policy matches that
//     condition, it decides. Otherwise the exit is one event and no attempt counts as
//     failed. More exits in a row than failures are allowed, and at least two, fail the
//     job with [ReasonProcessExitLimitExceeded]; a success in between, of the same index
//     in an Indexed job, begins the count anew.
//   - A completion that has been reported is never run again. One that has not may be.
//   - A job keeps its input, the results of its completions, and the last failure of each
//     index that has failed. A result is stored together with its completion.
//   - Functions are not stored. A job waits, with the condition [ConditionStalled], until
//     [Controller.Apply] declares it. Logs are not stored either, and of errors only
//     their texts.
//   - While the store fails, jobs start no attempts and are Stalled, changes return
//     [ErrStore], and [Attempt.SaveCheckpoint] waits. The store is tried again until it
//     works. If it refuses the records of one job only, that job is Stalled and the
//     others continue.
//   - The end of a job is stored together with the job, for each subscription
//     ([Controller.Subscribe]). It is delivered at least once, in the order in which ends
//     became durable; one delivered just before a crash may be delivered again.
//
// # Several processes
//
// One controller works on a store; see [Claimer]. Others wait for it, with
// Options.Standby: the next one works when the store is free.
//
//   - Every process declares its jobs with [Controller.Apply]. A standby keeps that for
//     when it works, but a job that was finished and removed meanwhile is not run again.
//     Other changes are refused, with the process that works in the error.
//   - A standby shows what the store has, somewhat late. [Controller.Wait] continues when
//     another process works; [Controller.Watch] ends with [ErrTooOld], which is
//     [ErrStoreInUse] as well.
//   - A process whose claim is lost, because it was suspended for longer than the lease,
//     stores and reports nothing more. The contexts of its attempts end with
//     [ErrStoreInUse]; with [Attempt.Fence] what they still do can be refused elsewhere.
//   - To deploy without a loss, start the new process, and then shut the old one down and
//     close its store. What still runs then is interrupted, and not counted.
//
// # Jobs that share and wait
//
// Of all jobs of a controller, [Options.MaxActive] executors run at once, and of those
// that name a [Limit] as many as that allows: at once, in a time, or for each key. An
// attempt gets all that it needs in one decision. Jobs take turns, those of a higher
// [Job.Priority] first, though not for ever. A job that needs several limits, and was
// overtaken for a minute by those that need fewer, has them reserved as they become free;
// if that takes another minute, nothing is reserved for a while. A job with [Job.After]
// starts when other jobs are complete.
//
// # Errors
//
// All errors are found by errors.Is and errors.As. Functions, and the methods of a
// [Controller], return
//
//   - [ValidationError]: a job, or a change of it, is invalid; it has a [FieldError] with
//     path, kind and value for each mistake
//   - [ErrExists], [ErrNotFound]: there is a job of that name already; there is no such
//     job or attempt
//   - [JobError]: the job failed, or a [Map] ended before its job; it has the last
//     status, the reason, and an [AttemptError] for each failed attempt that is kept
//   - [ErrJobFinished], [ErrDeleted]: the job is over, or about to be; it was deleted
//     before it finished
//   - [ErrAttemptEnded]: the attempt has ended already
//   - [ErrTooOld]: a watch cannot continue from that revision
//   - [ErrShutdown], [AbandonedError]: the controller is shut down; these attempts did
//     not return before the end of a shutdown
//   - [ErrStore], [ErrStoreFormat], [ErrStoreInUse]: the store failed, and it is unknown
//     whether the change is stored; it was written by another version or program; another
//     controller has it
//   - [ErrTooLarge]: a checkpoint is larger than [Job.CheckpointLimit], or a result than
//     [Job.ResultLimit]
//   - [ErrBadCheckpoint], [ItemError]: the checkpoint of an [Iteration] cannot be read,
//     and is left as it is; an item, or a chunk, ended an Iteration
//
// The context of an attempt ends with one of these causes, which are also the errors of
// executors that do not return one:
//
//   - [ErrDeleted], [ErrDisrupted]: a user deleted the attempt or its job; it was evicted
//     or lost
//   - [ErrSuspended], [ErrScaledDown]: the job was suspended; it needs fewer attempts or
//     indexes
//   - [ErrJobFinished]: the job ended without this attempt; [ErrJobDeadline], if
//     [Job.ActiveDeadline] has passed, is ErrJobFinished as well
//   - the cause of [Controller.Cancel]
//   - [ErrAttemptTimeout], [ErrNoProgress]: [Job.AttemptTimeout] has passed, or
//     [Job.ProgressDeadline] without a sign of life
//   - [ErrShutdown], [ErrStoreInUse]: the controller was shut down; another process may
//     have the store
//   - [ErrAttemptEnded]: the executor has returned; it is also the error of an [Attempt]
//     that is used after that
//   - [PanicError]: the executor panicked, or called [runtime.Goexit]
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
//   - Every event takes effect at once. The Job controller looks at a job about once a
//     second and creates pods in batches of 1, 2, 4 and so on up to 500.
//   - Parallelism, indexes, rules and values have no limits but those of int.
//   - Times are not cut to seconds.
//   - [Job.RestartPolicy] has a default, [RestartNever].
//   - The newest 1,000 finished attempts of a job are kept, or [Job.History]; finished
//     pods are kept until their job is deleted. Counters are exact.
//   - The newest 10,000 finished jobs are kept, or [Options].FinishedJobs; there they are
//     kept until they are deleted or their TTL has passed.
//   - After the grace period a program is killed, as a container is, with its process
//     group. Windows has neither SIGTERM nor process groups: there a program is killed at
//     once, and its children are not. A function cannot be killed and is abandoned.
//   - With a [Store], the number of retries and their delays survive a restart; the Job
//     controller forgets them.
//   - Attempts are goroutines or child processes. There are no nodes, no selectors and no
//     adoption of pods.
//
// # Specification
//
// What a job does, rule by rule and each beside its tests, is written down in
// internal/engine/specification.md.
package batch

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/fields"
	"github.com/runtocompletion/batch/internal/runner"
	"github.com/runtocompletion/batch/internal/spec"
)

// A Job says what to run to completion, and how. The zero value of every field but Name
// and Executor is Kubernetes' default. A pointer is used where zero and unset differ:
// write Completions: new(3).
//
// A Job is a plain value: a controller takes a copy, which shares only the executor and
// the functions. Negative numbers and durations are errors. The section on fields of the
// package documentation has their names in a Kubernetes manifest.
type Job struct {
	// Name names the job within its controller. It must be a DNS-1123 subdomain of at most 63
	// characters and, for an Indexed job, so short that "<name>-<index>" fits in 63.
	// Required.
	Name string
	// Labels and Annotations are kept with the job and have no effect. Their keys, and the
	// values of labels, must have Kubernetes' form.
	Labels, Annotations map[string]string

	// Executor runs the attempts. Required. Executors and other functions are not compared:
	// what was declared last runs the attempts that start from then on.
	Executor Executor `json:"-"`
	// Input is what the job works on: a value that encodes as at most 1 MiB of JSON, which
	// attempts get by [Input]. It is encoded when the job is created and does not change any
	// more; in a Job that a controller returns it is a [json.RawMessage]. A controller keeps
	// it in memory as long as the job: of larger things it should have the names. Nil means
	// none; to [Controller.Apply], whatever the job has.
	Input any `json:",omitempty"`
	// ContainerName is what messages of the failure policy call the executor and what
	// [ExitCodes].ContainerName refers to; empty means "main". It must be a DNS-1123 label.
	ContainerName string

	// Completions is how many successes complete the job. Nil means 1 if Parallelism is nil
	// too; with Parallelism set it makes the job a work queue, which is complete when one
	// attempt has succeeded and all others have ended. Zero completes at once. Required if
	// CompletionMode is Indexed and Parallelism is set.
	Completions *int
	// Parallelism is the most attempts that are active at once. Nil means 1. Zero runs
	// nothing, a pause.
	Parallelism *int
	// CompletionMode is NonIndexed, the default, or Indexed.
	CompletionMode string
	// RestartPolicy is RestartNever, the default, or RestartOnFailure. (In Kubernetes it has
	// no default.)
	RestartPolicy string

	// BackoffLimit is how many failed attempts the job survives; one more fails it with
	// [ReasonBackoffLimitExceeded]. Under RestartOnFailure, restarts of running attempts are
	// held against it too, and reaching it is enough, so that 0 and 1 mean the same there:
	// the first restart fails the job. Nil means 6, or no limit if BackoffLimitPerIndex is
	// set. Zero means that the first failure is final.
	BackoffLimit *int
	// BackoffLimitPerIndex is how many failures each index survives; one more fails the
	// index, and the others continue. Nil means that there is no such limit. Indexed jobs
	// only.
	BackoffLimitPerIndex *int
	// MaxFailedIndexes is how many failed indexes the job survives before the rest is
	// stopped; one more fails it with [ReasonMaxFailedIndexesExceeded]. Nil means that all
	// indexes are tried. It must not exceed Completions, and requires BackoffLimitPerIndex.
	MaxFailedIndexes *int
	// Backoff makes the delays before failed attempts are replaced. Nil means Kubernetes' 10
	// seconds, doubling up to 10 minutes. The delay holds back every new attempt of the job
	// or, with BackoffLimitPerIndex, of the index; a success ends the sequence.
	Backoff Backoff `json:"-"`
	// RestartBackoff makes the delays before restarts in place; it is used under
	// RestartOnFailure only. Nil means the kubelet's: the first restart at once, then 10
	// seconds, doubling up to 5 minutes, beginning anew after a run of over 10 minutes.
	RestartBackoff Backoff `json:"-"`

	// ActiveDeadline ends the job with [ReasonDeadlineExceeded] that long after its start or
	// last resumption, whatever it does then. Nil means never. Zero ends it before the first
	// attempt. Executors see it, or the end of AttemptTimeout if that is earlier, as the
	// deadline of their context.
	ActiveDeadline *time.Duration
	// AttemptTimeout ends an attempt that long after its start, restarts in place included;
	// it then has failed, whatever its executor returns. Nil means never; otherwise it must
	// be positive.
	AttemptTimeout *time.Duration
	// ProgressDeadline fails an attempt that has given no sign of life for so long: it has
	// reported no progress and no output, saved no checkpoint and printed nothing; to wait
	// for a [Store] that fails is no sign. It is stopped with [ErrNoProgress], and counts as
	// failed, whatever its executor returns. Zero means that it need not give any. It may not
	// change.
	ProgressDeadline time.Duration
	// TerminationGracePeriod is how long an attempt may take to return after its context was
	// cancelled. After that a [Command] is killed and a function is abandoned: reported, and
	// terminating until it returns. Nil means 30 seconds. Zero means at once.
	TerminationGracePeriod *time.Duration
	// TTLAfterFinished removes the job, its attempts and their logs that long after it
	// finished. Nil means never. Zero means at once; [Controller.Wait] still returns its
	// status. It may be changed after the job has finished.
	TTLAfterFinished *time.Duration

	// Suspend holds the job: nothing runs until it is resumed. Attempts that run are stopped,
	// uncounted, and ActiveDeadline begins anew with the resumption.
	Suspend bool
	// ReplacementPolicy says when a stopping attempt may be replaced. Empty means
	// ReplaceTerminatingOrFailed, or ReplaceFailed if there is a FailurePolicy.
	ReplacementPolicy string
	// FailurePolicy says what each kind of failure means. Nil means that all count.
	FailurePolicy []FailureRule
	// SuccessPolicy says when an Indexed job is complete before all indexes have succeeded.
	// Nil means never.
	SuccessPolicy []SuccessRule
	// ManagedBy names another controller, as "acme.io/foo": this one then keeps the job and
	// never runs it (spec.managedBy). That controller reports what becomes of it with
	// [Controller.Report]; see also [Options.Managers], and contrib/cluster. Nil and
	// "kubernetes.io/job-controller" mean this controller.
	ManagedBy *string

	// After names jobs that must be complete before this one starts: until then it has no
	// attempts and no start time, and no deadline runs. If one of them fails, or is deleted
	// before it is complete, the job fails with [ReasonDependencyFailed]. What was seen
	// complete may be removed. A name that no job has is waited for: jobs can be declared in
	// any order. A cycle is an error of the job that closes it. Another run, by
	// [Controller.Again], does not wait. It cannot be changed. Nil means none. Not for [Run]
	// and [Map].
	After []string

	// Limits names the limits of the controller that each attempt needs while it runs,
	// besides [Options.MaxActive]: see [Limit]. An unknown name is an error. It cannot be
	// changed. Nil means none. Not for [Run] and [Map].
	Limits []string
	// LimitKey says for which key the attempts of an index, or of -1, need those Limits that
	// are PerKey, such as the customer. It must return soon. If it panics, the attempt fails
	// as if its executor had. Nil means the empty key.
	LimitKey func(index int) string `json:"-"`
	// Priority says whose turn it is at limits and at [Options.MaxActive]: a job of the next
	// higher priority counts as having come a minute earlier, so that it goes first, and no
	// job waits for ever. Those of one priority take turns, one attempt each. It is from
	// -1000 to 1000.
	Priority int

	// History is how many finished attempts are kept with their logs: the newest, failed ones
	// preferred. Counters do not depend on it, nor does the last error of each index that
	// BackoffLimitPerIndex gives up. Nil means 1000. Zero keeps none.
	History *int
	// CheckpointLimit is the most bytes that [Attempt.SaveCheckpoint] takes. Nil means 1 MiB.
	// Zero means none.
	CheckpointLimit *int
	// ResultLimit is the most bytes of JSON that [Attempt.SetResult] takes. Nil means 64 KiB.
	// Zero means none.
	ResultLimit *int
	// LogLimit is how many bytes of its last output each attempt keeps; a line costs its text
	// and a few bytes more. Nil means 64 KiB. Zero keeps none.
	LogLimit *int
}

// A ValidationError reports everything that is wrong with a job, or with a change of it.
// It is found by errors.As.
type ValidationError struct {
	Job    string // the job's name
	Fields []FieldError
}

// validationError returns a [*ValidationError], or nil if nothing is wrong.
func validationError(job string, errs []spec.FieldError) error {
	if len(errs) == 0 {
		return nil
	}
	e := &ValidationError{Job: job}
	for _, err := range errs {
		e.Fields = append(e.Fields, FieldError(err))
	}
	return e
}

// refused is the error of a job that cannot be created.
func refused(name string, err error) error {
	if cycle, ok := errors.AsType[*runner.CycleError](err); ok {
		return validationError(name, []spec.FieldError{spec.Cycle(cycle.Jobs)})
	}
	return err
}

// Error lists all fields by their names in Go, such as AttemptTimeout.
func (e *ValidationError) Error() string {
	texts := make([]string, len(e.Fields))
	for i, field := range e.Fields {
		texts[i] = spec.FieldError(field).GoText()
	}
	return fmt.Sprintf("batch: job %q is invalid: %s", e.Job, strings.Join(texts, "; "))
}

// A FieldError says what is wrong with one field.
type FieldError struct {
	// Field is the field's path in a Kubernetes manifest, such as
	// "spec.podFailurePolicy.rules[0].action"; a field that Kubernetes lacks has a path of
	// the same form, such as "spec.executor".
	Field string `json:"field"`
	// Kind is "Required" for a value that is missing; "Invalid" for one that is malformed,
	// out of range, or may not change; "NotSupported" for one that is not among the known
	// values; "Forbidden" for one that may not be set here; or "TooLong", "TooMany" or
	// "Duplicate".
	Kind string `json:"kind"`
	// Value is the value at fault: a string, an int, a [time.Duration], or something that
	// prints as JSON would, "{...}" for an object. It is nil if there is none to show.
	Value any `json:"value,omitempty"`
	// Detail says what would be right; it may be empty.
	Detail string `json:"detail,omitempty"`
}

// Error gives the path, the kind, the value and the detail in the form of Kubernetes'
// field errors. Durations are shown as seconds, as paths say.
func (e FieldError) Error() string { return spec.FieldError(e).Error() }

// Validate returns what [Controller.Create] would find wrong with j, as a
// [*ValidationError], or nil. Extensions that create jobs later, from a template, report
// with it at once what is wrong with that.
func (j *Job) Validate() error {
	d := j.withDefaults()
	return validationError(d.Name, d.spec().Validate())
}

// spec returns what is declared, as plain data that is shared with j. It is inlined, so
// that what only looks at the data allocates nothing.
func (j *Job) spec() *spec.Job { return new(j.data()) }

func (j *Job) data() spec.Job {
	return spec.Job{
		Name: j.Name, Labels: j.Labels, Annotations: j.Annotations, ContainerName: j.ContainerName, Input: j.Input,
		Completions: j.Completions, Parallelism: j.Parallelism,
		CompletionMode: j.CompletionMode, RestartPolicy: j.RestartPolicy,
		BackoffLimit: j.BackoffLimit, BackoffLimitPerIndex: j.BackoffLimitPerIndex, MaxFailedIndexes: j.MaxFailedIndexes,
		ActiveDeadline: j.ActiveDeadline, AttemptTimeout: j.AttemptTimeout, ProgressDeadline: j.ProgressDeadline,
		TerminationGracePeriod: j.TerminationGracePeriod, TTLAfterFinished: j.TTLAfterFinished,
		Suspend: j.Suspend, ReplacementPolicy: j.ReplacementPolicy, ManagedBy: j.ManagedBy,
		FailurePolicy: failureRules(j.FailurePolicy), SuccessPolicy: successRules(j.SuccessPolicy),
		After: j.After, Limits: j.Limits, Priority: j.Priority,
		History: j.History, LogLimit: j.LogLimit, CheckpointLimit: j.CheckpointLimit, ResultLimit: j.ResultLimit,
		ExecutorErrors: checkExecutor(j.Executor),
	}
}

// withDefaults returns a copy of j that shares nothing with it (see clone) and has its
// defaults resolved. Backoff and RestartBackoff stay nil: the engine knows Kubernetes'
// own delays without a backoff.BackOff.
func (j *Job) withDefaults() Job {
	d, _ := j.resolve()
	return d
}

// resolve is withDefaults, and what the copy declares as plain data.
func (j *Job) resolve() (Job, spec.Job) {
	d := j.clone()
	setStatuses(d.FailurePolicy)
	s := d.data()
	s.SetDefaults()
	d.ContainerName, d.Input, d.Completions, d.Parallelism = s.ContainerName, s.Input, s.Completions, s.Parallelism
	d.CompletionMode, d.RestartPolicy, d.ReplacementPolicy = s.CompletionMode, s.RestartPolicy, s.ReplacementPolicy
	d.BackoffLimit, d.TerminationGracePeriod = s.BackoffLimit, s.TerminationGracePeriod
	d.History, d.LogLimit, d.CheckpointLimit, d.ResultLimit = s.History, s.LogLimit, s.CheckpointLimit, s.ResultLimit
	return d, s
}

// clone returns a deep copy of j, which shares only functions and the executor.
func (j *Job) clone() Job {
	c := fields.Clone(j)
	if input, ok := j.Input.(json.RawMessage); ok {
		c.Input = json.RawMessage(bytes.Clone(input))
	}
	return c
}

// checkExecutor finds executors that cannot run: none at all, a nil function, a command
// without a program.
func checkExecutor(e Executor) []spec.FieldError {
	const path = "spec.executor"
	switch e := e.(type) {
	case nil:
		return []spec.FieldError{spec.Required(path, "a job needs something to run")}
	case ExecutorFunc:
		if e == nil {
			return []spec.FieldError{spec.Required(path, "the function is nil")}
		}
	case Command:
		return spec.CheckCommand(e.Args, e.Env)
	case *Command:
		if e == nil {
			e = &Command{}
		}
		return spec.CheckCommand(e.Args, e.Env)
	}
	return nil
}

// A source is what a definition was made of.
type source struct {
	job Job // with its defaults
	// declared is what Create or Apply was given last, with its defaults; nil if that is job,
	// as it is for most jobs.
	declared *Job
	around   *Executor // what runs in the place of the executor; nil if it is that itself
}

func sourceOf(d *runner.Definition) *source { return d.Source.(*source) }

// shown is a copy of the job without stand-ins, which users do not see.
func (s *source) shown() Job {
	job := s.job.clone()
	if isUndeclared(job.Executor) {
		job.undeclare()
	}
	return job
}

// engineSpec is what was declared as the engine wants it.
func (s *source) engineSpec(data *spec.Job, holdsPending bool) engine.Spec {
	e := data.Engine()
	constant, fixed := s.job.Backoff.(spec.ConstantBackoff)
	e.Delay, e.FixedDelay, e.CustomDelay = constant.Delay, fixed, s.job.Backoff != nil && !fixed
	e.CustomRestartDelay, e.HoldsPending = s.job.RestartBackoff != nil, holdsPending
	return e
}

func (s *source) declaration() *Job {
	if s.declared == nil {
		return &s.job
	}
	return s.declared
}

// apply returns live with the changes that were made to its declaration since before:
// what was changed by an update stays, as with kubectl apply. Functions are always the
// declared ones.
func (j *Job) apply(live, before *Job) Job {
	merged := live.clone()
	fields.Merge(&merged, j, before)
	return merged.clone()
}

// sameAs reports whether two specs of one job are the same. Functions are not compared.
func (j *Job) sameAs(old *Job) bool {
	a, b := *j, *old
	for _, data := range []*Job{&a, &b} {
		data.Labels, data.Annotations = nil, nil // metadata
		fields.Drop(data)                        // the failure policy is immutable
	}
	return spec.SameBackoff(j.Backoff, old.Backoff) && spec.SameBackoff(j.RestartBackoff, old.RestartBackoff) &&
		reflect.DeepEqual(a, b)
}

// storedDefaults is what a stored job has where nothing is said. It belongs to the format
// of stores: another default of a field does not change it.
func storedDefaults() Job {
	return Job{CompletionMode: NonIndexed, RestartPolicy: RestartNever, ContainerName: "main",
		Completions: new(1), Parallelism: new(1), BackoffLimit: new(6), TerminationGracePeriod: new(30 * time.Second),
		ReplacementPolicy: ReplaceTerminatingOrFailed,
		History:           new(1000), LogLimit: new(64 << 10), CheckpointLimit: new(1 << 20), ResultLimit: new(64 << 10)}
}

// Encode returns what is stored. It calls no user code: whether the executor holds
// Pending was asked before.
func (s *source) Encode(generation int64, pending bool) []byte {
	job, declared, defaults := s.job, *s.declaration(), storedDefaults()
	job.Input, declared.Input = nil, nil // it has a record of its own
	code := spec.Code{HoldsPending: pending,
		Backoff: spec.StoreBackoff(job.Backoff), RestartBackoff: spec.StoreBackoff(job.RestartBackoff)}
	for i, rule := range job.FailurePolicy {
		if rule.OnError != nil {
			code.ErrorRules = append(code.ErrorRules, i)
		}
	}
	return spec.Encode(&job, &declared, &defaults, generation, code)
}

// decode undoes encode. Without functions, stand-ins take their places.
func decode(definition, input []byte, f *functions) (*source, *spec.Stored, error) {
	s := &source{job: storedDefaults()}
	stored, err := spec.Decode(definition, &s.job)
	if err != nil {
		return nil, nil, err
	}
	if input != nil {
		s.job.Input = json.RawMessage(input)
	}
	if f == nil {
		err = s.job.standIn(stored.Code)
	} else {
		s.around = f.around
		fields.SetCode(&s.job, f.code)
	}
	if err == nil {
		s.declared, err = spec.Declared(&stored, &s.job)
	}
	return s, &stored, err
}

// functions are what stays in memory of a job that has finished.
type functions struct {
	code   []any
	around *Executor
}

// functionsOf returns those of a source; nil if there are only stand-ins.
func functionsOf(of any) any {
	s := of.(*source)
	if isUndeclared(s.job.Executor) {
		return nil
	}
	return &functions{fields.Code(&s.job), s.around}
}

// withFunctionsOf is j, which has finished, with the functions of its new declaration.
func (j *Job) withFunctionsOf(declared *Job) Job {
	merged := j.clone()
	fields.Give(&merged, declared)
	merged.Input = j.Input // it does not change, and may be large: one is enough
	if spec.SameFailureRules(failureRules(declared.FailurePolicy), failureRules(j.FailurePolicy)) {
		merged.FailurePolicy = fields.Clone(declared).FailurePolicy
	}
	return merged
}

// An undeclared executor stands in for one that has not been declared yet.
type undeclared struct{ pending bool }

func (undeclared) Execute(context.Context, Attempt) error {
	return errors.New("batch: executor not declared") // it is never called
}

func (u undeclared) HoldsPending() bool { return u.pending }

func isUndeclared(e Executor) bool {
	_, ok := e.(undeclared)
	return ok
}

func undeclaredRule(error) bool { return false }

// standIn gives j, which was stored, stand-ins for its functions.
func (j *Job) standIn(code spec.Code) error {
	j.Executor = undeclared{code.HoldsPending}
	j.Backoff, j.RestartBackoff = code.Backoff.Load(), code.RestartBackoff.Load()
	for _, i := range code.ErrorRules {
		if i < 0 || i >= len(j.FailurePolicy) {
			return fmt.Errorf("no failure rule %d", i)
		}
		j.FailurePolicy[i].OnError = undeclaredRule
	}
	return nil
}

// undeclare takes the stand-ins out, which users do not see.
func (j *Job) undeclare() {
	j.Executor = nil
	for _, b := range []*Backoff{&j.Backoff, &j.RestartBackoff} {
		if spec.IsFunction(*b) {
			*b = nil
		}
	}
	for i := range j.FailurePolicy {
		j.FailurePolicy[i].OnError = nil
	}
}

// redeclare gives j, as it was changed, the stand-ins back that old has.
func (j *Job) redeclare(old *Job) {
	j.Executor = old.Executor
	j.Backoff, j.RestartBackoff = cmp.Or(j.Backoff, old.Backoff), cmp.Or(j.RestartBackoff, old.RestartBackoff)
	for i := range min(len(j.FailurePolicy), len(old.FailurePolicy)) {
		if rule := &j.FailurePolicy[i]; rule.OnError == nil {
			rule.OnError = old.FailurePolicy[i].OnError
		}
	}
}
