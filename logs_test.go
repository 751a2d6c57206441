package batch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

func TestLogs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		start := time.Now()
		mustCreate(t, c, batch.Job{Name: "j", Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			for i := range 5 {
				fmt.Fprintf(a.Stdout(), "line %d\n", i)
				time.Sleep(time.Second)
			}
			fmt.Fprint(a.Stderr(), "the end")
			return nil
		})})
		synctest.Wait()
		name := attemptsOf(t, c, "j")[0].Name
		read := func(ctx context.Context, tail int, follow bool, most int) (lines []string, err error) {
			for line, e := range c.Logs(ctx, "j", name, tail, follow) {
				if e != nil {
					return lines, e
				}
				if lines = append(lines, line.Text); len(lines) == most {
					break
				}
			}
			return lines, nil
		}
		time.Sleep(2500 * time.Millisecond)
		lines, err := read(t.Context(), -1, false, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"line 0", "line 1", "line 2"}, lines)
		lines, err = read(t.Context(), 2, false, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"line 1", "line 2"}, lines)
		lines, err = read(t.Context(), 0, false, 0)
		require.NoError(t, err)
		require.Empty(t, lines)
		lines, err = read(t.Context(), 0, true, 1)
		require.NoError(t, err)
		require.Equal(t, []string{"line 3"}, lines)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		lines, err = read(ctx, 1, true, 0)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, []string{"line 3"}, lines)
		lines, err = read(t.Context(), 1, true, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"line 3", "line 4", "the end"}, lines)
		lines, err = read(t.Context(), -1, true, 0)
		require.NoError(t, err)
		require.Len(t, lines, 6)
		_, err = read(ended(errCause), -1, false, 0)
		require.ErrorIs(t, err, errCause)

		var first batch.LogLine
		for line := range c.Logs(t.Context(), "j", name, 1, false) {
			first = line
		}
		require.Equal(t, batch.LogLine{Time: start.Add(5 * time.Second), Stream: "stderr", Text: "the end"}, first)
	})
}

// A follower of an attempt that waits for its turn sees it run.
func TestLogsOfAPendingAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 1})
		mustCreate(t, c, batch.Job{Name: "other", Executor: takes(time.Hour)})
		mustCreate(t, c, batch.Job{Name: "j", Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			fmt.Fprintln(a.Stdout(), "hello")
			return nil
		})})
		var lines []string
		for line, err := range c.Logs(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, -1, true) {
			require.NoError(t, err)
			lines = append(lines, line.Text)
		}
		require.Equal(t, []string{"hello"}, lines)
	})
}

// TestCutLines wants what was cut to be one line again.
func TestCutLines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		long := strings.Repeat("x", 40_000)
		mustCreate(t, c, batch.Job{Name: "j", Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			fmt.Fprintln(a.Stdout(), long)
			fmt.Fprintln(a.Stdout(), "end")
			return nil
		})})
		_, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
		var cut []bool
		text := ""
		for line, err := range c.Logs(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, -1, false) {
			require.NoError(t, err)
			cut = append(cut, line.Cut)
			if text += line.Text; !line.Cut {
				text += "\n"
			}
		}
		require.Equal(t, []bool{true, true, false, false}, cut)
		require.Equal(t, long+"\nend\n", text)
	})
}

func TestLogsThatAreDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		for _, limit := range []int{0, 200} {
			mustCreate(t, c, batch.Job{Name: fmt.Sprint("j", limit), LogLimit: &limit,
				Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
					for i := range 100 {
						fmt.Fprintln(a.Stdout(), i)
					}
					return nil
				})})
		}
		_, err := c.Wait(t.Context(), "j200")
		require.NoError(t, err)
		kept := 0
		for line := range c.Logs(t.Context(), "j200", attemptsOf(t, c, "j200")[0].Name, -1, false) {
			if kept == 0 {
				require.Equal(t, line.Text, fmt.Sprint(line.Dropped))
			}
			kept++
		}
		require.Positive(t, kept)
		_, err = c.Wait(t.Context(), "j0")
		require.NoError(t, err)
		require.Empty(t, logOf(t, c, "j0", attemptsOf(t, c, "j0")[0].Name))
	})
}

func TestLogFlood(t *testing.T) {
	c := newController(t, batch.Options{})
	line := append(bytes.Repeat([]byte("x"), 4095), '\n')
	var before, after runtime.MemStats
	mustCreate(t, c, batch.Job{Name: "j", LogLimit: new(64 << 10),
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			w := a.Stdout()
			runtime.GC()
			runtime.ReadMemStats(&before)
			for range 64 << 20 / len(line) {
				w.Write(line)
			}
			w.Write(bytes.Repeat([]byte("y"), 8<<20)) // one line
			runtime.GC()
			runtime.ReadMemStats(&after)
			a.SetOutput(strings.Repeat("z", 1<<20))
			return nil
		})})
	_, err := c.Wait(t.Context(), "j")
	require.NoError(t, err)
	a := attemptsOf(t, c, "j")[0]
	size := 0
	for _, text := range logOf(t, c, "j", a.Name) {
		size += len(text)
	}
	require.LessOrEqual(t, size, 64<<10)
	require.Len(t, a.Output, 4096)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(2<<20))
}

// TestLogsWhoseContextHasEnded wants its cause, not a log that seems to be whole.
func TestLogsWhoseContextHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		_, err := c.Run(t.Context(), batch.Job{Name: "j",
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				for i := range 3 {
					fmt.Fprintln(a.Stdout(), i)
				}
				return nil
			})})
		require.NoError(t, err)
		for _, follow := range []bool{false, true} {
			for end := range 4 {
				ctx, cancel := context.WithCancelCause(t.Context())
				var lines int
				var last error
				if end == 0 {
					cancel(errCause)
				}
				for _, err := range c.Logs(ctx, "j", attemptsOf(t, c, "j")[0].Name, -1, follow) {
					if last = err; err != nil {
						break
					}
					if lines++; lines == end {
						cancel(errCause)
					}
				}
				cancel(nil)
				require.True(t, errors.Is(last, errCause) || follow && end == 3, "follow %v, end %d: %v", follow, end, last)
			}
		}
	})
}
