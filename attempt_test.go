package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

func TestAttemptIdentity(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lockedBuffer
		c := newController(t, batch.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		seen := map[string]bool{}
		mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				for _, id := range []string{a.Name(), a.UID(), a.Token()} {
					require.False(t, seen[id], id)
					seen[id] = true
				}
				require.Regexp(t, fmt.Sprintf(`^j-%d-[bcdfghjklmnpqrstvwxz2456789]{5}$`, a.Index), a.Name(), "R117")
				require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, a.UID())
				require.Equal(t, fmt.Sprintf("%s/%d/%d", get(t, c, "j").UID, a.Index, a.Number), a.Token())
				a.Logger().Info("hello", "number", a.Number)
				a.Progress(1, 2, "half")
				if a.Number == 0 && a.Index == 1 {
					return errDisk
				}
				return nil
			})})
		_, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
		list := attemptsOf(t, c, "j")
		require.Len(t, list, 3)
		for _, a := range list {
			require.True(t, seen[a.Name] && seen[a.UID])
			require.Equal(t, batch.Progress{Done: 1, Total: 2, Phase: "half"}, a.Progress)
			lines := logOf(t, c, "j", a.Name)
			require.Len(t, lines, 1)
			require.Contains(t, lines[0], "msg=hello number=")
			require.Equal(t, lines, logOf(t, c, "j", a.UID))
			require.Contains(
				t, log.String(), fmt.Sprintf("msg=hello job=j attempt=%s index=%d number=%d", a.Name, a.Index, a.Number),
			)
		}
	})
}

func TestLabelsOfAnAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		job := batch.Job{Name: "j", Labels: map[string]string{"team": "a"}, Annotations: map[string]string{"by": "me"},
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				require.Equal(t, map[string]string{"team": "a"}, a.Labels())
				require.Equal(t, map[string]string{"by": "me"}, a.Annotations())
				a.Labels()["team"] = "b"
				require.Equal(t, map[string]string{"team": "a"}, a.Labels())
				time.Sleep(time.Minute)
				require.Equal(t, map[string]string{"team": "c"}, a.Labels())
				return nil
			})}
		apply(t, c, job)
		settle()
		require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Labels["team"] = "c" }))
		complete(t, c, "j")
	})
}

func TestZeroAttempt(t *testing.T) {
	var a batch.Attempt
	testEndedAttempt(t, a)
	require.Empty(t, a.Name())
	require.Empty(t, a.UID())
	require.Empty(t, a.Token())
	require.Error(t, batch.Command{Args: []string{"true"}}.Execute(ended(errDisk), a))
}

// After a restart in place, the attempt of the run before has no say.
func TestAttemptOfAnEarlierRun(t *testing.T) {
	for _, limit := range []int{0, 1} {
		t.Run(fmt.Sprint("MaxActive ", limit), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{MaxActive: limit})
				var first batch.Attempt
				mustCreate(t, c, batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure,
					Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
						if a.Restarts == 0 {
							first = a
							return errDisk
						}
						testEndedAttempt(t, first)
						a.SetOutput("mine")
						return a.SetCondition(batch.Condition{Type: "mine", Status: "True"})
					})})
				_, err := c.Wait(t.Context(), "j")
				require.NoError(t, err)
				require.Equal(t, "mine", attemptsOf(t, c, "j")[0].Output)
			})
		})
	}
}

// An executor leaves goroutines behind that use its context, or its attempt,
// only when it has returned.
func TestWhatIsLeftBehind(t *testing.T) {
	for _, result := range []error{nil, errDisk} {
		t.Run(fmt.Sprint("result ", result), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				var wg sync.WaitGroup
				var attempt batch.Attempt
				var stdout interface{ Write([]byte) (int, error) }
				left := make(chan error, 3)
				mustCreate(t, c, batch.Job{Name: "j", BackoffLimit: new(0),
					Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
						attempt, stdout = a, a.Stdout()
						wg.Go(func() { time.Sleep(time.Minute); <-ctx.Done(); left <- context.Cause(ctx) })
						wg.Go(func() { time.Sleep(time.Minute); left <- ctx.Err() })
						wg.Go(func() {
							time.Sleep(time.Minute)
							child, cancel := context.WithCancel(ctx)
							defer cancel()
							left <- context.Cause(child)
						})
						return result
					})})
				before, err := c.Wait(t.Context(), "j")
				require.ErrorIs(t, err, result)
				wg.Wait()
				for range 3 {
					err := <-left
					require.True(t, errors.Is(err, batch.ErrAttemptEnded) || errors.Is(err, context.Canceled), "%v", err)
				}
				testEndedAttempt(t, attempt)
				_, err = stdout.Write([]byte("late\n"))
				require.ErrorIs(t, err, batch.ErrAttemptEnded)

				after := get(t, c, "j")
				before.Revision, after.Revision = 0, 0
				require.Equal(t, before, after)
				status := attemptsOf(t, c, "j")[0]
				require.Empty(t, status.Output)
				require.Empty(t, status.Conditions)
				require.Zero(t, status.Progress)
				for range c.Logs(t.Context(), "j", status.Name, -1, false) {
					t.Error("a late line is in the log")
				}
			})
		})
	}
}

// testEndedAttempt calls all methods of an attempt that has ended.
func testEndedAttempt(t *testing.T, a batch.Attempt) {
	t.Helper()
	a.Started()
	a.SetReady(false)
	a.SetOutput("late")
	a.Progress(1, 2, "late")
	require.ErrorIs(t, a.SetCondition(batch.Condition{Type: "late", Status: "True"}), batch.ErrAttemptEnded)
	dir, err := a.Dir()
	require.ErrorIs(t, err, batch.ErrAttemptEnded)
	require.Empty(t, dir)
	for _, w := range []interface{ Write([]byte) (int, error) }{a.Stdout(), a.Stderr()} {
		n, err := w.Write([]byte("late\n"))
		require.ErrorIs(t, err, batch.ErrAttemptEnded)
		require.Zero(t, n)
	}
	a.Logger().Debug("late")
}

func TestSetCondition(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		start := time.Now()
		mustCreate(t, c, batch.Job{Name: "j", Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			set := func(c batch.Condition) { require.NoError(t, a.SetCondition(c)) }
			require.ErrorContains(
				t, a.SetCondition(batch.Condition{Type: "not a name", Status: "True"}), `batch: condition type "not a name"`,
			)
			require.ErrorContains(
				t, a.SetCondition(batch.Condition{Type: "ok", Status: "true"}), `must be True, False or Unknown`,
			)
			set(batch.Condition{
				Type: "example.com/warm", Status: "True", Reason: "First", LastTransitionTime: start.Add(time.Hour),
			})
			set(batch.Condition{Type: "another", Status: "Unknown"})
			time.Sleep(time.Minute)
			set(batch.Condition{Type: "example.com/warm", Status: "True", Reason: "Second", Message: "still"})
			set(batch.Condition{Type: "another", Status: "False"})
			return nil
		})})
		_, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
		require.Equal(t, []batch.Condition{
			{Type: "example.com/warm", Status: "True", Reason: "Second", Message: "still", LastTransitionTime: start},
			{Type: "another", Status: "False", LastTransitionTime: start.Add(time.Minute)},
		}, attemptsOf(t, c, "j")[0].Conditions)
	})
}
