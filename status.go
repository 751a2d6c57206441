package batch

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/explain"
	"github.com/runtocompletion/batch/internal/indexset"
	"github.com/runtocompletion/batch/internal/logtail"
	"github.com/runtocompletion/batch/internal/runner"
	"github.com/runtocompletion/batch/internal/seq"
)

// A Status is what is known of a job at one moment. It is a copy: nothing that happens
// later shows in it. Getting one costs the same for a job of any size.
//
// Its JSON encoding is stable. The fields of Kubernetes' JobStatus have Kubernetes' names
// and forms; what Kubernetes does not have is added beside them. Times are RFC 3339,
// durations are nanoseconds, fields that do not apply are left out.
type Status struct {
	// Name is the job's name, and UID tells it from other jobs that had or will have the same
	// name.
	Name string `json:"name"`
	UID  string `json:"uid"`
	// Generation is 1 for a new job and rises with each change of its spec.
	Generation int64 `json:"generation"`
	// Run is 1, and one more each time the job was run again; see [Controller.Again].
	Run int `json:"run,omitzero"`
	// Revision orders everything observed through one controller: a status with a higher
	// revision is newer. [Controller.Watch] continues from it.
	Revision uint64 `json:"revision"`
	// CreatedAt is when the job was created.
	CreatedAt time.Time `json:"createdAt"`
	// DeletedAt is when the job's deletion was asked for; zero if it was not.
	DeletedAt time.Time `json:"deletedAt,omitzero"`

	// Parallelism, Completions, Suspend and ManagedBy repeat the job's spec, resolved.
	// Completions is nil for a work queue. ManagedBy is empty unless it names another
	// controller.
	Parallelism int    `json:"parallelism"`
	Completions *int   `json:"completions,omitempty"`
	Suspend     bool   `json:"suspend,omitempty"`
	ManagedBy   string `json:"managedBy,omitempty"`
	// Halted is set when the controller was shut down before the job's end.
	Halted bool `json:"halted,omitempty"`

	// Active is the number of attempts that have neither ended nor been asked to stop;
	// Pending and Ready are how many of them have not started, and how many are ready;
	// Terminating is the number that were asked to stop and have not ended.
	Active      int `json:"active"`
	Pending     int `json:"pending,omitempty"`
	Ready       int `json:"ready"`
	Terminating int `json:"terminating"`
	// Abandoned is how many of the terminating attempts have outlived their grace period.
	Abandoned int `json:"abandoned,omitempty"`
	// Succeeded is the number of counted successes: for an Indexed job, the size of
	// CompletedIndexes. Failed is the number of attempts that were counted as failed; it
	// never decreases.
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`

	// CompletedIndexes are the indexes that have succeeded. It is empty unless the job is
	// Indexed.
	CompletedIndexes IndexSet `json:"completedIndexes,omitzero"`
	// FailedIndexes are the indexes that were given up. It is nil unless the job has a
	// per-index back-off limit, or some were cancelled.
	FailedIndexes *IndexSet `json:"failedIndexes,omitempty"`

	// StartTime is when the job began to run, or was last resumed; zero while it has not, or
	// is suspended.
	StartTime time.Time `json:"startTime,omitzero"`
	// CompletionTime is when the job became Complete; zero for any other job, also for a
	// failed one.
	CompletionTime time.Time `json:"completionTime,omitzero"`

	// Conditions are in the order in which they were first added.
	Conditions []Condition `json:"conditions,omitempty"`

	// NextRetry is when the next attempt may start that a retry delay holds back, or the next
	// restart in place; zero if there is none.
	NextRetry time.Time `json:"nextRetry,omitzero"`
	// LastFailure describes the latest failed attempt; nil if none failed.
	LastFailure *AttemptError `json:"lastFailure,omitempty"`
	// WaitsFor says what attempts that have not started wait for, such as slots of
	// [Options.MaxActive] or a [Limit] and who has them, or which jobs of [Job.After] are not
	// complete; empty if nothing holds them back.
	WaitsFor string `json:"waitsFor,omitempty"`
	// Progress is how far the job has come.
	Progress Progress `json:"progress"`
}

// Progress says how far a job has come, in completions, or an attempt, in units of its
// own.
type Progress struct {
	// Done of Total are done. Total is 0 if it is not known, as for a work queue.
	Done  int64 `json:"done"`
	Total int64 `json:"total,omitempty"`
	// Phase is what an attempt says it does, such as "verifying".
	Phase string `json:"phase,omitempty"`
	// ETA is when a job will be done if the rate stays what it was since its start; zero if
	// that cannot be said.
	ETA time.Time `json:"eta,omitzero"`
}

// A Condition is one fact about a job or an attempt, with Kubernetes' types, reasons and
// messages, letter by letter.
type Condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"` // "True", "False" or "Unknown"
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// LastTransitionTime is when Status last changed.
	LastTransitionTime time.Time `json:"lastTransitionTime"`
}

