package cron

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A mortalStore ends its process at a commit: that one is done or not, and nothing
// after it is.
type mortalStore struct {
	disk  *batchtest.MemoryStore
	mu    sync.Mutex
	left  int  // commits until the end; below zero for none
	after bool // the last commit is done
	ended chan struct{}
}

var errEnded = errors.New("the process has ended")

func (s *mortalStore) Load(ctx context.Context) iter.Seq2[batch.Record, error] {
	return s.disk.Load(ctx)
}

func (s *mortalStore) Commit(ctx context.Context, records []batch.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isOver() {
		return errEnded
	}
	s.left--
	if s.left != 0 || s.after {
		if err := s.disk.Commit(ctx, records); err != nil {
			return err
		}
	}
	if s.left == 0 {
		close(s.ended)
		return errEnded
	}
	return nil
}

func (s *mortalStore) isOver() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// A ledger is what executors have done, over all processes.
type ledger struct {
	mu   sync.Mutex
	jobs map[int64]map[string]bool // UIDs by scheduled time, in seconds
}

func (l *ledger) write(at time.Time, uid string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.jobs[at.Unix()] == nil {
		l.jobs[at.Unix()] = make(map[string]bool)
	}
	l.jobs[at.Unix()][uid] = true
}

// live is one process: it ends at the store's end, or at the given time.
func live(t *testing.T, store *mortalStore, l *ledger, job CronJob, until time.Time) {
	b, err := batch.New(t.Context(), batch.Options{Store: store})
	if err != nil {
		require.True(t, store.isOver(), "%v", err)
		return
	}
	c, err := New(b, Options{})
	if err == nil {
		job.Job.Executor = batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			at, ok := ScheduledTime(ctx)
			if !store.isOver() { // what an ended process does is not seen
				require.True(t, ok)
				l.write(at, a.Token()[:36])
			}
			select {
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
			}
			return nil
		})
		if _, err = c.Apply(t.Context(), job); err == nil {
			select {
			case <-store.ended:
			case <-time.After(time.Until(until)):
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		if store.isOver() { // nothing is waited for in a process that has ended
			cancel()
		}
		if err := c.Shutdown(ctx); !store.isOver() {
			require.NoError(t, err)
		}
		cancel()
	}
	require.True(t, err == nil || store.isOver(), "%v", err)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := b.Shutdown(stopped); !store.isOver() {
		require.NoError(t, err)
	}
}

// TestCrash_EachTimeIsStartedOnce ends the process at every commit, and again at
// another one soon after it. Each scheduled time is started, and by one job only.
func TestCrash_EachTimeIsStartedOnce(t *testing.T) {
	const minutes = 5
	for name, job := range map[string]CronJob{
		"allow":              {},
		"forbid, no history": {ConcurrencyPolicy: Forbid, SuccessfulJobsHistoryLimit: new(0)},
		"replace, no TTL":    {ConcurrencyPolicy: Replace, Job: batch.Job{TTLAfterFinished: new(time.Duration(0))}},
	} {
		job.Name, job.Schedule, job.TimeZone = "cron", "* * * * *", "Europe/Berlin"
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after the commit: %v", name, after), func(t *testing.T) {
				t.Parallel()
				for n, over := 3, false; !over; n++ { // the first two commits begin the store and declare the CronJob
					synctest.Test(t, func(t *testing.T) { over = !crashAt(t, job, n, after, minutes) })
				}
			})
		}
	}
}

// crashAt reports whether the process ended before the last minute.
func crashAt(t *testing.T, job CronJob, n int, after bool, minutes int) (ended bool) {
	start := time.Now()
	end := start.Add(time.Duration(minutes)*time.Minute + 30*time.Second)
	disk, l := new(batchtest.MemoryStore), &ledger{jobs: make(map[int64]map[string]bool)}
	for process, left := range []int{n, 1 + n*7%23, -1} {
		store := &mortalStore{disk: disk, left: left, after: after, ended: make(chan struct{})}
		live(t, store, l, job, end)
		ended = ended || process == 0 && store.isOver()
		if !time.Now().Before(end) {
			break
		}
	}
	for i := range minutes {
		at := start.Add(time.Duration(i+1) * time.Minute)
		require.Len(t, l.jobs[at.Unix()], 1, "jobs for minute %d with an end at commit %d", i+1, n)
	}
	return ended
}
