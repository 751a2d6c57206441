package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/indexset"
)

// A play is a test case: a job and what happens to it.
//
// The spec is a list of words (see parseSpec). P, C and L are parallelism,
// completions and the back-off limit as in the test vectors of the
// specification.
//
// Each line of the script is
//
//	time: events => facts
//
// Whatever is due by that time happens first, then the events, which are
// separated by semicolons (see runCommand), and then the facts must hold (see
// fact). Attempts are named by their place in the order of creation.
type play struct {
	spec   string
	script string
}

func runPlays(t *testing.T, plays map[string]play) {
	t.Helper()
	for name, p := range plays {
		t.Run(name, func(t *testing.T) { p.run(t) })
	}
}

func (p play) run(t testing.TB) *world {
	w := newWorld(parseSpec(t, p.spec), false)
	p.goOn(t, w)
	return w
}

// goOn runs the script in a world that is already there.
func (p play) goOn(t testing.TB, w *world) {
	for line := range strings.Lines(p.script) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		s := scriptLine{TB: t, world: w, text: line}
		s.run()
	}
}

// encode writes the play as input for the fuzzer.
func (p play) encode(t testing.TB) []byte { return encode(parseSpec(t, p.spec), p.run(t).events) }

type durationOf time.Duration

func (d durationOf) String() string { return time.Duration(d).String() }

// parseSpec reads a spec, beginning with Kubernetes' defaults.
func parseSpec(t testing.TB, text string) Spec {
	s := Spec{Completions: 1, Parallelism: 1, BackoffLimit: 6, BackoffLimitPerIndex: None, MaxFailedIndexes: None,
		ActiveDeadline: None, AttemptTimeout: None, Grace: 30 * time.Second, TTL: None,
		History: 1000, Container: "main", Namespace: "default"}
	for word := range strings.FieldsSeq(text) {
		require.NoError(t, s.set(word), "spec %q", text)
	}
	return s
}

func (s *Spec) set(word string) (err error) {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "indexed":
		s.Indexed = true
	case "queue": // completions unset
		s.Completions = None
	case "onfailure":
		s.OnFailure = true
	case "perindex":
		s.BackoffLimitPerIndex, err = strconv.Atoi(value)
		s.BackoffLimit = 1 << 31
	case "L":
		s.BackoffLimit, err = strconv.Atoi(value)
	case "P":
		s.Parallelism, err = strconv.Atoi(value)
	case "C":
		s.Completions, err = strconv.Atoi(value)
	case "maxfailed":
		s.MaxFailedIndexes, err = strconv.Atoi(value)
	case "history":
		s.History, err = strconv.Atoi(value)
	case "deadline":
		s.ActiveDeadline, err = time.ParseDuration(value)
	case "timeout":
		s.AttemptTimeout, err = time.ParseDuration(value)
	case "progress":
		s.ProgressDeadline, err = time.ParseDuration(value)
	case "grace":
		s.Grace, err = time.ParseDuration(value)
	case "ttl":
		s.TTL, err = time.ParseDuration(value)
	case "suspended":
		s.Suspend = value != "no"
	case "replace":
		s.ReplaceFailed = value == "failed"
	case "pending":
		s.HoldsPending = true
	case "queued":
		s.QueuesStarts = true
	case "unmanaged":
		s.Unmanaged = true
	case "customdelay":
		s.CustomDelay = true
	case "customrestart":
		s.CustomRestartDelay = true
	case "rule":
		err = s.addRule(value)
	case "success":
		err = s.addSuccess(value)
	default:
		err = fmt.Errorf("unknown word %q", word)
	}
	return err
}

// addRule reads a failure rule such as FailJob:1,2 or Count:!7 or
// Ignore:DisruptionTarget.
func (s *Spec) addRule(text string) error {
	s.ReplaceFailed = true // as with any failure policy
	action, match, _ := strings.Cut(text, ":")
	r := FailureRule{
		Action: map[string]FailureAction{
			"Count": Count, "Ignore": Ignore, "FailIndex": FailIndex, "FailJob": FailJob,
		}[action],
	}
	codes, notIn := strings.CutPrefix(match, "!")
	r.NotIn = notIn
	for word := range strings.SplitSeq(codes, ",") {
		if code, err := strconv.Atoi(word); err == nil {
			r.Codes = append(r.Codes, code)
		} else if word != "error" { // which only the caller can match
			r.Conditions = append(r.Conditions, Condition{Type: word, Status: True})
		}
	}
	s.FailureRules = append(s.FailureRules, r)
	return nil
}

