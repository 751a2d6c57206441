package batch

import (
	"cmp"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/indexset"
	"github.com/runtocompletion/batch/internal/runner"
)

// A Status is what is known of a job at one moment. It is a copy: nothing that
// happens later shows in it. Getting one costs the same for a job of any size.
//
// Its JSON encoding is stable. The fields of Kubernetes' JobStatus have
// Kubernetes' names and forms; what Kubernetes does not have is added beside
// them. Times are RFC 3339, durations are nanoseconds, fields that do not
// apply are left out.
type Status struct {
	// Name is the job's name, and UID tells it from other jobs that had or
	// will have the same name.
	Name string `json:"name"`
	UID  string `json:"uid"`
	// Generation is 1 for a new job and rises with each change of its spec.
	Generation int64 `json:"generation"`
	// Run is 1, and one more each time the job was run again; see [Controller.Again].
	Run int `json:"run,omitzero"`
	// Revision orders everything observed through one controller: a status
	// with a higher revision is newer. [Controller.Watch] continues from it.
	Revision uint64 `json:"revision"`
	// CreatedAt is when the job was created.
	CreatedAt time.Time `json:"createdAt"`
	// DeletedAt is when the job's deletion was asked for; zero if it was not.
	DeletedAt time.Time `json:"deletedAt,omitzero"`

	// Parallelism, Completions, Suspend and ManagedBy repeat the job's spec,
	// resolved. Completions is nil for a work queue. ManagedBy is empty unless
	// it names another controller.
	Parallelism int    `json:"parallelism"`
	Completions *int   `json:"completions,omitempty"`
	Suspend     bool   `json:"suspend,omitempty"`
	ManagedBy   string `json:"managedBy,omitempty"`
	// Halted is set when the controller was shut down before the job's end.
	Halted bool `json:"halted,omitempty"`

	// Active is the number of attempts that have neither ended nor been asked
	// to stop; Pending and Ready are how many of them have not started, and how
	// many are ready; Terminating is the number that were asked to stop and
	// have not ended.
	Active      int `json:"active"`
	Pending     int `json:"pending,omitempty"`
	Ready       int `json:"ready"`
	Terminating int `json:"terminating"`
	// Abandoned is how many of the terminating attempts have outlived their
	// grace period.
	Abandoned int `json:"abandoned,omitempty"`
	// Succeeded is the number of counted successes: for an Indexed job, the
	// size of CompletedIndexes. Failed is the number of attempts that were
	// counted as failed; it never decreases.
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`

	// CompletedIndexes are the indexes that have succeeded. It is empty unless
	// the job is Indexed.
	CompletedIndexes IndexSet `json:"completedIndexes,omitzero"`
	// FailedIndexes are the indexes that were given up. It is nil unless the
	// job has a per-index back-off limit, or some were cancelled.
	FailedIndexes *IndexSet `json:"failedIndexes,omitempty"`

	// StartTime is when the job began to run, or was last resumed; zero while
	// it has not, or is suspended.
	StartTime time.Time `json:"startTime,omitzero"`
	// CompletionTime is when the job became Complete; zero for any other job,
	// also for a failed one.
	CompletionTime time.Time `json:"completionTime,omitzero"`

	// Conditions are in the order in which they were first added.
	Conditions []Condition `json:"conditions,omitempty"`

	// NextRetry is when the next attempt may start that a retry delay holds
	// back, or the next restart in place; zero if there is none.
	NextRetry time.Time `json:"nextRetry,omitzero"`
	// LastFailure describes the latest failed attempt; nil if none failed.
	LastFailure *AttemptError `json:"lastFailure,omitempty"`
	// WaitsFor says what attempts that have not started wait for, such as slots of
	// [Options.MaxActive] or a [Limit] and who has them, or which jobs of [Job.After]
	// are not complete; empty if nothing holds them back.
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
	// ETA is when a job will be done if it goes on at the rate it had since
	// its start; zero if that cannot be said.
	ETA time.Time `json:"eta,omitzero"`
}

// A Condition is one fact about a job or an attempt, with Kubernetes' types,
// reasons and messages, letter by letter.
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
	// ConditionRunAgain: the job has run before. The reason and the message say how that
	// run has ended; see [Controller.Again].
	ConditionRunAgain = "RunAgain"
	// ConditionStalled: the job waits for something outside of it, its executor
	// or the [Store]. It is not stored.
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
	// ReasonProcessExitLimitExceeded: the process ended under the job more often in a
	// row than failures are allowed; see [Store].
	ReasonProcessExitLimitExceeded = "ProcessExitLimitExceeded"
	// ReasonCancelled: somebody has called [Controller.Cancel].
	ReasonCancelled = "Cancelled"
	// ReasonProgressDeadlineExceeded is that of an attempt; see [Job.ProgressDeadline].
	ReasonProgressDeadlineExceeded = "ProgressDeadlineExceeded"
	ReasonExecutorNotDeclared      = "ExecutorNotDeclared" // of Stalled: see [Controller.Apply]
	ReasonStoreFailed              = "StoreFailed"         // of Stalled: see [Store]

	// ReasonTerminationByProcessExit is one of [ConditionDisruptionTarget]: the process
	// in which the attempt ran has ended without a shutdown; see [Store]. Those of
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

// Finished reports whether the job is Complete or Failed. Nothing but its
// removal happens to a finished job.
func (s Status) Finished() bool {
	return s.Is(ConditionComplete) || s.Is(ConditionFailed)
}

// State is the job's state in one word, as kubectl shows it: Complete, Failed,
// Terminating, Suspended, FailureTarget, SuccessCriteriaMet or Running.
func (s Status) State() string {
	switch {
	case s.Is(ConditionComplete):
		return string(ConditionComplete)
	case s.Is(ConditionFailed):
		return string(ConditionFailed)
	case !s.DeletedAt.IsZero():
		return "Terminating"
	case s.Is(ConditionSuspended):
		return string(ConditionSuspended)
	case s.Is(ConditionFailureTarget):
		return string(ConditionFailureTarget)
	case s.Is(ConditionSuccessCriteriaMet):
		return string(ConditionSuccessCriteriaMet)
	}
	return "Running"
}

// Explain says in one sentence why the job waits, what it does, or why it
// ended. Times are of the local clock, without the date. The wording may change:
// programs should decide by conditions.
func (s Status) Explain() string {
	if s.Name == "" && s.UID == "" {
		return "there is no job"
	}
	if c, ok := s.Condition(ConditionComplete); ok {
		return fmt.Sprintf("complete since %s: %s (%s)", clock(c.LastTransitionTime), lower(c.Message), c.Reason)
	}
	if c, ok := s.Condition(ConditionFailed); ok {
		return fmt.Sprintf(
			"failed at %s: %s (%s)%s", clock(c.LastTransitionTime), lower(c.Message), c.Reason, s.lastFailure("; ", ""),
		)
	}
	for _, t := range []string{ConditionFailureTarget, ConditionSuccessCriteriaMet} {
		if c, ok := s.Condition(t); ok {
			return fmt.Sprintf("ending: %s (%s); waits for %s to stop", lower(c.Message), c.Reason, s.stopping())
		}
	}
	if c, ok := s.Condition(ConditionStalled); ok {
		return stalledTexts[c.Reason] + c.Message
	}
	switch {
	case s.ManagedBy != "":
		return "left to another controller: " + s.ManagedBy
	case !s.DeletedAt.IsZero():
		return "being deleted; waits for " + s.stopping() + " to stop"
	case s.Halted:
		return "stopped where it was: the controller is shut down"
	case s.Suspend && s.Terminating > 0:
		return "suspended, with " + s.stopping() + " still stopping; waits to be resumed"
	case s.Suspend:
		return "suspended; waits to be resumed"
	case s.Parallelism == 0 && s.Active == 0:
		return "paused: parallelism is 0"
	}
	return s.explainRunning()
}

var stalledTexts = map[string]string{
	ReasonExecutorNotDeclared: "waits to be declared: ",
	ReasonStoreFailed:         "starts nothing, as the store fails: ",
}

func (s Status) explainRunning() string {
	slots := fmt.Sprintf("%d of %d slots busy", s.Active, s.Parallelism)
	switch {
	case s.StartTime.IsZero() && s.WaitsFor != "":
		return "not started: waits until these are complete: " + s.WaitsFor
	case !s.NextRetry.IsZero():
		return fmt.Sprintf("%snext try at %s; %s", s.lastFailure("", ", "), clock(s.NextRetry), slots)
	case s.Active == 0 && s.Terminating > 0:
		return "waits for " + s.stopping() + " to stop before it goes on"
	case s.WaitsFor != "":
		return fmt.Sprintf("%s, %d of them not started yet: %s", slots, s.Pending, s.WaitsFor)
	case s.Pending > 0:
		return fmt.Sprintf("%s, %d of them not started yet", slots, s.Pending)
	case s.Active == 0:
		return "waits: no further attempt can start"
	}
	return "running: " + slots + s.done()
}

// lastFailure describes the latest failure, if there was one.
func (s Status) lastFailure(before, after string) string {
	f := s.LastFailure
	if f == nil {
		return ""
	}
	who := "the job"
	if f.Index >= 0 {
		who = "index " + strconv.Itoa(f.Index)
	}
	how := "without an exit code"
	if f.ExitCode >= 0 {
		how = "with exit code " + strconv.Itoa(f.ExitCode)
	}
	if f.Message != "" {
		how += " (" + inline(f.Message) + ")"
	}
	return before + who + " failed " + times(f.Failures) + " " + how + after
}

// inline is the beginning of a text, in one line.
func inline(text string) string {
	const longest = 200
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}

func (s Status) stopping() string {
	text := plural(s.Terminating+s.Active, "attempt")
	if s.Abandoned > 0 {
		text += fmt.Sprintf(" (%d abandoned)", s.Abandoned)
	}
	return text
}

func (s Status) done() string {
	if s.Completions == nil {
		return ""
	}
	return fmt.Sprintf(", %d of %d succeeded", s.Succeeded, *s.Completions)
}

func clock(t time.Time) string { return t.Format(time.TimeOnly) }

// lower puts a message into the middle of a sentence.
func lower(message string) string {
	if rest, ok := strings.CutPrefix(message, "Job "); ok {
		return "the job " + rest
	}
	if rest, ok := strings.CutPrefix(message, "Reached "); ok {
		return "reached " + rest
	}
	if rule, ok := strings.CutPrefix(message, "Matched rules at index "); ok {
		return "rule " + rule + " of the success policy is met"
	}
	return message
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return strconv.Itoa(n) + " times"
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// String gives the status in one line, such as
// "thumbnails: Running, 3/600 succeeded, 1 failed, 8 active".
func (s Status) String() string {
	if s.Name == "" && s.UID == "" {
		return "no job"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %d", s.Name, s.State(), s.Succeeded)
	if s.Completions != nil {
		fmt.Fprintf(&b, "/%d", *s.Completions)
	}
	fmt.Fprintf(&b, " succeeded, %d failed", s.Failed)
	if s.Active > 0 {
		fmt.Fprintf(&b, ", %d active", s.Active)
	}
	if s.Terminating > 0 {
		fmt.Fprintf(&b, ", %d terminating", s.Terminating)
	}
	if c, ok := s.Condition(ConditionStalled); ok {
		fmt.Fprintf(&b, ", stalled: %s", c.Reason)
	}
	return b.String()
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
	// JobUID is the UID of the attempt's job: attempts of a deleted job may
	// still be stopping when a new job has its name.
	JobUID string `json:"jobUID"`
	// Ordinal is the attempt's place in the order of creation, from 0.
	Ordinal int `json:"ordinal"`
	// JobRun is the run of the job that the attempt was of; see [Status.Run].
	JobRun int `json:"jobRun,omitzero"`
	// Index is the completion index, or -1 if the job is not Indexed.
	Index int `json:"index"`
	// Number counts the attempts of the same index from 0; in a job that is
	// not Indexed it equals Ordinal.
	Number int `json:"number"`

	Phase string `json:"phase"`
	// Reason and Message say more about the phase, such as
	// [ReasonDeadlineExceeded] for an attempt that ran into its timeout.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// ExitCode is nil while there is none; see [ExitCode].
	ExitCode *int `json:"exitCode,omitempty"`
	// Err is the error the executor returned. It is not encoded; its text is
	// in Message.
	Err error `json:"-"`
	// Restarts is how often the attempt was restarted in place.
	Restarts int `json:"restarts"`
	// Runs are the latest 20 runs of an attempt that was restarted in place, or waits
	// for that, in order; nil for another.
	Runs []AttemptRun `json:"runs,omitempty"`
	// Failures and IgnoredFailures are how often the same index had failed,
	// counted and ignored, when the attempt was created. Both are 0 unless the
	// job has a per-index back-off limit.
	Failures        int `json:"failures"`
	IgnoredFailures int `json:"ignoredFailures,omitempty"`

	CreatedAt  time.Time `json:"createdAt"`
	StartedAt  time.Time `json:"startedAt,omitzero"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	// RestartAt is when the executor runs again, while it waits for that.
	RestartAt time.Time `json:"restartAt,omitzero"`
	// DeletedAt is when the attempt was first asked to stop; zero if it was not.
	DeletedAt time.Time `json:"deletedAt,omitzero"`
	// DeletedBy is who asked: "job-controller" if the job ended, was suspended or
	// scaled down, "gc" if it was deleted, "user" for [Controller.DeleteAttempt],
	// "eviction" or "podgc" for [Controller.Disrupt], "timeout" for
	// [Job.AttemptTimeout] and the grace period after it.
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
	FinishedAt time.Time `json:"finishedAt,omitzero"` // zero while it goes on
	// ExitCode is nil while there is none; see [ExitCode].
	ExitCode *int `json:"exitCode,omitempty"`
}

