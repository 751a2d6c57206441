package batch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// newController returns a controller that logs to the test and is shut down,
// hard, at its end: then nothing of it may be left.
func newController(t *testing.T, o batch.Options) *batch.Controller {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	c, err := batch.New(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Shutdown(ended(errors.New("the test is over")))) })
	return c
}

// mustCreate creates a job that must be valid.
func mustCreate(t *testing.T, c *batch.Controller, job batch.Job) {
	t.Helper()
	require.NoError(t, c.Create(t.Context(), job))
}

// apply declares a job that must be valid.
func apply(t *testing.T, c *batch.Controller, job batch.Job) batch.Status {
	t.Helper()
	s, err := c.Apply(t.Context(), job)
	require.NoError(t, err)
	return s
}

func get(t *testing.T, c *batch.Controller, name string) batch.Status {
	t.Helper()
	s, err := c.Get(name)
	require.NoError(t, err)
	return s
}

func attemptsOf(t *testing.T, c *batch.Controller, name string) []batch.AttemptStatus {
	t.Helper()
	list, err := c.Attempts(t.Context(), name)
	require.NoError(t, err)
	return list
}

func attemptsIfAny(c *batch.Controller, job string) []batch.AttemptStatus {
	list, _ := c.Attempts(context.Background(), job)
	return list
}

// logOf returns the text of an attempt's log.
func logOf(t *testing.T, c *batch.Controller, job, attempt string) (lines []string) {
	t.Helper()
	for line, err := range c.Logs(t.Context(), job, attempt, -1, false) {
		require.NoError(t, err)
		lines = append(lines, line.Text)
	}
	return lines
}

// failed is the error of a job that failed for that reason.
func failed(t *testing.T, err error, reason string) *batch.JobError {
	t.Helper()
	jobErr, ok := errors.AsType[*batch.JobError](err)
	require.True(t, ok, "not a JobError: %v", err)
	require.Equal(t, reason, jobErr.Reason)
	return jobErr
}

// failuresOf wants failures in order, each index once.
func failuresOf(t *testing.T, c *batch.Controller, job string) []failure {
	t.Helper()
	failures, err := c.Failures(t.Context(), job)
	require.NoError(t, err)
	var list []failure
	for i, f := range failures {
		require.Equal(t, i, f.Index)
		require.EqualError(t, f.Err, f.Message)
		list = append(list, failure{f.Attempt, f.Index, f.Failures, f.ExitCode, f.Message, f.At})
	}
	require.True(t, slices.IsSortedFunc(list, func(a, b failure) int { return a.Index - b.Index }))
	return list
}

// resultsOf wants results in order, each index once.
func resultsOf[T any](t *testing.T, c *batch.Controller, job string) map[int]T {
	t.Helper()
	results, err := batch.Results[T](t.Context(), c, job)
	require.NoError(t, err)
	all, last := make(map[int]T), -1
	for i, v := range results {
		require.Less(t, last, i)
		last = i
		all[i] = v
	}
	return all
}

// specText writes down a job, except its functions.
func specText(t *testing.T, job batch.Job) string {
	t.Helper()
	text, err := json.Marshal(job)
	require.NoError(t, err)
	return string(text)
}

// slowly waits a minute, and is not known to be constant.
var slowly = batch.BackoffFunc(func() backoff.BackOff { return backoff.NewConstantBackOff(time.Minute) })

// finishMany has jobs run that are alike except their names.
func finishMany(t *testing.T, c *batch.Controller, n int, job batch.Job) {
	t.Helper()
	for i := range n {
		job.Name = fmt.Sprintf("job-%06d", i)
		_, err := c.Run(t.Context(), job)
		if _, failed := errors.AsType[*batch.JobError](err); !failed {
			require.NoError(t, err)
		}
	}
}

func complete(t *testing.T, c *batch.Controller, name string) batch.Status {
	t.Helper()
	s, err := c.Wait(t.Context(), name)
	require.NoError(t, err)
	return s
}

// ended returns a context that is done, for that cause.
func ended(cause error) context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	return ctx
}

// shut ends a controller at once.
func shut(t *testing.T, c *batch.Controller) {
	t.Helper()
	require.NoError(t, c.Shutdown(ended(errors.New("restart"))))
}

// crash is the end of a process: what it has stored until now is what the next
// one finds. Its executors are stopped, for they cannot be killed.
func crash(t *testing.T, c *batch.Controller, store batch.Store) *batchtest.MemoryStore {
	t.Helper()
	left := copyOf(t, store)
	shut(t, c)
	return left
}

// eachEnd runs a test with a process that is killed and with one that is shut
// down.
func eachEnd(t *testing.T, test func(t *testing.T,
	end func(t *testing.T, c *batch.Controller, store batch.Store) *batchtest.MemoryStore)) {
	t.Run("killed", func(t *testing.T) { bubble(t, func(t *testing.T) { test(t, crash) }) })
	t.Run("shut down", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			test(t, func(t *testing.T, c *batch.Controller, store batch.Store) *batchtest.MemoryStore {
				shut(t, c)
				return copyOf(t, store)
			})
		})
	})
}

