// Package cluster hands jobs of a [batch.Controller] to a Kubernetes cluster, when one
// machine is no longer enough. One field does it:
//
//	job.ManagedBy = new(cluster.Manager)
//
// Such a job becomes a Job of the cluster, and its attempts are pods that run the
// service's own program: [Main], which comes first in main, runs the attempt that the pod
// is. [Run] submits Jobs and reports status, conditions, attempts, events, logs, progress,
// output and results to the controller, where all of them are seen as if the job had run
// there. Without the field the job runs here, with the same functions; [ManagerInCluster]
// says whether there is a cluster.
//
// # Nothing is lost
//
// The Job has the job's name, and the hash of its spec. A service that stops leaves its
// Jobs alone; the next one, also of a new build, finds them by their names and reports
// what has happened meanwhile. A Job of that name with another hash is an error. Pods
// have a finalizer until what they have left is durable at the controller. A job that is
// deleted while no service runs is deleted in the cluster later, if the controller has a
// store. While the API server cannot be reached, jobs are [batch.ConditionStalled].
//
// # What cannot cross
//
// These are refused when the job is created, by the name of the field:
//
//	spec.executor                      a function without a name; see Functions.Executor
//	spec.podFailurePolicy.rules[].onError  a predicate without a name; see Functions.Predicate
//	spec.backoff                       a back-off of one's own
//	spec.restartBackoff                a restart back-off
//	spec.template.spec.restartPolicy   restarts in place
//	spec.limits, spec.limitKey         limits, and keys of limits
//	spec.after                         jobs that come before
//	spec.priority                      a priority
//	spec.managedBy                     with Options.MaxActive
//	spec.completions                   more than 100,000 indexes
//	spec.input                         more than 64 KiB of input
//	spec.podFailurePolicy.rules        more than 14 rules
//	onExitCodes.values                 a reserved exit code, 200 to 223
//	activeDeadlineSeconds and others   parts of a second
//
// [batch.Controller.DeleteAttempt], Disrupt, Stack and Again, and Cancel of single
// indexes, answer with an error for such jobs.
//
// # What differs
//
//   - A pod is replaced when it has ended: [batch.Job].ReplacementPolicy is
//     ReplaceFailed, which Kubernetes wants with a failure policy.
//   - Output, result and error of an attempt share the 4 KiB of a termination message.
//     What does not fit is refused, and fails the job or, with a limit per index, the
//     index. Functions.Results takes larger results.
//   - Without BackoffLimitPerIndex a pod does not know how many came before it:
//     Attempt.Number is 0. The last part of Attempt.Token is always the pod's UID.
//   - The context of an attempt ends with [batch.ErrDeleted], whatever its pod is deleted
//     for, and does not know the deadline of the job.
//   - The delay of [batch.RetryAfter] and [batch.Snooze] is that of Kubernetes.
//   - The log of an attempt has both streams as stdout. Logs of attempts that had
//     succeeded before Run began are not read.
//   - Checkpoints need Options.Checkpoints and [PodRights], and together are at most 1 MiB.
package cluster
