package batchtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/runtocompletion/batch"
)

// WantComplete fails the test unless the job is Complete.
func WantComplete(t testing.TB, got batch.Status) {
	t.Helper()
	if !got.Is(batch.ConditionComplete) {
		t.Errorf("batchtest.WantComplete(%s):\n got: %s\nwant: Complete", got.Name, told(got))
	}
}

// WantFailed fails the test unless the job has Failed for the given reason,
// such as [batch.ReasonBackoffLimitExceeded].
func WantFailed(t testing.TB, got batch.Status, reason string) {
	t.Helper()
	failed, _ := got.Condition(batch.ConditionFailed)
	if failed.Status != "True" || failed.Reason != reason {
		t.Errorf("batchtest.WantFailed(%s):\n got: %s\nwant: Failed, %s", got.Name, told(got), reason)
	}
}

// told is what a failed assertion says of a status.
func told(s batch.Status) string {
	text := s.String()
	if reason := decisive(s).Reason; reason != "" {
		text += ", " + reason
	}
	return text + "\n      " + s.Explain()
}

// WantIndexes fails the test unless got is the set that want describes, such as
// "0,2-4", in the format of [batch.ParseIndexSet].
func WantIndexes(t testing.TB, got batch.IndexSet, want string) {
	t.Helper()
	set, err := batch.ParseIndexSet(want)
	if err != nil {
		t.Errorf("batchtest.WantIndexes: %v", err)
		return
	}
	if got.String() == set.String() {
		return
	}
	text := fmt.Sprintf("batchtest.WantIndexes:\n got: %q\nwant: %q", got, set)
	if missing := minus(set, got); missing != "" {
		text += "\nmissing: " + missing
	}
	if surplus := minus(got, set); surplus != "" {
		text += "\nnot wanted: " + surplus
	}
	t.Errorf("%s", text)
}

// minus is the text of the set of those in s that are not in u.
func minus(s, u batch.IndexSet) string {
	var rest []string
	for i := range s.All() {
		if !u.Contains(i) {
			rest = append(rest, strconv.Itoa(i))
		}
	}
	text := strings.Join(rest, ",")
	if set, err := batch.ParseIndexSet(text); err == nil {
		text = set.String()
	}
	return text
}

// WantStatus fails the test unless a job's status is as described. Each line of
// want names a field and its value; other fields are not looked at:
//
//	batchtest.WantStatus(t, status, `
//		state             Failed
//		reason            MaxFailedIndexesExceeded
//		failed            3
//		completedIndexes  0,4-9
//	`)
//
// The fields are those of [batch.Status] by their JSON names: parallelism,
// completions, suspend, active, ready, terminating, abandoned, succeeded,
// failed, completedIndexes, failedIndexes; and
//   - state: [batch.Status.State]
//   - reason, message: of the condition that the state is named for
//   - conditions: as in "SuccessCriteriaMet,Complete"; those that are not True
//     have their status, as "Suspended=False"
//   - took: the time from StartTime to that condition
//   - retryIn: the time from now to NextRetry
//   - lastFailure: the message of the latest failure
//   - explain: [batch.Status.Explain]
//
// What is missing or empty is "-".
func WantStatus(t testing.TB, got batch.Status, want string) {
	t.Helper()
	wanted, err := parseFields(want)
	if err != nil {
		t.Errorf("batchtest.WantStatus: %v", err)
		return
	}
	found := table{}
	for _, row := range wanted.rows {
		field, err := pick(statusFields(), row[:1])
		if err != nil {
			t.Errorf("batchtest.WantStatus: field %v", err)
			return
		}
		row[1] = field[0].normalized(row[1])
		found.rows = append(found.rows, []string{row[0], field[0].show(got)})
	}
	report(t, "WantStatus("+got.Name+")", wanted, found)
}

// parseFields reads lines of a field and its value.
func parseFields(text string) (table, error) {
	var t table
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		row, err := cells(line, 2)
		if err != nil {
			return table{}, fmt.Errorf("line %q has a field without a value", line)
		}
		t.rows = append(t.rows, row)
	}
	return t, nil
}

// WantAttempts fails the test unless a job's attempts, which
// [batch.Controller.Attempts] returns, are those of a table. Its first line
// names the columns that matter:
//
//	batchtest.WantAttempts(t, attempts, `
//		index  number  phase      exit
//		0      0       Failed     3
//		1      0       Succeeded  0
//		0      1       Succeeded  0
//	`)
//
// The columns are those of [batch.AttemptStatus] by their JSON names: ordinal,
// index, number, phase, reason, restarts, failures, deletedBy, abandoned,
// ready, output, message; and
//   - exit: the exit code
//   - ignored: IgnoredFailures
//   - created, started, finished: the times of that, counted from the creation
//     of the first attempt, such as "1m10s"
//   - took: the time from start to finish
//   - conditions: as in [WantStatus]
//   - progress: as in "3/10 verifying"
//   - error: the text of Err
//
// What is missing or empty is "-", such as the index in a job that is not
// Indexed. A cell with spaces is quoted as in Go, unless it is the last of its
// line.
func WantAttempts(t testing.TB, got []batch.AttemptStatus, want string) {
	t.Helper()
	wantTable(t, "WantAttempts", got, attemptColumns(got), want)
}

// WantExecutions fails the test unless executions, which a [Recorder] returns,
// are those of a table in the form of [WantAttempts]. The columns are job,
// index, number, restarts, active; start and end, counted from the first
// start; took, cause and error. [Recorder.String] makes such a table.
func WantExecutions(t testing.TB, got []Execution, want string) {
	t.Helper()
	wantTable(t, "WantExecutions", got, executionColumns(got), want)
}

// WantEvents fails the test unless events, which [batch.Controller.Events]
// returns, are those of a table in the form of [WantAttempts]. The columns are
// at, counted from the first event; type, reason and message.
func WantEvents(t testing.TB, got []batch.Event, want string) {
	t.Helper()
	wantTable(t, "WantEvents", got, eventColumns(got), want)
}

func wantTable[T any](t testing.TB, call string, got []T, columns []column[T], want string) {
	t.Helper()
	wanted, err := parse(want)
	if err != nil {
		t.Errorf("batchtest.%s: %v", call, err)
		return
	}
	columns, err = pick(columns, wanted.header)
	if err != nil {
		t.Errorf("batchtest.%s: column %v", call, err)
		return
	}
	normalize(wanted, columns)
	report(t, call, wanted, render(got, columns))
}

// report fails the test if the tables differ.
func report(t testing.TB, call string, want, got table) {
	t.Helper()
	widths := got.widths(want.widths(nil))
	w, g := want.lines(widths), got.lines(widths)
	if slices.Equal(w, g) {
		return
	}
	t.Errorf("batchtest.%s: not as wanted (-want +got):\n%s", call, diff(w, g))
}