// The conditions of a job, and those of an attempt that the controller sets.
const (
	ConditionSuspended          = "Suspended"
	ConditionFailureTarget      = "FailureTarget"      // it will fail; attempts are still stopping
	ConditionSuccessCriteriaMet = "SuccessCriteriaMet" // it will complete; attempts are still stopping
	ConditionFailed             = "Failed"             // final
	ConditionComplete           = "Complete"           // final
	// ConditionRunAgain: the job has run before. The reason and the message say how that run
	// has ended; see [Controller.Again].
	ConditionRunAgain = "RunAgain"
	// ConditionStalled: the job waits for something outside of it, its executor or the
	// [Store]. It is not stored.
	ConditionStalled = "Stalled"

	ConditionReady            = "Ready"            // of an attempt: it can do its work
	ConditionDisruptionTarget = "DisruptionTarget" // of an attempt: it ends for no fault of its own
)

// A condition holds, or its status is "False" or "Unknown".
const conditionTrue = "True"

// The reasons of a job's conditions. Suspended has "JobSuspended", and "JobResumed" once
// its status is "False".
const (
	ReasonCompletionsReached       = "CompletionsReached"
	ReasonSuccessPolicy            = "SuccessPolicy"
	ReasonPodFailurePolicy         = "PodFailurePolicy"
	ReasonBackoffLimitExceeded     = "BackoffLimitExceeded"
	ReasonDeadlineExceeded         = "DeadlineExceeded"
	ReasonMaxFailedIndexesExceeded = "MaxFailedIndexesExceeded"
	ReasonFailedIndexes            = "FailedIndexes"
	ReasonDependencyFailed         = "DependencyFailed" // see [Job.After]
	// ReasonProcessExitLimitExceeded: the process ended under the job more often in a row
	// than failures are allowed; see [Store].
	ReasonProcessExitLimitExceeded = "ProcessExitLimitExceeded"
	// ReasonCancelled: somebody has called [Controller.Cancel].
	ReasonCancelled = "Cancelled"
	// ReasonProgressDeadlineExceeded is that of an attempt; see [Job.ProgressDeadline].
	ReasonProgressDeadlineExceeded = "ProgressDeadlineExceeded"
	ReasonExecutorNotDeclared      = "ExecutorNotDeclared" // of Stalled: see [Controller.Apply]
	ReasonStoreFailed              = "StoreFailed"         // of Stalled: see [Store]

	// ReasonTerminationByProcessExit is one of [ConditionDisruptionTarget]: the process in
	// which the attempt ran has ended without a shutdown; see [Store]. Those of
	// [Controller.Disrupt] are the others.
	ReasonTerminationByProcessExit = "TerminationByProcessExit"
)

// Condition returns the condition of type t, if the job has it.
func (s Status) Condition(t string) (Condition, bool) {
	for _, c := range s.Conditions {
		if c.Type == t {
			return c, true
		}
	}
	return Condition{}, false
}

// Is reports whether the job has condition t with status True.
func (s Status) Is(t string) bool {
	c, ok := s.Condition(t)
	return ok && c.Status == conditionTrue
}

// Finished reports whether the job is Complete or Failed. Nothing but its removal happens
// to a finished job.
func (s Status) Finished() bool {
	return s.Is(ConditionComplete) || s.Is(ConditionFailed)
}

