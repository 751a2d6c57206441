package batch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

func TestSuspendAndResume(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		start := time.Now()
		mustCreate(t, c, batch.Job{Name: "j", Completions: new(4), Parallelism: new(2), ActiveDeadline: new(3 * time.Hour),
			Executor: fn(func(ctx context.Context) error {
				if err := sleep(ctx, time.Hour); err != exit(3) {
					return err
				}
				return nil
			})})
		time.Sleep(time.Minute)
		require.NoError(t, c.Suspend(t.Context(), "j"))
		synctest.Wait()
		s := get(t, c, "j")
		require.Zero(t, s.Active+s.Failed+s.Terminating)
		require.Zero(t, s.StartTime, "R234")
		require.Equal(t, "Suspended", s.State())
		require.Nil(t, s.LastFailure, "nothing has failed")
		require.Equal(t, []batch.Condition{{Type: batch.ConditionSuspended, Status: "True", Reason: "JobSuspended",
			Message: "Job suspended", LastTransitionTime: start.Add(time.Minute)}}, s.Conditions)
		time.Sleep(24 * time.Hour)
		require.NoError(t, c.Resume(t.Context(), "j"))
		s = get(t, c, "j")
		require.Equal(t, 2, s.Active)
		require.Equal(t, time.Now(), s.StartTime)
		s, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
		require.Equal(t, start.Add(26*time.Hour+time.Minute), s.CompletionTime)
		require.Equal(t, "False", s.Conditions[0].Status)

		var events []string
		list, err := c.Events(t.Context(), "j")
		require.NoError(t, err)
		for _, e := range list {
			events = append(events, e.Reason)
		}
		require.Equal(t, []string{"SuccessfulCreate", "SuccessfulCreate", "SuccessfulDelete", "SuccessfulDelete", "Suspended",
			"SuccessfulCreate", "SuccessfulCreate", "Resumed", "SuccessfulCreate", "SuccessfulCreate", "Completed"}, events)
	})
}