// fresh is a process that starts with a copy of what the store has now, as if
// this one had been killed.
func fresh(t *testing.T, store batch.Store) *batch.Controller {
	t.Helper()
	return newController(t, batch.Options{Store: copyOf(t, store)})
}

// copyOf returns a store with the same records.
func copyOf(t *testing.T, store batch.Store) *batchtest.MemoryStore {
	t.Helper()
	copied := new(batchtest.MemoryStore)
	fill(t, copied, store)
	return copied
}

func fill(t *testing.T, to, from batch.Store) {
	t.Helper()
	for r, err := range from.Load(t.Context()) {
		require.NoError(t, err)
		require.NoError(t, to.Commit(t.Context(), []batch.Record{r}))
	}
}

// recorded is everything that is in a store, as "job/key" in order.
func recorded(t *testing.T, store batch.Store) []string {
	t.Helper()
	var keys []string
	for r, err := range store.Load(t.Context()) {
		require.NoError(t, err)
		keys = append(keys, r.Job+"/"+r.Key)
	}
	slices.Sort(keys)
	return keys
}

// stored is a status as far as it survives a restart of its controller, at once
// and with nothing running.
func stored(s batch.Status) batch.Status {
	s.Revision, s.Halted, s.NextRetry, s.Progress.ETA, s.WaitsFor = 0, false, time.Time{}, time.Time{}, ""
	s.Conditions = slices.DeleteFunc(slices.Clone(s.Conditions), func(c batch.Condition) bool {
		return c.Type == batch.ConditionStalled
	})
	if len(s.Conditions) == 0 {
		s.Conditions = nil
	}
	return s
}

// storeError wants [batch.ErrStore] around cause.
func storeError(t *testing.T, err, cause error) {
	t.Helper()
	require.ErrorIs(t, err, batch.ErrStore)
	require.ErrorIs(t, err, cause)
	require.EqualError(t, err, "batch: store: "+cause.Error())
}

func isStoreError(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, batch.ErrStore)
}

var errFull = errors.New("the disk is full")

func failing(func() error) error { return errFull }

// check looks for invariants of a job that do not hold, unless it has expired.
func check(t *testing.T, c *batch.Controller, name string) {
	t.Helper()
	if err := batch.Check(c, name); !errors.Is(err, batch.ErrNotFound) {
		require.NoError(t, err)
	}
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// settle waits until nothing can happen before time passes; what is decided
// within a millisecond of an event is decided then.
func settle() {
	synctest.Wait()
	time.Sleep(2 * time.Millisecond)
	synctest.Wait()
}

// epoch is when time begins in a bubble.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// fn makes an executor of a function that needs no attempt.
func fn(f func(ctx context.Context) error) batch.Executor {
	return batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error { return f(ctx) })
}

// Executors that need no state.
var (
	succeed   = fn(func(context.Context) error { return nil })
	untilDone = fn(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
)

// exit is an error with an exit code.
type exit int

func (e exit) Error() string { return "exit" }
func (e exit) ExitCode() int { return int(e) }

var errCause = errors.New("the user's cause")

var errDisk = errors.New("disk full")

// fails returns err, always.
func fails(err error) batch.Executor { return fn(func(context.Context) error { return err }) }

// takes succeeds after some time, however it is asked to stop.
func takes(d time.Duration) batch.Executor {
	return fn(func(context.Context) error { time.Sleep(d); return nil })
}

// lasts succeeds after d, or fails when ctx is done.
func lasts(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// lasting is lasts as an executor.
func lasting(d time.Duration) batch.Executor {
	return fn(func(ctx context.Context) error { return lasts(ctx, d) })
}

// sleep fails after d, or when ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return exit(3)
	}
}

// sleepUnlessDone sleeps for d, or until ctx is done: then it returns the cause.
func sleepUnlessDone(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A pendingFunc is a function as a [batch.PendingExecutor].
type pendingFunc func(ctx context.Context, a batch.Attempt) error

func (f pendingFunc) Execute(ctx context.Context, a batch.Attempt) error { return f(ctx, a) }
func (f pendingFunc) HoldsPending() bool                                 { return true }

// counted counts the executors that run, and how many were the most.
func counted(running, most *atomic.Int32, e batch.Executor) batch.Executor {
	return batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return e.Execute(ctx, a)
	})
}

// indexes is the set that a text describes.
func indexes(text string) *batch.IndexSet {
	set, err := batch.ParseIndexSet(text)
	if err != nil {
		panic(err)
	}
	return &set
}

// A lockedBuffer collects what several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex // guards the field below
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// again runs a job again that must have finished.
func again(t *testing.T, c *batch.Controller, name string, failedOnly bool) batch.Status {
	t.Helper()
	s, err := c.Again(t.Context(), name, failedOnly)
	require.NoError(t, err)
	return s
}