// State is the job's state in one word, as kubectl shows it: Complete, Failed,
// Terminating, Suspended, FailureTarget, SuccessCriteriaMet or Running.
func (s Status) State() string {
	switch {
	case s.Is(ConditionComplete):
		return ConditionComplete
	case s.Is(ConditionFailed):
		return ConditionFailed
	case !s.DeletedAt.IsZero():
		return "Terminating"
	case s.Is(ConditionSuspended):
		return ConditionSuspended
	case s.Is(ConditionFailureTarget):
		return ConditionFailureTarget
	case s.Is(ConditionSuccessCriteriaMet):
		return ConditionSuccessCriteriaMet
	}
	return "Running"
}

// Explain says in one sentence why the job waits, what it does, or why it ended. Times
// are of the local clock, without the date. The wording may change: programs should
// decide by conditions.
func (s Status) Explain() string { return s.texts().Explain() }

// String gives the status in one line, such as "thumbnails: Running, 3/600 succeeded, 1
// failed, 8 active".
func (s Status) String() string { return s.texts().String() }

// texts has what the texts are made of.
func (s Status) texts() *explain.Job {
	j := &explain.Job{Exists: s.Name != "" || s.UID != "", Name: s.Name, State: s.State(),
		Parallelism: s.Parallelism, Completions: s.Completions, Suspend: s.Suspend, ManagedBy: s.ManagedBy,
		Halted: s.Halted, Deleted: !s.DeletedAt.IsZero(), Active: s.Active, Pending: s.Pending,
		Terminating: s.Terminating, Abandoned: s.Abandoned, Succeeded: s.Succeeded, Failed: s.Failed,
		Started: !s.StartTime.IsZero(), NextRetry: s.NextRetry, WaitsFor: s.WaitsFor,
		Conditions: seq.Slice(s.Conditions, func(c Condition) explain.Condition { return explain.Condition(c) })}
	if f := s.LastFailure; f != nil {
		j.LastFailure = &explain.Failure{Index: f.Index, Failures: f.Failures, ExitCode: f.ExitCode, Message: f.Message}
	}
	return j
}

// The phases of an attempt.
const (
	AttemptPending   = "Pending"   // created, but its executor has not started
	AttemptRunning   = "Running"   // started, or waiting for a restart in place
	AttemptSucceeded = "Succeeded" // final
	AttemptFailed    = "Failed"    // final
)

