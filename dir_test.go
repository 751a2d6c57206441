package batch_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// TestDirectoryOverARestart wants an attempt that waits for its restart to find its
// directory again in the next process, and it to be removed in the end.
func TestDirectoryOverARestart(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		var dirs []string
		job := batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure, RestartBackoff: batch.ConstantBackoff(time.Minute),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				dir, err := a.Dir()
				dirs = append(dirs, dir)
				file := filepath.Join(dir, "file")
				if len(dirs) == 1 {
					return errors.Join(errDisk, err, os.WriteFile(file, []byte("kept"), 0o600))
				}
				_, missing := os.Stat(file)
				return errors.Join(err, missing)
			})}
		c := newController(t, batch.Options{Store: store})
		mustCreate(t, c, job)
		settle()
		require.NoError(t, c.Shutdown(ended(errCause)))
		require.DirExists(t, dirs[0])
		c = newController(t, batch.Options{Store: store})
		_, err := c.Apply(t.Context(), job)
		require.NoError(t, err)
		_, err = c.Wait(t.Context(), "j")
		require.NoError(t, err)
		require.Len(t, dirs, 2)
		require.Equal(t, dirs[0], dirs[1])
		require.NoDirExists(t, dirs[0])
	})
}

// TestDirectoryOfAKilledProcess wants the next process to remove what a process that
// was killed has left. If nothing of the attempt was stored, it is repeated under its
// name, and has the directory anew.
func TestDirectoryOfAKilledProcess(t *testing.T) {
	for name, isStored := range map[string]bool{"the attempt was stored": true, "it was not": false} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			bubble(t, func(t *testing.T) {
				store, killed := new(batchtest.MemoryStore), new(batchtest.MemoryStore)
				kill := func() { require.NoError(t, killed.Commit(t.Context(), recordsOf(t, store))) }
				made := make(chan string, 1)
				var calls atomic.Int64
				job := batch.Job{Name: "j", Backoff: batch.ConstantBackoff(0),
					Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
						if calls.Add(1) > 1 && isStored {
							return nil
						}
						dir, err := a.Dir()
						if calls.Load() > 1 {
							return err
						}
						if err := fillDir(a, 3); err != nil {
							return err
						}
						made <- dir
						return sleepUnlessDone(ctx, 24*time.Hour)
					})}
				first, err := batch.New(t.Context(), batch.Options{Store: store})
				require.NoError(t, err)
				job.Suspend = true
				mustCreate(t, first, job)
				if !isStored {
					kill()
				}
				require.NoError(t, first.Resume(t.Context(), "j"))
				dir := <-made
				settle()
				if isStored {
					kill()
				}
				job.Suspend = false
				c := newController(t, batch.Options{Store: killed})
				_, err = c.Apply(t.Context(), job)
				require.NoError(t, err)
				_, err = c.Wait(t.Context(), "j")
				require.NoError(t, err)
				require.NoDirExists(t, dir)
				require.NoError(t, first.Shutdown(ended(errCause)))
			})
		})
	}
}

func recordsOf(t *testing.T, s batch.Store) (records []batch.Record) {
	for r, err := range s.Load(t.Context()) {
		require.NoError(t, err)
		records = append(records, r)
	}
	return records
}
