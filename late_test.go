package batch_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// TestLateErrorOfALostAttempt wants what a lost attempt returns to change nothing.
func TestLateErrorOfALostAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		release := make(chan struct{})
		mustCreate(t, c, batch.Job{
			Name: "j", BackoffLimit: new(0), Executor: fn(func(context.Context) error { <-release; return errDisk }),
		})
		settle()
		require.NoError(t, c.Disrupt(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, "DeletionByPodGC"))
		before, first := c.Wait(t.Context(), "j")
		close(release)
		settle()
		after, second := c.Wait(t.Context(), "j")
		require.Equal(t, before.LastFailure, after.LastFailure)
		require.Equal(t, before.Revision, after.Revision)
		require.EqualError(t, second, first.Error())
		require.NotErrorIs(t, second, errDisk)
	})
}
