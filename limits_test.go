package batch_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A usage counts who uses something.
type usage struct{ now, most atomic.Int32 }

func (u *usage) takes(d time.Duration) batch.Executor { return counted(&u.now, &u.most, takes(d)) }

// sharing is an Indexed job of n indexes at once that share limits.
func sharing(name string, n int, executor batch.Executor, limits ...string) batch.Job {
	return batch.Job{Name: name, CompletionMode: batch.Indexed, Completions: new(n), Parallelism: new(n),
		BackoffLimit: new(0), Executor: executor, Limits: limits}
}

func TestLimitsAreShared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 10,
			Limits: map[string]batch.Limit{"db": {Active: new(3)}, "api": {Active: new(2)}}})
		var db, api, all usage
		start := time.Now()
		mustCreate(t, c, sharing("a", 9, db.takes(time.Second), "db"))
		mustCreate(t, c, sharing("b", 6, counted(&db.now, &db.most, api.takes(time.Second)), "api", "db"))
		mustCreate(t, c, sharing("free", 5, all.takes(time.Second)))
		settle()
		require.Equal(t, 3, get(t, c, "a").Ready+get(t, c, "b").Ready)
		require.Equal(t, 5, get(t, c, "free").Ready, "others do not wait")
		s := get(t, c, "a")
		require.Regexp(t, `^limit db of 3 is reached by a \(\d\)(, b \(\d\))?$`, s.WaitsFor)
		require.Contains(t, s.Explain(), s.WaitsFor)
		for _, name := range []string{"a", "b"} {
			complete(t, c, name)
			check(t, c, name)
		}
		require.EqualValues(t, 3, db.most.Load())
		require.LessOrEqual(t, api.most.Load(), int32(2))
		require.LessOrEqual(t, time.Since(start), 6*time.Second, "15 of three at once, and no place idle for long")
	})
}

func TestLimitOfARate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{
			Limits: map[string]batch.Limit{"api": {Every: 200 * time.Millisecond, Burst: 3}}})
		start := time.Now()
		var began []time.Duration
		mustCreate(t, c, sharing("a", 8, batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			if a.Index == 2 {
				c.SetLimit("other", batch.Limit{}) // an executor may call it
			}
			return nil
		}), "api"))
		settle()
		require.Contains(t, get(t, c, "a").WaitsFor, "limit api of one in 200ms, the next at ")
		complete(t, c, "a")
		for _, a := range attemptsOf(t, c, "a") {
			began = append(began, a.StartedAt.Sub(start))
		}
		const tick = 200 * time.Millisecond
		require.Equal(t, []time.Duration{0, 0, 0, tick, 2 * tick, 3 * tick, 4 * tick, 5 * tick}, began)
	})
}

func TestLimitPerKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{Limits: map[string]batch.Limit{"customer": {Active: new(1), PerKey: true}}})
		var each [3]usage
		customer := func(index int) string { return fmt.Sprint("c", index%3) }
		for _, name := range []string{"a", "b"} {
			job := sharing(name, 9, batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				return each[a.Index%3].takes(time.Second).Execute(ctx, a)
			}), "customer")
			job.LimitKey = customer
			mustCreate(t, c, job)
		}
		start := time.Now()
		settle()
		require.Contains(t, get(t, c, "b").WaitsFor, `limit customer for "c0" of 1 is reached by `)
		complete(t, c, "a")
		complete(t, c, "b")
		require.Equal(t, 6*time.Second, time.Since(start), "one of each customer at a time")
		for i := range each {
			require.EqualValues(t, 1, each[i].most.Load())
		}
	})
}

func TestSetLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{Limits: map[string]batch.Limit{"db": {Active: new(0)}}})
		var db usage
		mustCreate(t, c, sharing("a", 20, db.takes(time.Minute), "db"))
		time.Sleep(24 * time.Hour)
		s := get(t, c, "a")
		require.Equal(t, "limit db lets no attempt begin", s.WaitsFor)
		require.Equal(t, 20, s.Pending)
		for _, want := range []int32{2, 5} {
			require.NoError(t, c.SetLimit("db", batch.Limit{Active: new(int(want))}))
			settle()
			require.Equal(t, want, db.now.Load())
		}
		require.NoError(t, c.SetLimit("db", batch.Limit{Active: new(1)}))
		settle()
		require.EqualValues(t, 5, db.now.Load(), "nobody is stopped")
		time.Sleep(2 * time.Minute)
		require.EqualValues(t, 1, db.now.Load())
		require.NoError(t, c.SetLimit("db", batch.Limit{}))
		settle()
		complete(t, c, "a")
	})
}

