package page

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"plain\ttext\n":              "plain\ttext\n",
		"\x1b[1;31mred\x1b[0m":       "red",
		"\x1b]0;title\x07text":       "text",
		"\x1b]8;;http://x\x1b\\link": "link",
		"\xff\xfe":                   "\uFFFD",
		"a\x00b\x7f":                 "a\uFFFDb\uFFFD",
		"user\u202Egnp.exe":          "user\uFFFDgnp.exe",
		"line\r\n":                   "line\n",
		"Größe 大":                    "Größe 大",
		strings.Repeat("x", 5000):    strings.Repeat("x", 4096) + " … (904 more bytes)",
	} {
		require.Equal(t, want, clean(text), "%q", text)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[31m")
	f.Fuzz(func(t *testing.T, text string) {
		got := clean(text)
		require.True(t, utf8.ValidString(got))
		require.NotContains(t, got, "\x1b")
		require.LessOrEqual(t, len(got), 3*longestText+64)
	})
}

func TestFormats(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 10_000_000: "10,000,000", -1234: "-1,234"} {
		require.Equal(t, want, formatCount(n))
	}
	for d, want := range map[time.Duration]string{
		250 * time.Millisecond: "0.25s", 12300 * time.Millisecond: "12.3s", 320 * time.Second: "5m20s",
		3 * time.Hour: "3h00m", 76 * time.Hour: "3d04h", -time.Second: "-1.00s",
	} {
		require.Equal(t, want, formatDuration(d))
	}
	for rate, want := range map[float64]string{1234.4: "1,234/s", 2.24: "2.2/s", 0.5: "30/min", 0.001: "3.6/h",
		0.00001: "0.036/h"} {
		require.Equal(t, want, formatRate(rate))
	}
}

// setOf parses an index set.
func setOf(t *testing.T, text string) batch.IndexSet {
	set, err := batch.ParseIndexSet(text)
	require.NoError(t, err)
	return set
}

func TestIndexMap(t *testing.T) {
	draw := func(total int, done, failed string, active []int, query map[string][]string) (*indexMap, string) {
		status := batch.Status{UID: "u", Progress: batch.Progress{Total: int64(total)}, CompletedIndexes: setOf(t, done)}
		if failed != "" {
			status.FailedIndexes = new(setOf(t, failed))
		}
		var attempts []batch.AttemptStatus
		for _, i := range active {
			attempts = append(attempts, batch.AttemptStatus{Index: i, JobUID: "u"})
		}
		m := newIndexMap(status, attempts, query)
		rows := make([][]byte, m.Rows)
		for _, run := range m.Runs {
			rows[run.Y] = append(rows[run.Y], strings.Repeat(run.Kind[:1], run.Width)...)
		}
		var text []string
		for _, row := range rows {
			text = append(text, string(row))
		}
		return m, strings.Join(text, "\n")
	}
	_, text := draw(10, "0-3,7", "4", []int{5, 6}, nil)
	require.Equal(t, "ddddfaadoo", text)
	_, text = draw(25, "0-11,24", "", nil, nil)
	require.Equal(t, "dddddddddd\nddoooooooo\nooood", text)
	m, text := draw(10_000_000, "0-4999999,5000003", "9999999", []int{6_000_000}, nil)
	require.Equal(t, 10_000, m.Each)
	require.Equal(t, 20, strings.Count(text, "\n")+1)
	require.Equal(t, 500, strings.Count(text, "d"))
	require.Equal(t, []int{1, 1, 1}, []int{strings.Count(text, "s"), strings.Count(text, "a"), strings.Count(text, "f")})
	require.Less(t, len(m.Runs), 30, "cells of one kind are joined")
	m, text = draw(10_000_000, "0-4999999,5000003", "", nil, map[string][]string{"from": {"5000000"}, "to": {"5000010"}})
	require.Equal(t, "ooodoooooo", text)
	require.Equal(t, 1, m.Each)
	for _, query := range []map[string][]string{{"from": {"-1"}, "to": {"5"}}, {"from": {"5"}, "to": {"5"}},
		{"from": {"0"}, "to": {"99"}}} {
		m, _ = draw(10, "", "", nil, query)
		require.Equal(t, 10, m.To-m.From, "%v shows all", query)
	}
	m, _ = draw(0, "", "", nil, nil)
	require.Zero(t, m.Rows)
}

// A wild error does what no error should.
type wild struct{ unwrap error }

func (w wild) Error() string { panic("no text") }
func (w wild) Unwrap() error { return w.unwrap }

// A loop wraps itself.
type loop struct{}

func (loop) Error() string { return "loop" }
func (loop) Unwrap() error { return loop{} }