// An Event is one thing that happened to a job, with Kubernetes' texts.
type Event struct {
	Type string `json:"type"` // "Normal" or "Warning"
	// Reason is that of the condition of a job that failed, and otherwise
	// "SuccessfulCreate", "SuccessfulDelete", "Suspended", "Resumed", "Completed" or
	// "TooManySucceededPods".
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
	// Reason is why the job failed, such as [ReasonBackoffLimitExceeded], and Message
	// that of the condition. They are empty if the job had not finished.
	Reason, Message string
	// Err is the cause of [Controller.Cancel], nil if the job has failed otherwise, and
	// why the job of a Map, or of Again, had not finished.
	Err error
	// Attempts are the errors of the failed attempts that are still kept,
	// oldest first, without those that did no more than stop when the job
	// failed. [Job.History] says how many are kept; the last one of the job, and of
	// each index that has failed and not succeeded, always is. If the job had not
	// finished, it is the latest one alone.
	Attempts []*AttemptError
	// Omitted is how many more attempts have failed and are not kept.
	Omitted int

	failed IndexSet // what Indexes walks over
}

// Indexes walks over the indexes that have failed and not succeeded, each with the
// error of its last attempt. There are none unless the job is Indexed.
func (e *JobError) Indexes() iter.Seq2[int, *AttemptError] {
	return func(yield func(int, *AttemptError) bool) {
		last := make(map[int]*AttemptError)
		for _, a := range e.Attempts {
			last[a.Index] = a
		}
		for i := range e.failed.All() {
			a := last[i]
			if a == nil { // it was lost
				a = &AttemptError{Index: i, ExitCode: -1, Err: ErrDisrupted}
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
	if n := len(e.Attempts); n > 0 {
		text += "; last: " + e.Attempts[n-1].Error()
	}
	if e.Omitted > 0 {
		text += fmt.Sprintf(" (%d more attempts have failed)", e.Omitted)
	}
	return text
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
	Failures int       `json:"failures,omitempty"` // how often in a row that index, or job, has failed
	ExitCode int       `json:"exitCode"`           // see [ExitCode]; -1 if it has none, as for a lost attempt
	At       time.Time `json:"at,omitzero"`        // when it ended
	// Err is what the executor returned; [ErrDisrupted] if it was lost and returned
	// nothing. In [Status].LastFailure it is nil, and Message is its text, shortened.
	Err     error  `json:"-"`
	Message string `json:"message,omitempty"`
	// Log are the last lines that the attempt printed, at most ten.
	Log []LogLine `json:"-"`
}

// Error names the attempt, or its index, and gives its error.
func (e *AttemptError) Error() string {
	text := e.Message
	if e.Err != nil {
		text = e.Err.Error()
	}
	if e.Attempt == "" {
		return fmt.Sprintf("index %d: %s", e.Index, text)
	}
	return fmt.Sprintf("attempt %s: exit code %d: %s", e.Attempt, e.ExitCode, text)
}

// Unwrap returns the executor's error.
func (e *AttemptError) Unwrap() error { return e.Err }

// An IndexSet is a set of completion indexes. The zero value is empty. It is
// immutable, and safe for use by several goroutines at once.
type IndexSet struct{ set indexset.Set }

// ParseIndexSet reads the text format of an index set: "0,2-4,9", ascending,
// without spaces. The empty text is the empty set.
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

// All walks over the indexes in ascending order.
func (s IndexSet) All() iter.Seq[int] { return s.set.All() }

// Intervals walks over the runs of consecutive indexes, first and last.
func (s IndexSet) Intervals() iter.Seq2[int, int] { return s.set.Intervals() }

// Equal reports whether both sets have the same indexes.
func (s IndexSet) Equal(t IndexSet) bool { return s.set.Equal(t.set) }

// IsZero reports whether the set is empty.
func (s IndexSet) IsZero() bool { return s.set.Len() == 0 }

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

// statusOf is a view with the public types.
func statusOf(v runner.View, now time.Time) Status {
	s := Status{
		Name: v.Name, UID: v.UID, Generation: v.Generation, Run: v.Run, Revision: v.Revision,
		CreatedAt: v.CreatedAt, DeletedAt: v.DeletedAt,
		Parallelism: v.Parallelism, Suspend: v.Suspend, ManagedBy: v.ManagedBy, Halted: v.Halted,
		Active: v.Active, Pending: v.Pending, Ready: v.Ready, Terminating: v.Terminating, Abandoned: v.Abandoned,
		Succeeded: v.Succeeded, Failed: v.Failed, CompletedIndexes: IndexSet{v.Completed},
		StartTime: v.StartTime, Conditions: conditionsOf(v.Conditions), NextRetry: v.NextRetry,
		LastFailure: failureOf(v.LastFailure), WaitsFor: cmp.Or(v.Awaits, v.WaitsFor),
	}
	if v.Completions != engine.None {
		s.Completions = new(v.Completions)
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

// progress projects the rate since the start.
func (s *Status) progress(now time.Time) Progress {
	p := Progress{Done: int64(s.Succeeded)}
	if s.Completions == nil {
		return p
	}
	p.Total = int64(*s.Completions)
	left := p.Total - p.Done
	if p.Done == 0 || left <= 0 || s.StartTime.IsZero() || s.Finished() {
		return p
	}
	rest := float64(now.Sub(s.StartTime)) / float64(p.Done) * float64(left)
	if rest < farFuture {
		p.ETA = now.Add(time.Duration(rest))
	}
	return p
}

// farFuture is beyond what can be said of an end: a century.
const farFuture = float64(100 * 365 * 24 * time.Hour)

func failureOf(f *runner.LastFailure) *AttemptError {
	if f == nil {
		return nil
	}
	e := &AttemptError{Attempt: f.Attempt, Index: f.Index, Failures: f.Failures, ExitCode: f.ExitCode,
		Err: f.Err, Message: f.Text, At: f.At}
	if f.Overdue != nil {
		e.Err = overdue(f.Overdue, f.Err)
	}
	return e
}

func conditionsOf(list []runner.Condition) []Condition {
	if len(list) == 0 {
		return nil
	}
	out := make([]Condition, len(list))
	for i, c := range list {
		out[i] = Condition{c.Type, c.Status, c.Reason, c.Message, c.At}
	}
	return out
}

var (
	attemptPhases = [...]string{AttemptPending, AttemptRunning, AttemptSucceeded, AttemptFailed}
	deleters      = [...]string{"", "job-controller", "user", "eviction", "podgc", "gc", "timeout"}
)

// attemptOf is a view of an attempt with the public types.
func attemptOf(v runner.AttemptView) AttemptStatus {
	var runs []AttemptRun
	for _, run := range v.Runs {
		runs = append(runs, AttemptRun(run))
	}
	return AttemptStatus{
		Name: v.Name, UID: v.UID, JobUID: v.JobUID, Ordinal: int(v.Seq), JobRun: v.JobRun, Index: v.Index, Number: v.Number,
		Phase: attemptPhases[v.Phase], Reason: v.Reason, Message: v.Text, ExitCode: v.ExitCode, Err: v.Err,
		Restarts: v.Restarts, Runs: runs, Failures: v.Failures, IgnoredFailures: v.Ignored,
		CreatedAt: v.CreatedAt, StartedAt: v.StartedAt, FinishedAt: v.FinishedAt, RestartAt: v.RestartAt,
		DeletedAt: v.DeletedAt, DeletedBy: deleters[v.DeletedBy], Abandoned: v.Abandoned, Ready: v.Ready,
		Conditions: conditionsOf(v.Conditions), Output: v.Output, Progress: Progress{
			Done: v.Progress.Done, Total: v.Progress.Total, Phase: v.Progress.Phase,
		},
	}
}

// eventOf is an event with the public types.
func eventOf(e runner.Event) Event {
	event := Event{Type: "Normal", Reason: e.Reason, Message: e.Message, At: e.At}
	if e.Warning {
		event.Type = "Warning"
	}
	return event
}

// failed is the error of a job that has failed.
func failed(s Status, f *runner.Failure) *JobError {
	e := &JobError{Status: s, Reason: f.Reason, Message: f.Message, Err: f.Cause, Omitted: f.Omitted}
	for _, index := range f.Indexes {
		e.failed.set.Add(index)
	}
	for _, a := range f.Attempts {
		e.Attempts = append(e.Attempts, attemptErrorOf(a))
	}
	return e
}

// An unfinishedError is the error of a wait that has ended before its job. It says what
// the job failed with last.
type unfinishedError struct{ JobError }

func unfinished(s Status, err error, j *runner.Job) error {
	e := &unfinishedError{JobError{Status: s, Err: err}}
	if s.FailedIndexes != nil {
		e.failed = *s.FailedIndexes
	}
	if last := j.LastFailed(); last != nil {
		e.Attempts = []*AttemptError{attemptErrorOf(*last)}
	}
	return e
}

func attemptErrorOf(a runner.FailedAttempt) *AttemptError {
	e := &AttemptError{Attempt: a.Name, Index: a.Index, ExitCode: a.ExitCode, Err: a.Err}
	if a.Overdue != nil {
		e.Err = overdue(a.Overdue, a.Err)
	}
	for _, line := range a.Log {
		e.Log = append(e.Log, logLine(line))
	}
	return e
}

// An overdueError is what an attempt returned after its time was up. Its parts are not
// looked at before somebody asks: they are user code.
type overdueError struct{ reason, err error }

func overdue(reason, err error) error {
	if err == reason || err == ErrDisrupted {
		return reason // there is nothing to add
	}
	return &overdueError{reason, err}
}

func (e *overdueError) Error() string   { return e.reason.Error() + ": " + e.err.Error() }
func (e *overdueError) Unwrap() []error { return []error{e.reason, e.err} }