func TestWrongLimits(t *testing.T) {
	_, err := batch.New(t.Context(), batch.Options{MaxActive: -1, Limits: map[string]batch.Limit{
		"A!": {}, "b": {Active: new(-1), Every: -1, Burst: -1}, "c": {Burst: 2},
		"d": {Every: math.MaxInt64}}})
	for _, text := range []string{`Options.MaxActive: -1`, `Options.Limits["A!"]: a lowercase RFC 1123`,
		`Options.Limits["b"].Active: -1: must not be negative`, `Options.Limits["b"].Every: -1ns: must not`,
		`Options.Limits["b"].Burst: -1: must not`, `Options.Limits["c"].Burst: 2: needs Every`,
		`Options.Limits["d"].Every: 2562047h47m16.854775807s: must not be negative, nor more than 100 years`} {
		require.ErrorContains(t, err, text)
	}
	c := newController(t, batch.Options{Limits: map[string]batch.Limit{"db": {Active: new(1)}}})
	require.ErrorContains(t, c.SetLimit("db", batch.Limit{PerKey: true}), "PerKey: true: cannot be changed")
	require.ErrorContains(t, c.SetLimit("db", batch.Limit{Active: new(-1)}), "Active: -1")

	job := sharing("job", 1, succeed, "db", "db", "dx")
	job.Priority = 1001
	invalid, ok := errors.AsType[*batch.ValidationError](c.Create(t.Context(), job))
	require.True(t, ok)
	var texts []string
	for _, field := range invalid.Fields {
		texts = append(texts, field.Field+": "+field.Kind)
	}
	require.Equal(t, []string{"spec.limits[1]: Duplicate", "spec.priority: Invalid", "spec.limits[2]: Invalid"}, texts)
	mustCreate(t, c, sharing("job", 1, untilDone, "db"))
	err = c.Update(t.Context(), "job", func(j *batch.Job) { j.Limits = nil })
	require.ErrorContains(t, err, "field is immutable")
}

func TestAcquire(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 1, Limits: map[string]batch.Limit{
			"db": {Active: new(1)}, "customer": {Active: new(1), PerKey: true}}})
		_, err := c.Acquire(t.Context(), "", "db", "dx")
		require.ErrorIs(t, err, batch.ErrNotFound)
		release, err := c.Acquire(t.Context(), "x", "db", "customer", "db") // doubles count once
		require.NoError(t, err)
		mustCreate(t, c, sharing("a", 2, takes(time.Second), "db"))
		settle()
		require.Equal(t, "limit db of 1 is reached by other code (1)", get(t, c, "a").WaitsFor)
		other, err := c.Acquire(t.Context(), "y", "customer")
		require.NoError(t, err)
		other()

		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.Acquire(soon, "x", "customer")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		release()
		release() // gives nothing back that another has
		settle()
		require.Equal(t, 1, get(t, c, "a").Ready)
		release()
		settle()
		require.Equal(t, 1, get(t, c, "a").Ready)
		complete(t, c, "a")

		_, err = c.Acquire(t.Context(), "", "db") // and never releases it
		require.NoError(t, err)
		waits := make(chan error)
		go func() {
			_, err := c.Acquire(context.Background(), "", "db")
			waits <- err
		}()
		settle()
		shut(t, c)
		require.ErrorIs(t, <-waits, batch.ErrShutdown)
		_, err = c.Acquire(t.Context(), "", "db")
		require.ErrorIs(t, err, batch.ErrShutdown)
	})
}

func TestLimitKeyMisbehaves(t *testing.T) {
	cases := map[string]struct {
		key  func(int) string
		text string
	}{
		"it panics": {key: func(int) string { panic("no customer") }, text: "no customer"},
		"it exits":  {key: func(int) string { runtime.Goexit(); return "" }, text: "batch: executor called runtime.Goexit"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{Limits: map[string]batch.Limit{"customer": {PerKey: true}}})
				job := sharing("a", 3, succeed, "customer")
				job.BackoffLimitPerIndex, job.BackoffLimit = new(0), nil
				job.LimitKey = func(index int) string {
					if index == 1 {
						return tc.key(index)
					}
					return ""
				}
				mustCreate(t, c, job)
				s, err := c.Wait(t.Context(), "a")
				failed(t, err, batch.ReasonFailedIndexes)
				panicked, ok := errors.AsType[*batch.PanicError](err)
				require.True(t, ok, "%v", err)
				require.Contains(t, panicked.Error(), tc.text)
				require.Contains(t, string(panicked.Stack), "limits_test.go")
				require.Equal(t, "0,2", s.CompletedIndexes.String())
				check(t, c, "a")
			})
		})
	}
}

