// Package explain puts the status of a job into words.
package explain

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/runtocompletion/batch/internal/engine"
)

// The condition that the engine does not know, and its reasons.
const (
	Stalled             = "Stalled"
	ExecutorNotDeclared = "ExecutorNotDeclared"
	StoreFailed         = "StoreFailed"
)

// A Job is what is known of a job. Its fields are those of the public status.
type Job struct {
	Exists                                  bool // false: there is no job
	Name, State, ManagedBy, WaitsFor        string
	Parallelism                             int
	Completions                             *int
	Suspend, Halted, Deleted, Started       bool
	Active, Pending, Terminating, Abandoned int
	Succeeded, Failed                       int
	NextRetry                               time.Time
	Conditions                              []Condition
	LastFailure                             *Failure // nil if there was none
}

// A Condition is one fact about the job.
type Condition struct {
	Type, Status, Reason, Message string
	LastTransitionTime            time.Time
}

// A Failure is the latest failed attempt.
type Failure struct {
	Index    int // -1 if the job has none
	Failures int // in a row; 0 for one that does not count, as it was only too early
	ExitCode int // -1 if there is none
	Message  string
}

func (j *Job) condition(of string) (Condition, bool) {
	for _, c := range j.Conditions {
		if c.Type == of {
			return c, true
		}
	}
	return Condition{}, false
}

// Explain says in one sentence why the job waits, what it does, or why it ended.
func (j *Job) Explain() string {
	if !j.Exists {
		return "there is no job"
	}
	if c, ok := j.condition(engine.JobComplete); ok {
		return fmt.Sprintf("complete since %s: %s (%s)", clock(c.LastTransitionTime), lower(c.Message), c.Reason)
	}
	if c, ok := j.condition(engine.JobFailed); ok {
		return fmt.Sprintf(
			"failed at %s: %s (%s)%s", clock(c.LastTransitionTime), lower(c.Message), c.Reason, j.lastFailure("; ", ""),
		)
	}
	for _, t := range []string{engine.FailureTarget, engine.SuccessCriteriaMet} {
		if c, ok := j.condition(t); ok {
			return fmt.Sprintf("ending: %s (%s); waits for %s to stop", lower(c.Message), c.Reason, j.stopping())
		}
	}
	if c, ok := j.condition(Stalled); ok {
		return stalledTexts[c.Reason] + c.Message
	}
	switch {
	case j.ManagedBy != "" && !j.Started && len(j.Conditions) == 0:
		return "left to another controller: " + j.ManagedBy
	case j.Deleted:
		return "being deleted; waits for " + j.stopping() + " to stop"
	case j.Halted:
		return "stopped where it was: the controller is shut down"
	case j.Suspend && j.Terminating > 0:
		return "suspended, with " + j.stopping() + " still stopping; waits to be resumed"
	case j.Suspend:
		return "suspended; waits to be resumed"
	case j.Parallelism == 0 && j.Active == 0:
		return "paused: parallelism is 0"
	}
	return j.explainRunning()
}

var stalledTexts = map[string]string{
	ExecutorNotDeclared: "waits to be declared: ",
	StoreFailed:         "starts nothing, as the store fails: ",
}

func (j *Job) explainRunning() string {
	slots := fmt.Sprintf("%d of %d slots busy", j.Active, j.Parallelism)
	switch {
	case !j.Started && j.WaitsFor != "":
		return "not started: waits until these are complete: " + j.WaitsFor
	case !j.NextRetry.IsZero():
		return fmt.Sprintf("%snext try at %s; %s", j.lastFailure("", ", "), clock(j.NextRetry), slots)
	case j.Active == 0 && j.Terminating > 0:
		return "waits for " + j.stopping() + " to stop before it goes on"
	case j.WaitsFor != "":
		return fmt.Sprintf("%s, %d of them not started yet: %s", slots, j.Pending, j.WaitsFor)
	case j.Pending > 0:
		return fmt.Sprintf("%s, %d of them not started yet", slots, j.Pending)
	case j.Active == 0:
		return "waits: no further attempt can start"
	}
	return "running: " + slots + j.done()
}

// lastFailure describes the latest failure, if there was one.
func (j *Job) lastFailure(before, after string) string {
	f := j.LastFailure
	if f == nil {
		return ""
	}
	who := "the job"
	if f.Index >= 0 {
		who = "index " + strconv.Itoa(f.Index)
	}
	if f.Failures == 0 {
		return before + who + " came too early (" + inline(f.Message) + ")" + after
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

func (j *Job) stopping() string {
	text := plural(j.Terminating+j.Active, "attempt")
	if j.Abandoned > 0 {
		text += fmt.Sprintf(" (%d abandoned)", j.Abandoned)
	}
	return text
}

func (j *Job) done() string {
	if j.Completions == nil {
		return ""
	}
	return fmt.Sprintf(", %d of %d succeeded", j.Succeeded, *j.Completions)
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

// String gives the status in one line.
func (j *Job) String() string {
	if !j.Exists {
		return "no job"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %d", j.Name, j.State, j.Succeeded)
	if j.Completions != nil {
		fmt.Fprintf(&b, "/%d", *j.Completions)
	}
	fmt.Fprintf(&b, " succeeded, %d failed", j.Failed)
	if j.Active > 0 {
		fmt.Fprintf(&b, ", %d active", j.Active)
	}
	if j.Terminating > 0 {
		fmt.Fprintf(&b, ", %d terminating", j.Terminating)
	}
	if c, ok := j.condition(Stalled); ok {
		fmt.Fprintf(&b, ", stalled: %s", c.Reason)
	}
	return b.String()
}

// ETA is when the rest will be done at the rate since start; zero if that cannot be said.
func ETA(done, total int64, start, now time.Time) time.Time {
	const farFuture = float64(100 * 365 * 24 * time.Hour) // beyond what can be said
	if done == 0 || done >= total || start.IsZero() {
		return time.Time{}
	}
	rest := float64(now.Sub(start)) / float64(done) * float64(total-done)
	if rest >= farFuture {
		return time.Time{}
	}
	return now.Add(time.Duration(rest))
}