// addSuccess reads a success rule: indexes, a slash, a count.
func (s *Spec) addSuccess(text string) (err error) {
	indexes, count, both := strings.Cut(text, "/")
	r := SuccessRule{Count: None}
	if both {
		r.Count, err = strconv.Atoi(count)
	}
	if indexes != "all" {
		set := indexset.ParseLenient(indexes, -1)
		r.Indexes = &set
	}
	s.SuccessRules = append(s.SuccessRules, r)
	return err
}

// A scriptLine is one line of a script while it is run.
type scriptLine struct {
	testing.TB
	*world
	text string
}

func (s scriptLine) run() {
	at, rest, ok := strings.Cut(s.text, ":")
	require.True(s.TB, ok, "no time in %q", s.text)
	after, err := time.ParseDuration(at)
	require.NoError(s.TB, err, s.text)
	commands, facts, checked := strings.Cut(rest, "=>")

	s.did = nil
	s.runUntil(epoch.Add(after))
	for command := range strings.SplitSeq(commands, ";") {
		if words := strings.Fields(command); len(words) > 0 {
			s.command(words[0], words[1:])
		}
	}
	require.NoError(s.TB, s.err, s.text)
	if !checked {
		return
	}
	for fact := range strings.FieldsSeq(facts) {
		name, want, _ := strings.Cut(fact, "=")
		require.Equal(s.TB, want, s.fact(name), "%s of\n\t%s\nwhich did %v", name, s.text, s.did)
	}
}

func (s scriptLine) number(word string) int64 {
	n, err := strconv.ParseInt(word, 10, 64)
	require.NoError(s.TB, err, s.text)
	return n
}

// command makes one thing happen, to one attempt or each of several.
func (s scriptLine) command(name string, args []string) {
	switch name {
	case "create":
		s.step(Event{Kind: Created, Await: slices.Contains(args, "awaiting"), Reason: "Waits for job first"})
	case "met":
		s.step(Event{Kind: DependenciesMet})
	case "doomed":
		s.step(Event{Kind: DependencyFailed, Reason: "Job first, after which this one was to start, has failed"})
	case "exit": // code attempts
		for _, seq := range args[1:] {
			s.end(s.number(seq), Result{Code: int(s.number(args[0])), ErrorRule: None})
		}
	case "error": // rule attempts: an error that matches a rule
		for _, seq := range args[1:] {
			s.end(s.number(seq), Result{Code: 1, ErrorRule: int(s.number(args[0]))})
		}
	case "update": // words of a spec
		spec := *s.job.Spec
		for _, word := range args {
			require.NoError(s.TB, spec.set(word), s.text)
		}
		s.step(Event{Kind: Updated, Spec: new(spec)})
	case "remove":
		s.step(Event{Kind: Deleted, Orphan: slices.Contains(args, "orphan"), Linger: slices.Contains(args, "linger")})
	case "cancel": // indexes, or the job
		ev := Event{Kind: Cancelled, Reason: "why"}
		for _, index := range args {
			ev.Indexes = append(ev.Indexes, int(s.number(index)))
		}
		s.step(ev)
	case "again": // keep: only what is missing
		s.step(Event{Kind: Rerun, Keep: slices.Contains(args, "keep")})
	case "snooze": // delay attempts
		d, err := time.ParseDuration(args[0])
		require.NoError(s.TB, err, s.text)
		for _, seq := range args[1:] {
			s.end(s.number(seq), Result{Code: 1, ErrorRule: None, RetryAfter: d, Snooze: true})
		}
	case "halt":
		s.step(Event{Kind: Halted})
	case "interrupt":
		s.step(Event{Kind: Interrupted})
	case "answer": // the first open question, with a delay
		d, err := time.ParseDuration(args[0])
		require.NoError(s.TB, err, s.text)
		require.NotEmpty(s.TB, s.asked, s.text)
		s.answer(0, Event{Delay: d})
	default:
		for _, seq := range args {
			s.toAttempt(name, s.number(seq))
		}
	}
}