// An AttemptStatus is what is known of one attempt. It is a copy.
type AttemptStatus struct {
	// Name is unique among the job's attempts, and UID among all.
	Name string `json:"name"`
	UID  string `json:"uid"`
	// JobUID is the UID of the attempt's job: attempts of a deleted job may still be stopping
	// when a new job has its name.
	JobUID string `json:"jobUID"`
	// Ordinal is the attempt's place in the order of creation, from 0.
	Ordinal int `json:"ordinal"`
	// JobRun is the run of the job that the attempt was of; see [Status.Run].
	JobRun int `json:"jobRun,omitzero"`
	// Index is the completion index, or -1 if the job is not Indexed.
	Index int `json:"index"`
	// Number counts the attempts of the same index from 0; in a job that is not Indexed it
	// equals Ordinal.
	Number int `json:"number"`

	Phase string `json:"phase"`
	// Reason and Message say more about the phase, such as [ReasonDeadlineExceeded] for an
	// attempt that ran into its timeout.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// ExitCode is nil while there is none; see [ExitCode].
	ExitCode *int `json:"exitCode,omitempty"`
	// Err is the error the executor returned. It is not encoded; its text is in Message.
	Err error `json:"-"`
	// Restarts is how often the attempt was restarted in place.
	Restarts int `json:"restarts"`
	// Runs are the latest 20 runs of an attempt that was restarted in place, or waits for
	// that, in order; nil for another.
	Runs []AttemptRun `json:"runs,omitempty"`
	// Failures and IgnoredFailures are how often the same index had failed, counted and
	// ignored, when the attempt was created. Both are 0 unless the job has a per-index
	// back-off limit.
	Failures        int `json:"failures"`
	IgnoredFailures int `json:"ignoredFailures,omitempty"`

	CreatedAt  time.Time `json:"createdAt"`
	StartedAt  time.Time `json:"startedAt,omitzero"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	// RestartAt is when the executor runs again, while it waits for that.
	RestartAt time.Time `json:"restartAt,omitzero"`
	// DeletedAt is when the attempt was first asked to stop; zero if it was not.
	DeletedAt time.Time `json:"deletedAt,omitzero"`
	// DeletedBy is who asked: "job-controller" if the job ended, was suspended or scaled
	// down, "gc" if it was deleted, "user" for [Controller.DeleteAttempt], "eviction" or
	// "podgc" for [Controller.Disrupt], "timeout" for [Job.AttemptTimeout] and the grace
	// period after it.
	DeletedBy string `json:"deletedBy,omitempty"`
	// Abandoned is set once the grace period has passed without an answer.
	Abandoned bool `json:"abandoned,omitempty"`
	// Ready is whether the attempt says it can do its work.
	Ready bool `json:"ready"`
	// Conditions are those set by a disruption or by the executor.
	Conditions []Condition `json:"conditions,omitempty"`

	// Output is the termination message that the executor left.
	Output string `json:"output,omitempty"`
	// Progress is what the executor last reported. It is not stored.
	Progress Progress `json:"progress,omitzero"`
}

// AttemptRun is one run of the executor within an attempt.
type AttemptRun struct {
	StartedAt  time.Time `json:"startedAt"`
	FinishedAt time.Time `json:"finishedAt,omitzero"` // zero while it runs
	// ExitCode is nil while there is none; see [ExitCode].
	ExitCode *int `json:"exitCode,omitempty"`
}

// A LogLine is one line an attempt has written.
type LogLine struct {
	Time   time.Time
	Stream string // "stdout" or "stderr"
	Text   string // without the line's end
	// Cut is whether the line was too long, and continues in the next LogLine of the same
	// stream. A line is cut after 16 KiB, or less if the log has no room.
	Cut bool
	// Dropped is how many lines just before this one are no longer kept.
	Dropped int
}

// A Change is one step of [Controller.Watch].
type Change struct {
	Status  Status
	Added   bool // the job is new since the revision that the watcher knew
	Deleted bool // it is gone, and the status is its last
}

// An Event is one thing that happened to a job, with Kubernetes' texts.
type Event struct {
	Type string `json:"type"` // "Normal" or "Warning"
	// Reason is that of the condition of a job that failed, and otherwise "SuccessfulCreate",
	// "SuccessfulDelete", "Suspended", "Resumed", "Completed" or "TooManySucceededPods".
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	At      time.Time `json:"at"` // when it happened, or last happened
}

// A JobError reports a job that has failed. [Controller.Wait], [Run] and [Map] return it,
// Map also if its context has ended before its job, and [Controller.Again] if there is
// nothing to run again yet. errors.Is and errors.As look through it into Err and into the
// errors of the failed attempts' executors.
type JobError struct {
	Status Status // the last one
	// Reason is why the job failed, such as [ReasonBackoffLimitExceeded], and Message that of
	// the condition. They are empty if the job had not finished.
	Reason, Message string
	// Err is the cause of [Controller.Cancel], nil if the job has failed otherwise, and why
	// the job of a Map, or of Again, had not finished.
	Err error
	// Attempts are the errors of the failed attempts that are still kept, oldest first,
	// without those that did no more than stop when the job failed. [Job.History] says how
	// many are kept; the last one of the job, and of each index that has failed and not
	// succeeded, always is. If the job had not finished, it is the latest one alone.
	Attempts []*AttemptError
	// Omitted is how many more attempts have failed and are not kept.
	Omitted int

	failed IndexSet // those of Indexes
}

// Indexes returns an iterator over the indexes that have failed and not succeeded, each
// with the error of its last attempt. There are none unless the job is Indexed.
func (e *JobError) Indexes() iter.Seq2[int, *AttemptError] {
	return func(yield func(int, *AttemptError) bool) {
		last := make(map[int]*AttemptError)
		for _, a := range e.Attempts {
			last[a.Index] = a
		}
		for i := range e.failed.All() {
			a := last[i]
			if a == nil { // it was lost
				a = &AttemptError{Index: i, ExitCode: -1, Err: runner.ErrDisrupted}
			}
			if !yield(i, a) {
				return
			}
		}
	}
}

// Error names the job, the reason and the last failed attempt's error.
func (e *JobError) Error() string {
	text := "batch: job " + strconv.Quote(e.Status.Name)
	if e.Reason == "" {
		text += fmt.Sprintf(" has not finished: %v", e.Err)
	} else {
		text += " failed: " + e.Reason + ": " + e.Message
	}
	if a := e.last(); a != nil {
		text += "; last: " + a.Error()
	}
	if e.Omitted > 0 {
		text += fmt.Sprintf(" (%d more attempts have failed)", e.Omitted)
	}
	return text
}

// last is the attempt that has failed last, or the index that was cancelled last; nil if
// there is none. Attempts are in the order of their creation.
func (e *JobError) last() (last *AttemptError) {
	for _, a := range e.Attempts {
		if last == nil || !a.At.Before(last.At) {
			last = a
		}
	}
	return last
}

// Unwrap returns Err and the failed attempts' errors.
func (e *JobError) Unwrap() []error {
	var errs []error
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	for _, a := range e.Attempts {
		errs = append(errs, a)
	}
	return errs
}

// An AttemptError is the error of one failed attempt.
type AttemptError struct {
	Attempt  string    `json:"attempt"`            // its name; empty for an index that was cancelled
	Index    int       `json:"index"`              // its completion index; -1 if the job is not Indexed
	Failures int       `json:"failures,omitempty"` // in a row of that index, or job; 0: a [Snooze], or not known
	ExitCode int       `json:"exitCode"`           // see [ExitCode]; -1 if it has none, as for a lost attempt
	At       time.Time `json:"at,omitzero"`        // when it ended
	// Err is what the executor returned; [ErrDisrupted] if it was lost and returned nothing.
	// In [Status].LastFailure it is nil, and Message is its text, shortened.
	Err     error  `json:"-"`
	Message string `json:"message,omitempty"`
	// Log are the last lines that the attempt printed, at most ten.
	Log []LogLine `json:"-"`
}

// Error names the attempt, or its index, and gives its error.
func (e *AttemptError) Error() string {
	text := e.Message
	if e.Err != nil {
		text = textOf(e.Err)
	}
	if e.Attempt == "" {
		return fmt.Sprintf("index %d: %s", e.Index, text)
	}
	return fmt.Sprintf("attempt %s: exit code %d: %s", e.Attempt, e.ExitCode, text)
}

// Unwrap returns the executor's error.
func (e *AttemptError) Unwrap() error { return e.Err }

// An AbandonedError says what has not returned when a controller was shut down.
type AbandonedError struct {
	Attempts []string // whose executors have not, by name, sorted
	Calls    int      // of other functions, such as back-offs and log handlers, and removals of directories
}

// Error lists the first attempts.
func (e *AbandonedError) Error() string {
	const most = 5
	text := strings.Join(e.Attempts[:min(most, len(e.Attempts))], ", ")
	if more := len(e.Attempts) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if len(e.Attempts) == 0 {
		return fmt.Sprintf("batch: other functions, or removals of directories, that have not returned: %d", e.Calls)
	}
	return "batch: executors that have not returned: " + text
}

// An IndexSet is a set of completion indexes. The zero value is empty. It is immutable,
// and safe for use by several goroutines at once.
type IndexSet struct{ set indexset.Set }

// ParseIndexSet reads the text format of an index set: "0,2-4,9", ascending, without
// spaces. The empty text is the empty set.
func ParseIndexSet(text string) (IndexSet, error) {
	set, err := indexset.Parse(text, -1)
	if err != nil {
		return IndexSet{}, fmt.Errorf("batch: index set %q: %w", text, err)
	}
	return IndexSet{set}, nil
}

// Len returns the number of indexes in the set. It costs the same for any set.
func (s IndexSet) Len() int { return s.set.Len() }

// Contains reports whether index i is in the set.
func (s IndexSet) Contains(i int) bool { return s.set.Contains(i) }

// All returns an iterator over the indexes in ascending order.
func (s IndexSet) All() iter.Seq[int] { return s.set.All() }

// Intervals returns an iterator over the runs of consecutive indexes, first and last.
func (s IndexSet) Intervals() iter.Seq2[int, int] { return s.set.Intervals() }

// String gives the text format: runs of three or more are "2-4".
func (s IndexSet) String() string { return s.set.String() }

// MarshalText gives the text format.
func (s IndexSet) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the text format; see [ParseIndexSet].
func (s *IndexSet) UnmarshalText(text []byte) error {
	parsed, err := ParseIndexSet(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

func statusNow(j *runner.Job) Status { return statusOf(j.View(), j.Now()) }

// statusOf is a view with the public types.
func statusOf(v runner.View, now time.Time) Status {
	s := Status{
		Name: v.Name, UID: v.UID, Generation: v.Generation, Run: v.Run, Revision: v.Revision,
		CreatedAt: v.CreatedAt, DeletedAt: v.DeletedAt,
		Parallelism: v.Parallelism, Suspend: v.Suspend, ManagedBy: v.ManagedBy, Halted: v.Halted,
		Active: v.Active, Pending: v.Pending, Ready: v.Ready, Terminating: v.Terminating, Abandoned: v.Abandoned,
		Succeeded: v.Succeeded, Failed: v.Failed,
		StartTime: v.StartTime, Conditions: seq.Slice(v.Conditions, conditionOf), NextRetry: v.NextRetry,
		LastFailure: failureOf(v.LastFailure), WaitsFor: cmp.Or(v.Awaits, v.WaitsFor),
	}
	if v.Completions != engine.None {
		s.Completions = new(v.Completions)
	}
	if v.Completed.Len() > 0 { // an empty one is left out of JSON
		s.CompletedIndexes = IndexSet{v.Completed}
	}
	if v.FailsIndexes {
		s.FailedIndexes = &IndexSet{v.GivenUp}
	}
	if s.Is(ConditionComplete) {
		s.CompletionTime = v.FinishedAt
	}
	if v.Stall != nil {
		s.Conditions = append(s.Conditions, stalled(v.Stall))
	}
	s.Progress = s.progress(now)
	return s
}

func stalled(s *runner.Stall) Condition {
	c := Condition{Type: ConditionStalled, Status: conditionTrue, LastTransitionTime: s.Since}
	if s.Undeclared {
		c.Reason, c.Message = ReasonExecutorNotDeclared, "no executor has been declared with Apply"
	} else {
		c.Reason, c.Message = ReasonStoreFailed, s.Err.Error()
	}
	return c
}

func (s *Status) progress(now time.Time) Progress {
	p := Progress{Done: int64(s.Succeeded)}
	if s.Completions == nil {
		return p
	}
	p.Total = int64(*s.Completions)
	if !s.Finished() {
		p.ETA = explain.ETA(p.Done, p.Total, s.StartTime, now)
	}
	return p
}

func failureOf(f *runner.FailedAttempt) *AttemptError {
	if f == nil {
		return nil
	}
	return &AttemptError{Attempt: f.Name, Index: f.Index, Failures: f.Failures, ExitCode: f.ExitCode,
		Err: runner.Overdue(f.Overdue, f.Err), Message: f.Text, At: f.At, Log: seq.Slice(f.Log, logLine)}
}

func conditionOf(c runner.Condition) Condition {
	return Condition{c.Type, c.Status, c.Reason, c.Message, c.At}
}

var (
	attemptPhases = [...]string{AttemptPending, AttemptRunning, AttemptSucceeded, AttemptFailed}
	deleters      = [...]string{"", "job-controller", "user", "eviction", "podgc", "gc", "timeout"}
)

// attemptOf is a view of an attempt with the public types.
func attemptOf(v runner.AttemptView) AttemptStatus {
	runs := seq.Slice(v.Runs, func(r runner.Run) AttemptRun { return AttemptRun(r) })
	return AttemptStatus{
		Name: v.Name, UID: v.UID, JobUID: v.JobUID, Ordinal: int(v.Seq), JobRun: v.JobRun, Index: v.Index, Number: v.Number,
		Phase: attemptPhases[v.Phase], Reason: v.Reason, Message: v.Text, ExitCode: v.ExitCode, Err: v.Err,
		Restarts: v.Restarts, Runs: runs, Failures: v.Failures, IgnoredFailures: v.Ignored,
		CreatedAt: v.CreatedAt, StartedAt: v.StartedAt, FinishedAt: v.FinishedAt, RestartAt: v.RestartAt,
		DeletedAt: v.DeletedAt, DeletedBy: deleters[v.DeletedBy], Abandoned: v.Abandoned, Ready: v.Ready,
		Conditions: seq.Slice(v.Conditions, conditionOf), Output: v.Output, Progress: Progress{
			Done: v.Progress.Done, Total: v.Progress.Total, Phase: v.Progress.Phase,
		},
	}
}

// attemptView undoes attemptOf.
func attemptView(a AttemptStatus) runner.AttemptView {
	runs := seq.Slice(a.Runs, func(r AttemptRun) runner.Run { return runner.Run(r) })
	return runner.AttemptView{
		Name: a.Name, UID: a.UID, JobUID: a.JobUID, JobRun: a.JobRun, Index: a.Index, Number: a.Number,
		Phase: engine.Phase(max(0, slices.Index(attemptPhases[:], a.Phase))), Reason: a.Reason, Text: a.Message,
		ExitCode: a.ExitCode, Err: a.Err, Restarts: a.Restarts, Runs: runs, Failures: a.Failures,
		Ignored: a.IgnoredFailures, CreatedAt: a.CreatedAt, StartedAt: a.StartedAt, FinishedAt: a.FinishedAt,
		RestartAt: a.RestartAt, DeletedAt: a.DeletedAt,
		DeletedBy: engine.Deleter(max(0, slices.Index(deleters[:], a.DeletedBy))),
		Abandoned: a.Abandoned, Ready: a.Ready,
		Conditions: seq.Slice(a.Conditions, Condition.view), Output: a.Output,
		Progress: runner.Progress{Done: a.Progress.Done, Total: a.Progress.Total, Phase: a.Progress.Phase},
	}
}

// view undoes conditionOf.
func (c Condition) view() runner.Condition {
	return runner.Condition{Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message, At: c.LastTransitionTime}
}

// reportedStatus is what of a status the manager of a job decides.
func reportedStatus(s *Status) *runner.ReportedStatus {
	if s == nil {
		return nil
	}
	r := &runner.ReportedStatus{StartTime: s.StartTime, CompletionTime: s.CompletionTime,
		Conditions: seq.Slice(s.Conditions, Condition.view), Active: s.Active, Pending: s.Pending, Ready: s.Ready,
		Terminating: s.Terminating, Succeeded: s.Succeeded, Failed: s.Failed, Completed: s.CompletedIndexes.set}
	if s.FailedIndexes != nil {
		r.GivenUp = &s.FailedIndexes.set
	}
	return r
}

// eventOf is an event with the public types.
func eventOf(e runner.Event) Event {
	event := Event{Type: "Normal", Reason: e.Reason, Message: e.Message, At: e.At}
	if e.Warning {
		event.Type = "Warning"
	}
	return event
}

// view undoes eventOf.
func (e Event) view() runner.Event {
	return runner.Event{Warning: e.Type == "Warning", Reason: e.Reason, Message: e.Message, At: e.At}
}

// failed is the error of a job that has failed.
func failed(s Status, f *runner.Failure) *JobError {
	e := &JobError{Status: s, Reason: f.Reason, Message: f.Message, Err: f.Cause, Omitted: f.Omitted}
	for _, index := range f.Indexes {
		e.failed.set.Add(index)
	}
	e.Attempts = seq.Slice(f.Attempts, func(a runner.FailedAttempt) *AttemptError { return failureOf(&a) })
	return e
}

// An unfinishedError is the error of a wait that has ended before its job. It says what
// the job failed with last.
type unfinishedError struct{ JobError }

func unfinished(s Status, err error, last *runner.FailedAttempt) error {
	e := &unfinishedError{JobError{Status: s, Err: err}}
	if s.FailedIndexes != nil {
		e.failed = *s.FailedIndexes
	}
	if last != nil {
		e.Attempts = []*AttemptError{failureOf(last)}
	}
	return e
}

// tail undoes logLine.
func (l LogLine) tail() logtail.Line {
	line := logtail.Line{Time: l.Time, Text: l.Text, Cut: l.Cut}
	if l.Stream == logtail.Stderr.String() {
		line.Stream = logtail.Stderr
	}
	return line
}

func logLine(l logtail.Line) LogLine {
	return LogLine{Time: l.Time, Stream: l.Stream.String(), Text: l.Text, Cut: l.Cut, Dropped: l.Dropped}
}
