package batch_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

var deleteTests = map[string]struct {
	propagation string
	gone        bool // at once
	ended       time.Duration
	phase       string
	by          string
}{
	"background": {
		propagation: batch.DeleteBackground, gone: true, ended: 10 * time.Second, phase: batch.AttemptFailed, by: "gc",
	},
	"foreground": {propagation: batch.DeleteForeground, ended: 10 * time.Second, phase: batch.AttemptFailed, by: "gc"},
	"orphan":     {propagation: batch.DeleteOrphan, gone: true, ended: time.Hour, phase: batch.AttemptRunning},
}

func TestDelete(t *testing.T) {
	for name, test := range deleteTests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				job := batch.Job{Name: "j", Completions: new(3),
					Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
						if a.Number == 0 {
							return nil
						}
						fmt.Fprintln(a.Stdout(), "hello")
						if err := sleep(ctx, time.Hour); err != exit(3) {
							time.Sleep(10 * time.Second)
							return err
						}
						return nil
					})}
				mustCreate(t, c, job)
				synctest.Wait()
				old := attemptsOf(t, c, "j")[1]
				waited := make(chan error, 1)
				go func() { _, err := c.Wait(t.Context(), "j"); waited <- err }()
				synctest.Wait()
				require.NoError(t, c.Delete(t.Context(), "j", test.propagation))
				if test.gone {
					require.ErrorIs(t, <-waited, batch.ErrDeleted)
					checkNameIsFree(t, c, job, old)
				} else {
					require.Equal(t, "Terminating", get(t, c, "j").State())
					require.NotZero(t, get(t, c, "j").DeletedAt)
					require.ErrorIs(t, c.Create(t.Context(), job), batch.ErrExists)
					require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteForeground), "asked again")
				}
				if test.by != "" {
					list := attemptsOf(t, c, "j")
					i := slices.IndexFunc(list, func(a batch.AttemptStatus) bool { return a.UID == old.UID })
					require.Equal(t, test.by, list[i].DeletedBy)
				}
				time.Sleep(test.ended + time.Millisecond)
				synctest.Wait()
				for _, a := range attemptsIfAny(c, "j") {
					require.NotEqual(t, old.UID, a.UID, "%v is still listed", a)
				}
				if !test.gone {
					require.ErrorIs(t, <-waited, batch.ErrDeleted)
					_, err := c.Get("j")
					require.ErrorIs(t, err, batch.ErrNotFound)
				}
			})
		})
	}
}

// checkNameIsFree creates a job of the name of one that was deleted while its attempt old
// still runs. The attempts of both are listed.
func checkNameIsFree(t *testing.T, c *batch.Controller, job batch.Job, old batch.AttemptStatus) {
	t.Helper()
	_, err := c.Get("j")
	require.ErrorIs(t, err, batch.ErrNotFound)
	_, err = c.Events(t.Context(), "j")
	require.ErrorIs(t, err, batch.ErrNotFound)

	mustCreate(t, c, job)
	synctest.Wait()
	list := attemptsOf(t, c, "j")
	require.Len(t, list, 3, "the old one that has not ended, and two new ones")
	require.Equal(t, old.UID, list[0].UID)
	require.NotEqual(t, list[0].JobUID, list[1].JobUID)
	require.Equal(t, []string{"hello"}, logOf(t, c, "j", old.Name))
	require.Equal(t, 1, get(t, c, "j").Succeeded)
	require.Equal(t, 0, get(t, c, "j").Terminating)
}

func TestDeleteFreesTheNameAtOnceManyTimes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		for range 100 {
			mustCreate(t, c, batch.Job{Name: "j", Parallelism: new(3), Executor: takes(time.Minute)})
			require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteBackground))
		}
		require.Len(t, attemptsOf(t, c, "j"), 300)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		_, err := c.Attempts(t.Context(), "j")
		require.ErrorIs(t, err, batch.ErrNotFound)
	})
}
