package batch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

func TestEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		start := time.Now()
		events := func(job string) []batch.Event {
			list, err := c.Events(t.Context(), job)
			require.NoError(t, err)
			attempts := attemptsOf(t, c, job)
			for i := range list {
				list[i].At = time.Time{}.Add(list[i].At.Sub(start))
				for _, a := range attempts {
					list[i].Message = strings.ReplaceAll(list[i].Message, a.Name, fmt.Sprint("attempt ", a.Number))
				}
			}
			return list
		}
		at := func(d time.Duration) time.Time { return time.Time{}.Add(d) }
		mustCreate(t, c, batch.Job{Name: "fails", BackoffLimit: new(1), Executor: fails(errDisk)})
		_, err := c.Wait(t.Context(), "fails")
		failed(t, err, batch.ReasonBackoffLimitExceeded)
		require.Equal(t, []batch.Event{
			{Type: "Normal", Reason: "SuccessfulCreate", Message: "Created pod: attempt 0", At: at(0)},
			{Type: "Normal", Reason: "SuccessfulCreate", Message: "Created pod: attempt 1", At: at(10 * time.Second)},
			{
				Type: "Warning", Reason: batch.ReasonBackoffLimitExceeded, Message: "Job has reached the specified backoff limit",
				At: at(10 * time.Second),
			},
		}, events("fails"))

		start = time.Now()
		mustCreate(t, c, batch.Job{Name: "stops", Suspend: true, Executor: takes(time.Second)})
		time.Sleep(time.Millisecond)
		require.NoError(t, c.Resume(t.Context(), "stops"))
		time.Sleep(time.Millisecond)
		require.NoError(t, c.Suspend(t.Context(), "stops"))
		time.Sleep(time.Millisecond)
		require.NoError(t, c.Resume(t.Context(), "stops"))
		_, err = c.Wait(t.Context(), "stops")
		require.NoError(t, err)
		require.Equal(t, []batch.Event{
			{Type: "Normal", Reason: "Suspended", Message: "Job suspended", At: at(0 * time.Millisecond)},
			{Type: "Normal", Reason: "SuccessfulCreate", Message: "Created pod: attempt 0", At: at(1 * time.Millisecond)},
			{Type: "Normal", Reason: "Resumed", Message: "Job resumed", At: at(1 * time.Millisecond)},
			{Type: "Normal", Reason: "SuccessfulDelete", Message: "Deleted pod: attempt 0", At: at(2 * time.Millisecond)},
			{Type: "Normal", Reason: "Suspended", Message: "Job suspended", At: at(2 * time.Millisecond)},
			{Type: "Normal", Reason: "SuccessfulCreate", Message: "Created pod: attempt 1", At: at(3 * time.Millisecond)},
			{Type: "Normal", Reason: "Resumed", Message: "Job resumed", At: at(3 * time.Millisecond)},
			{Type: "Normal", Reason: "Completed", Message: "Job completed", At: at(1003 * time.Millisecond)},
		}, events("stops"))

		mustCreate(t, c, batch.Job{Name: "many", Completions: new(1000), Executor: succeed})
		_, err = c.Wait(t.Context(), "many")
		require.NoError(t, err)
		list := events("many")
		require.LessOrEqual(t, len(list), 300)
		require.Equal(t, "Completed", list[len(list)-1].Reason)
	})
}

// The last failure's text is that of the last failure.
func TestLastFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(2),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				if a.Index == 0 {
					return errDisk
				}
				<-ctx.Done()
				return errors.New("I was stopped")
			})})
		synctest.Wait()
		require.NoError(t, c.Suspend(t.Context(), "j"))
		settle()
		f := get(t, c, "j").LastFailure
		f.Attempt = ""
		require.Equal(t, batch.AttemptError{Index: 0, Failures: 1, ExitCode: 1, Message: "disk full", At: f.At}, *f)
	})
}
