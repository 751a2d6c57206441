package batch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

// An attempt's directory goes with it, however it ends.
func TestScratchDirectoryIsRemoved(t *testing.T) {
	tests := map[string]func(t *testing.T, c *batch.Controller, attempt string){
		"deleted while it waits for its restart": func(t *testing.T, c *batch.Controller, attempt string) {
			require.NoError(t, c.DeleteAttempt(t.Context(), "j", attempt))
		},
		"evicted while it waits for its restart": func(t *testing.T, c *batch.Controller, attempt string) {
			require.NoError(t, c.Disrupt(t.Context(), "j", attempt, "PreemptionByScheduler"))
		},
		"lost while it waits for its restart": func(t *testing.T, c *batch.Controller, attempt string) {
			require.NoError(t, c.Disrupt(t.Context(), "j", attempt, "DeletionByPodGC"))
		},
		"its job is deleted while it waits for its restart": func(t *testing.T, c *batch.Controller, _ string) {
			require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteBackground))
		},
		"its job is orphaned while it waits for its restart": func(t *testing.T, c *batch.Controller, _ string) {
			require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteOrphan))
			time.Sleep(time.Minute)
			synctest.Wait()
		},
		"its job is suspended while it waits for its restart": func(t *testing.T, c *batch.Controller, _ string) {
			require.NoError(t, c.Suspend(t.Context(), "j"))
		},
		"its time is over while it waits for its restart": func(t *testing.T, c *batch.Controller, _ string) {
			time.Sleep(9 * time.Second)
			synctest.Wait()
		},
		"the controller is shut down while it waits for its restart": func(t *testing.T, c *batch.Controller, _ string) {
			require.NoError(t, c.Shutdown(t.Context()))
		},
	}
	for name, end := range tests {
		for _, limit := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, MaxActive %d", name, limit), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newController(t, batch.Options{MaxActive: limit})
					dir := ""
					mustCreate(t, c, batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure, AttemptTimeout: new(9 * time.Second),
						Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
							if a.Number > 0 || a.Restarts > 1 {
								return nil
							}
							var err error
							dir, err = a.Dir()
							require.NoError(t, err)
							return exit(3)
						})})
					time.Sleep(time.Second)
					synctest.Wait()
					list := attemptsOf(t, c, "j")
					require.Len(t, list, 1)
					require.NotZero(t, list[0].RestartAt)
					require.DirExists(t, dir)
					end(t, c, list[0].Name)
					synctest.Wait()
					require.NoDirExists(t, dir)
				})
			})
		}
	}
}

func TestRunRemovesScratchDirectories(t *testing.T) {
	for range 20 { // what Run does when its context ends must not be left to chance
		bubble(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			dir := ""
			_, err := batch.Run(ctx, batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure,
				Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) (err error) {
					dir, err = a.Dir()
					require.NoError(t, err)
					return exit(3)
				})})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NoDirExists(t, dir)
		})
	}
}

func TestDirIsMadeOnce(t *testing.T) {
	var dirs sync.Map
	status, err := batch.Run(t.Context(), batch.Job{Name: "j",
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					dir, err := a.Dir()
					if err != nil {
						t.Error(err)
					}
					dirs.Store(dir, true)
				})
			}
			wg.Wait()
			return nil
		})})
	require.NoError(t, err)
	require.Equal(t, 1, status.Succeeded)
	n := 0
	for dir := range dirs.Range {
		n++
		require.NoDirExists(t, dir.(string))
	}
	require.Equal(t, 1, n)
}

// TestDirectoryOfAKilledProcessThatWaited kills the process while an attempt waits for its
// restart: it finds its directory again, which is removed in the end.
func TestDirectoryOfAKilledProcessThatWaited(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	bubble(t, func(t *testing.T) {
		var store disk
		job := batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure, RestartBackoff: batch.ConstantBackoff(time.Minute),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Restarts == 0 {
					return errors.Join(errDisk, fillDir(a, 3))
				}
				dir, err := a.Dir()
				files, missing := os.ReadDir(dir)
				if len(files) != 3 {
					t.Errorf("%d files are left", len(files))
				}
				return errors.Join(err, missing)
			})}
		c := newController(t, batch.Options{Store: &store})
		mustCreate(t, c, job)
		settle()
		left := crash(t, c, &store)
		c = newController(t, batch.Options{Store: left})
		apply(t, c, job)
		complete(t, c, "j")
		shut(t, c)
		dirs, err := os.ReadDir(os.TempDir())
		require.NoError(t, err)
		require.Empty(t, dirs)
	})
}