func TestErrorChain(t *testing.T) {
	inner := errors.New("inner")
	chain := errorChain(fmt.Errorf("outer: %w", errors.Join(inner, &batch.PanicError{Value: 1, Stack: []byte("stack")})))
	var depths []int
	for _, row := range chain {
		depths = append(depths, row.Depth)
	}
	require.Equal(t, []int{0, 1, 2, 2}, depths)
	require.Equal(t, "stack", chain[3].Stack)
	require.Len(t, errorChain(&batch.PanicError{Value: inner}), 2, "what was panicked with")
	require.Contains(t, errorChain(wild{})[0].Text, "panic: no text")
	require.Len(t, errorChain(loop{}), mostErrors)
	require.Empty(t, errorChain(nil))
}

func TestOutcomes(t *testing.T) {
	at := time.Now()
	disrupted := []batch.Condition{{Type: batch.ConditionDisruptionTarget, Status: "True"}}
	for want, a := range map[string]batch.AttemptStatus{
		"Pending":     {Phase: batch.AttemptPending},
		"Running":     {Phase: batch.AttemptRunning},
		"Waiting":     {Phase: batch.AttemptRunning, RestartAt: at},
		"Terminating": {Phase: batch.AttemptRunning, DeletedAt: at},
		"Abandoned":   {Phase: batch.AttemptRunning, DeletedAt: at, Abandoned: true},
		"Succeeded":   {Phase: batch.AttemptSucceeded},
		"Failed":      {Phase: batch.AttemptFailed, DeletedBy: "timeout"},
		"Stopped":     {Phase: batch.AttemptFailed, DeletedBy: "job-controller"},
		"Disrupted":   {Phase: batch.AttemptFailed, DeletedBy: "eviction", Conditions: disrupted},
	} {
		require.Equal(t, want, outcomeOf(a))
	}
}

// TestChoose: attempts that run are shown before those that have ended.
func TestChoose(t *testing.T) {
	var attempts []batch.AttemptStatus
	for i := range 10 {
		a := batch.AttemptStatus{Ordinal: i, Index: i % 2, CreatedAt: time.Unix(int64(i), 0), FinishedAt: time.Unix(100, 0)}
		if i == 1 {
			a.FinishedAt = time.Time{}
		}
		attempts = append(attempts, a)
	}
	shown := func(index, most int) (ordinals []int, others int) {
		p := &jobPage{Index: index}
		p.choose(attempts, most)
		for _, a := range p.Attempts {
			ordinals = append(ordinals, a.Ordinal)
		}
		return ordinals, p.Others
	}
	ordinals, others := shown(-1, 4)
	require.Equal(t, []int{9, 8, 7, 1}, ordinals)
	require.Equal(t, 6, others)
	ordinals, others = shown(0, 100)
	require.Equal(t, []int{8, 6, 4, 2, 0}, ordinals)
	require.Zero(t, others)
}

// TestWait: a hub waits for a change of any job, or for a log that grows, and no
// longer than there can be one.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := batch.New(t.Context(), batch.Options{})
		require.NoError(t, err)
		v := new(view)
		h := &hub{controller: c, views: map[string]*view{"": v}, wake: func() {}}
		ctx, cancel := context.WithCancel(t.Context())
		waits := func(ctx context.Context, since uint64) <-chan bool {
			answer := make(chan bool, 1)
			go func() { answer <- h.wait(ctx, since) }()
			synctest.Wait()
			return answer
		}
		answer := waits(ctx, c.Revision())
		require.Empty(t, answer, "nothing has changed")
		executor := batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })
		require.NoError(t, c.Create(t.Context(), batch.Job{Name: "a", Suspend: true, Executor: executor}))
		require.True(t, <-answer, "a job was created")
		answer = waits(ctx, c.Revision())
		h.touch(v)
		require.True(t, <-answer, "a log has grown")
		require.True(t, <-waits(ctx, c.Revision()), "it had grown before")
		v.stale.Store(false)
		require.True(t, <-waits(ctx, 1<<60), "what is unknown may have changed")
		answer = waits(ctx, c.Revision())
		require.NoError(t, c.Delete(t.Context(), "a", batch.DeleteBackground))
		require.True(t, <-answer, "a job was deleted")
		answer = waits(ctx, c.Revision())
		cancel()
		require.False(t, <-answer, "no page is open")
		answer = waits(t.Context(), c.Revision())
		require.NoError(t, c.Shutdown(t.Context()))
		require.False(t, <-answer, "the controller has ended")
	})
}

func TestAContentThatPanicsSaysSo(t *testing.T) {
	c, err := batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	v := &view{hub: &hub{controller: c}, content: &content{look: func() (shown, error) { panic("oops") }}}
	v.make()
	require.Len(t, v.now().list, 1)
	require.Contains(t, v.now().list[0].HTML, "page: panic: oops")
	require.NoError(t, c.Shutdown(t.Context()))
}
