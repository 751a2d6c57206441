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
//     attempt that has not ended when the job fails. A rule with [Ignore]
//     exempts what it matches.
//   - Not counted: attempts stopped by suspension, scaling down, a success
//     policy, deletion of the job or [Controller.Shutdown]; and restarts in
//     place.
//   - Failure comes first. If one outcome both completes and fails a job, the
//     job fails. A job is complete or failed only when all of its attempts have
//     stopped; until then it has the condition [ConditionSuccessCriteriaMet] or
//     [ConditionFailureTarget]. A finished job never changes its outcome.
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
// # Errors
//
// All errors are found by errors.Is and errors.As, however they are wrapped.
// The errors of functions and of methods of a [Controller]:
//
//   - [ValidationError]: a job, or a change of it, is invalid; it has a
//     [FieldError] with path, kind and value for each mistake
//   - [ErrExists], [ErrNotFound]: there is a job of that name already; there is
//     no such job or attempt
//   - [JobError]: the job failed; it has the reason, the message, and an
//     [AttemptError] for each failed attempt that is kept
//   - [UnfinishedError]: waiting ended before the job did, and an attempt had
//     failed; it has both errors
//   - [MapError]: not all items of a [Map] succeeded; it says which did
//   - [ErrJobDeleted]: the job was deleted before it finished
//   - [ErrFinished]: the attempt has ended already
//   - [ErrTooOld]: a watch cannot continue from that revision; list the jobs
//     and watch from there
//   - [ErrShutdown]: the controller is shut down
//   - [AbandonedError]: these attempts did not return before the end of a
//     shutdown
//   - [StoreError]: the store failed; it is unknown whether the change is stored
//   - [FormatError]: the store was written by another version or program
//   - [CheckpointSizeError]: a checkpoint is larger than [Job.CheckpointLimit]
//   - [CheckpointError]: the checkpoint of an [Iteration] cannot be read; it is
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
//   - [ErrAttemptTimeout]: [Job.AttemptTimeout] has passed
//   - [ErrShutdown]: the controller was shut down
//   - [ErrAttemptEnded]: the executor has returned; it is also the error of an
//     [Attempt] that is used after that
//   - [PanicError]: the executor panicked, or, with the value [ErrGoexit],
//     called [runtime.Goexit]
//
// An executor that returns an error wrapped by [Permanent] is not retried, and
// [RetryAfter] sets the delay of the next try. An error with a method
// ExitCode() int has that exit code; any other error has 1.
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
//	spec.podFailurePolicy               Job.FailurePolicy
//	  rules                             FailurePolicy.Rules
//	    action                          FailureRule.Action
//	    onExitCodes                     FailureRule.OnExitCodes
//	      containerName                 ExitCodes.ContainerName
//	      operator                      ExitCodes.Operator
//	      values                        ExitCodes.Values
//	    onPodConditions                 FailureRule.OnConditions
//	      type                          ConditionPattern.Type
//	      status                        ConditionPattern.Status
//	    -                               FailureRule.OnError
//	spec.podReplacementPolicy           Job.ReplacementPolicy
//	spec.successPolicy                  Job.SuccessPolicy
//	  rules                             SuccessPolicy.Rules
//	    succeededIndexes                SuccessRule.SucceededIndexes
//	    succeededCount                  SuccessRule.SucceededCount
//	spec.suspend                        Job.Suspend
//	spec.ttlSecondsAfterFinished        Job.TTLAfterFinished
//	spec.template                       Job.Executor
//	  spec.activeDeadlineSeconds        Job.AttemptTimeout
//	  spec.containers[0].name           Job.ContainerName
//	  spec.restartPolicy                Job.RestartPolicy
//	  spec.terminationGracePeriodSeconds Job.TerminationGracePeriod
//	-                                   Job.Backoff
//	-                                   Job.RestartBackoff
//	-                                   Job.History
//	-                                   Job.LogLimit
//	-                                   Job.CheckpointLimit
//	spec.manualSelector                 -
//	spec.scheduling                     -
//	spec.selector                       -
//
// While a job runs, [Controller.Update] may change Parallelism, BackoffLimit,
// MaxFailedIndexes, ActiveDeadline, TTLAfterFinished, Suspend and
// ReplacementPolicy; Completions of an Indexed job together with Parallelism;
// and Labels, Annotations, the back-offs, History, LogLimit and
// CheckpointLimit.
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