// A key that is never found holds up its job alone, and Shutdown says so.
func TestLimitKeyNeverReturns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, err := batch.New(t.Context(), batch.Options{Limits: map[string]batch.Limit{"customer": {PerKey: true}}})
		require.NoError(t, err)
		hangs := make(chan struct{})
		job := sharing("a", 3, succeed, "customer")
		job.LimitKey = func(int) string { <-hangs; return "" }
		mustCreate(t, c, job)
		mustCreate(t, c, sharing("b", 3, succeed, "customer"))
		complete(t, c, "b")
		settle()
		require.Contains(t, get(t, c, "a").Explain(), "not started yet: LimitKey has not returned")
		left, ok := errors.AsType[*batch.AbandonedError](c.Shutdown(ended(errors.New("over"))))
		require.True(t, ok)
		require.Equal(t, 1, left.Calls)
		close(hangs)
	})
}

// The limits of stored jobs hold in the next process, which may have others.
func TestLimitsOverRestarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c := newController(t, batch.Options{Store: &store, Limits: map[string]batch.Limit{"db": {Active: new(3)}}})
		var db usage
		job := sharing("a", 12, counted(&db.now, &db.most, lasting(time.Minute)), "db")
		job.LimitKey, job.Priority = func(int) string { return "" }, 3
		apply(t, c, job)
		settle()
		require.EqualValues(t, 3, db.now.Load())
		left := crash(t, c, &store)

		c = newController(t, batch.Options{Store: left})
		_, err := c.Apply(t.Context(), job)
		require.ErrorContains(t, err, "is no limit of this controller")
		require.NoError(t, c.SetLimit("db", batch.Limit{Active: new(2)}))
		apply(t, c, job)
		settle()
		require.LessOrEqual(t, db.now.Load(), int32(2))
		time.Sleep(time.Minute)
		settle()
		require.EqualValues(t, 2, db.now.Load())
		complete(t, c, "a")
		spec, err := c.Job("a")
		require.NoError(t, err)
		require.Equal(t, 3, spec.Priority)
		check(t, c, "a")
	})
}

// The keys of a job that has finished are known to its next run, also in another process.
func TestLimitKeysOverAgain(t *testing.T) {
	eachEnd(t, func(t *testing.T, end func(*testing.T, *batch.Controller, batch.Store) *batchtest.MemoryStore) {
		limits := map[string]batch.Limit{"customer": {Active: new(1), PerKey: true}}
		store := new(batchtest.MemoryStore)
		c := newController(t, batch.Options{Store: store, Limits: limits})
		var running usage
		job := sharing("a", 4, counted(&running.now, &running.most, lasting(time.Minute)), "customer")
		job.CompletionMode, job.LimitKey = batch.Indexed, strconv.Itoa
		apply(t, c, job)
		complete(t, c, "a")
		left := end(t, c, store)

		c = newController(t, batch.Options{Store: left, Limits: limits})
		apply(t, c, job)
		_, err := c.Again(t.Context(), "a", false)
		require.NoError(t, err)
		settle()
		require.EqualValues(t, 4, running.now.Load(), "each index has a key of its own")
		complete(t, c, "a")
	})
}

// Each controller has its own limits: the one that takes over applies those that it was
// given, also to what SetLimit has changed at the one before.
func TestLimitsOverTakeOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		var db usage
		job := sharing("a", 12, counted(&db.now, &db.most, lasting(time.Minute)), "db")
		works := newController(t, batch.Options{Store: &store, Limits: map[string]batch.Limit{"db": {Active: new(3)}}})
		apply(t, works, job)
		second := newController(t, batch.Options{Store: &store, Standby: true,
			Limits: map[string]batch.Limit{"db": {Active: new(1)}}})
		apply(t, second, job)
		settle()
		require.EqualValues(t, 3, db.now.Load())
		require.NoError(t, second.SetLimit("db", batch.Limit{Active: new(2)}), "for when it works")
		require.NoError(t, works.SetLimit("db", batch.Limit{Active: new(4)}))
		settle()
		require.EqualValues(t, 4, db.now.Load())

		shut(t, works)
		require.NoError(t, second.Claimed(t.Context()))
		settle()
		require.EqualValues(t, 2, db.now.Load())
		db.most.Store(0)
		complete(t, second, "a")
		require.EqualValues(t, 2, db.most.Load())
		check(t, second, "a")
	})
}