func (s scriptLine) toAttempt(name string, seq int64) {
	switch name {
	case "ok":
		s.end(seq, Result{ErrorRule: None})
		return
	case "fail":
		s.end(seq, Result{Code: 1, ErrorRule: None})
		return
	case "fatal":
		s.end(seq, Result{Code: 1, ErrorRule: None, Permanent: true})
		return
	case "begin":
		s.begin(seq)
		return
	case "sign":
		s.signs[seq] = s.now
		return
	}
	a := s.attempt(seq)
	require.NotNil(s.TB, a, "attempt %d is not live: %s", seq, s.text)
	events := map[string]Event{
		"start":   {Kind: Started},
		"ready":   {Kind: ReadyChanged, Ready: true},
		"unready": {Kind: ReadyChanged},
		"delete":  {Kind: AttemptDeleted},
		"evict":   {Kind: Disrupted, Reason: "EvictionByEvictionAPI"},
		"kill":    {Kind: Disrupted, Reason: ByKubelet},
		"lose":    {Kind: Disrupted, Reason: ByPodGC},
		"mark":    {Kind: ConditionSet, Cond: Condition{Type: "Marked", Status: True}},
	}
	ev, ok := events[name]
	require.True(s.TB, ok, "unknown event %q", name)
	ev.Attempt = a
	s.step(ev)
}

// fact returns what is so. A name that ends in a number asks about that
// attempt.
func (s scriptLine) fact(name string) string {
	j := s.job
	switch name {
	case "start", "stop", "abandon", "ask", "ask-restart", "close":
		return s.done(name)
	case "active":
		return strconv.Itoa(j.Active)
	case "ready":
		return strconv.Itoa(j.Ready)
	case "pending":
		return strconv.Itoa(j.Pending)
	case "terminating":
		return strconv.Itoa(j.Terminating)
	case "abandoned":
		return strconv.Itoa(j.Abandoned)
	case "succeeded":
		return strconv.Itoa(j.Succeeded)
	case "failed":
		return strconv.Itoa(j.Failed)
	case "run":
		return strconv.Itoa(j.Run())
	case "completed":
		return j.Completed.String()
	case "givenup":
		return j.GivenUp.String()
	case "running":
		return s.runningIndexes()
	case "started":
		return s.timeText(j.StartTime)
	case "due":
		return s.timeText(j.Due())
	case "retry":
		return s.timeText(j.NextRetry())
	case "is":
		return s.condition()
	}
	digits := strings.IndexAny(name, "0123456789")
	require.Positive(s.TB, digits, "unknown fact %q", name)
	return s.attemptFact(name[:digits], s.number(name[digits:]))
}

func (s scriptLine) attemptFact(name string, seq int64) string {
	for a := range s.job.All() {
		if a.Seq != seq {
			continue
		}
		switch name {
		case "phase":
			return []string{"Pending", "Running", "Succeeded", "Failed"}[a.Phase()]
		case "exit":
			if !a.HasExit {
				return "none"
			}
			return strconv.Itoa(a.ExitCode)
		case "index":
			return strconv.Itoa(a.Index)
		case "number":
			return strconv.Itoa(a.Number)
		case "restarts":
			return strconv.Itoa(a.Restarts)
		case "counts": // R121
			return fmt.Sprintf("%d/%d", a.Failures, a.Ignored)
		case "restart":
			return s.timeText(a.RestartAt)
		case "reason":
			return a.Reason
		case "of":
			return strconv.Itoa(s.job.RunOf(seq))
		case "snoozes":
			return strconv.Itoa(a.Snoozes)
		case "abandoned":
			return strconv.FormatBool(a.Abandoned)
		}
	}
	return "no attempt"
}

// done lists what was done since the line began, by the attempts' numbers.
func (s scriptLine) done(name string) string {
	var list []string
	for _, text := range s.did {
		if what, ok := strings.CutPrefix(text, name+":"); ok {
			list = append(list, what)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}

func (s scriptLine) runningIndexes() string {
	var set indexset.Set
	for _, a := range s.job.live {
		if a.active() {
			set.Add(a.Index)
		}
	}
	return set.String()
}

// timeText is a time since the job's creation.
func (s scriptLine) timeText(t Time) string {
	switch t {
	case 0:
		return "no"
	case Never:
		return "never"
	}
	return s.since(t).String()
}

// condition is the newest condition that is true, and the reason; gone if the
// job is removed.
func (s scriptLine) condition() string {
	j := s.job
	if j.gone && j.FinishedAt == 0 {
		return "gone"
	}
	for _, c := range slices.Backward(j.Conditions) {
		if c.Status == True {
			return c.Type + ":" + c.Reason
		}
	}
	return "running"
}
