package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// A disk is what has been committed.
type disk struct {
	mu      sync.Mutex
	values  map[string]string
	commits [][]string
	err     error
	gate    chan struct{} // if not nil, a commit waits for it
}

func (d *disk) commit(_ context.Context, records []Record) error {
	if d.gate != nil {
		<-d.gate
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	var texts []string
	for _, r := range records {
		texts = append(texts, fmt.Sprintf("%s/%s=%s", r.Job, r.Key, r.Value))
		name := r.Job + "/" + r.Key
		switch {
		case r.Value != nil:
			d.values[name] = string(r.Value)
		case r.Key != "":
			delete(d.values, name)
		default:
			maps.DeleteFunc(d.values, func(name, _ string) bool { return name[:len(r.Job)+1] == r.Job+"/" })
		}
	}
	d.commits = append(d.commits, texts)
	return nil
}

func (d *disk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// A counter is a source that has one number, and one record for each change.
type counter struct {
	mu     sync.Mutex
	name   string
	n      int
	stored int
	latest int // collected
	stuck  []error
	place  Place
}

func put(j *Journal, records, undo []Record) error {
	return j.Put(context.Background(), records, undo, func() {})
}

func newCounter(name string) *counter {
	c := &counter{name: name}
	c.place.Source = c
	return c
}

func (c *counter) add(j *Journal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	j.Changed(&c.place)
}

func (c *counter) Collect(put func(Record)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := c.latest; i < c.n; i++ {
		put(Record{c.name, fmt.Sprint("change ", i), []byte{'x'}})
	}
	put(Record{c.name, "n", fmt.Append(nil, c.n)})
	c.latest = c.n
	c.place.Taken()
}

func (c *counter) Stored() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.StoredLocked()
}

func (c *counter) StoredLocked() { c.stored = c.latest }

func (c *counter) Stuck(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stuck = append(c.stuck, err)
}

// inBubble runs a test with a journal that has a disk, and notes its troubles.
func inBubble(t *testing.T, test func(t *testing.T, j *Journal, d *disk, troubles *[]error)) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{values: make(map[string]string)}
		var troubles []error
		j := New(context.Background(), d.commit, func(err error) { troubles = append(troubles, err) })
		test(t, j, d, &troubles)
		synctest.Wait()
	})
}

func TestOutlast(t *testing.T) {
	inBubble(t, func(t *testing.T, j *Journal, d *disk, _ *[]error) {
		full := errors.New("full")
		a := newCounter("a")
		outlast := func(ctx context.Context) <-chan error {
			a.add(j)
			answer := make(chan error, 1)
			go func() { answer <- j.Outlast(ctx) }()
			synctest.Wait()
			return answer
		}
		require.NoError(t, <-outlast(t.Context()), "nothing fails")

		d.fail(full)
		impatient, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		patient, early := outlast(t.Context()), outlast(impatient)
		require.ErrorIs(t, j.Sync(t.Context()), full)
		time.Sleep(time.Minute)
		require.ErrorIs(t, <-early, full)
		require.ErrorIs(t, <-outlast(impatient), full, "at once")
		synctest.Wait()
		require.Empty(t, patient)
		d.fail(nil)
		require.NoError(t, <-patient)
		require.Equal(t, a.n, a.stored)

		d.fail(full)
		last := outlast(t.Context())
		require.ErrorIs(t, j.Close(t.Context()), full)
		require.ErrorIs(t, <-last, full)
		require.ErrorIs(t, <-outlast(t.Context()), full)
	})
}

func TestChangesMeanwhileShareACommit(t *testing.T) {
	inBubble(t, func(t *testing.T, j *Journal, d *disk, _ *[]error) {
		d.gate = make(chan struct{}, 10)
		a, b := newCounter("a"), newCounter("b")
		a.add(j)
		synctest.Wait()
		for range 5 {
			a.add(j)
			b.add(j)
		}
		close(d.gate)
		require.NoError(t, j.Sync(t.Context()))
		require.Len(t, d.commits, 2)
		require.Equal(t, map[string]string{"a/n": "6", "b/n": "5"}, only(d.values, "a/n", "b/n"))
		require.Equal(t, 6, a.stored)
		require.Equal(t, 5, b.stored)
	})
}

func only(values map[string]string, names ...string) map[string]string {
	found := make(map[string]string)
	for _, name := range names {
		if v, ok := values[name]; ok {
			found[name] = v
		}
	}
	return found
}

func TestNothingIsToldBeforeItIsStored(t *testing.T) {
	inBubble(t, func(t *testing.T, j *Journal, d *disk, _ *[]error) {
		d.gate = make(chan struct{})
		a := newCounter("a")
		a.add(j)
		synctest.Wait()
		require.Zero(t, a.stored)
		d.gate <- struct{}{}
		synctest.Wait()
		require.Equal(t, 1, a.stored)
	})
}

func TestSyncOfNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, j *Journal, d *disk, _ *[]error) {
		require.NoError(t, j.Sync(t.Context()))
		require.NoError(t, j.Close(t.Context()))
		require.Empty(t, d.commits)
	})
}

func TestFailureIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, j *Journal, d *disk, troubles *[]error) {
		full := errors.New("disk is full")
		d.fail(full)
		a := newCounter("a")
		a.add(j)
		require.ErrorIs(t, j.Sync(t.Context()), full)
		require.ErrorIs(t, put(j, []Record{{"b", "x", []byte("refused")}}, nil), full, "at once")
		require.ErrorIs(t, j.Failing(), full)
		a.add(j)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, a.stored)
		require.Equal(t, []error{full}, *troubles, "told once")

		d.fail(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.NoError(t, j.Failing())
		require.Equal(t, []error{full, nil}, *troubles)
		require.Equal(t, 2, a.stored)
		require.Equal(t, map[string]string{"a/n": "2", "a/change 0": "x", "a/change 1": "x"}, d.values)
		require.Equal(t, [][]string{{"a/change 0=x", "a/change 1=x", "a/n=2"}}, d.commits, "each key once")
	})
}

func TestPut(t *testing.T) {
	record := []Record{{"job", "meta", []byte("m")}}
	inBubble(t, func(t *testing.T, j *Journal, d *disk, _ *[]error) {
		require.NoError(t, put(j, record, nil))
		require.Equal(t, map[string]string{"job/meta": "m"}, d.values)
	})
	inBubble(t, func(t *testing.T, j *Journal, d *disk, _ *[]error) {
		broken := errors.New("broken")
		d.fail(broken)
		require.ErrorIs(t, put(j, record, []Record{{Job: "job"}}), broken)
		d.values["job/meta"] = "perhaps it was stored"
		d.fail(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Empty(t, d.values, "it is undone")
	})
}

func TestStoreThatMisbehaves(t *testing.T) {
	tests := map[string]struct {
		commit func() error
		want   string
	}{
		"it panics":     {commit: func() error { panic("boom") }, want: "panic: boom"},
		"it calls exit": {commit: func() error { runtime.Goexit(); return nil }, want: "the store called runtime.Goexit"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := New(context.Background(), func(context.Context, []Record) error { return test.commit() }, func(error) {})
				require.EqualError(t, put(j, []Record{{"a", "b", nil}}, nil), test.want)
				require.EqualError(t, j.Close(t.Context()), test.want)
			})
		})
	}
}

func TestClose(t *testing.T) {
	inBubble(t, func(t *testing.T, j *Journal, d *disk, _ *[]error) {
		d.gate = make(chan struct{}, 1)
		a := newCounter("a")
		a.add(j)
		go func() { time.Sleep(time.Second); close(d.gate) }()
		start := time.Now()
		require.NoError(t, j.Close(t.Context()))
		require.Equal(t, time.Second, time.Since(start), "it waits for what is being written")
		require.Equal(t, 1, a.stored)
		require.NoError(t, j.Sync(t.Context()), "there is nothing to be written")
		a.add(j)
		synctest.Wait()
		require.Equal(t, 1, a.stored, "the store may serve somebody else by now")
		require.ErrorIs(t, j.Sync(t.Context()), ErrClosed)
		require.ErrorIs(t, put(j, nil, nil), ErrClosed)
		require.NoError(t, j.Close(t.Context()))
	})
	inBubble(t, func(t *testing.T, j *Journal, d *disk, _ *[]error) {
		full := errors.New("disk is full")
		d.fail(full)
		a := newCounter("a")
		a.add(j)
		synctest.Wait()
		require.ErrorIs(t, j.Close(t.Context()), full, "it gives up")
		d.fail(nil)
		a.add(j)
		synctest.Wait()
		require.Empty(t, d.values, "and leaves nothing half done later")
	})
	inBubble(t, func(t *testing.T, j *Journal, d *disk, _ *[]error) {
		full := errors.New("disk is full")
		d.fail(full)
		newCounter("a").add(j)
		synctest.Wait()
		d.fail(nil)
		require.NoError(t, j.Close(t.Context()), "the last try succeeds")
		require.Equal(t, "1", d.values["a/n"])
	})
}

func TestLatest(t *testing.T) {
	v := []byte("v")
	got := latest([]Record{
		{"a", "x", v}, {"b", "x", v}, {"a", "y", v}, {"a", "x", nil}, {"b", "", nil}, {"", "format", v},
	})
	want := []Record{{"a", "y", v}, {"a", "x", nil}, {"b", "", nil}, {"", "format", v}}
	require.True(t, slices.EqualFunc(got, want, func(a, b Record) bool {
		return a.Job == b.Job && a.Key == b.Key && (a.Value == nil) == (b.Value == nil)
	}), "%v", got)
}

// TestManyAtOnce has goroutines change sources while the disk fails now and then.
func TestManyAtOnce(t *testing.T) {
	d := &disk{values: make(map[string]string)}
	failures := 0
	j := New(context.Background(), func(_ context.Context, records []Record) error {
		if failures++; failures%5 == 0 {
			return errors.New("now and then")
		}
		return d.commit(context.Background(), records)
	}, func(error) {})
	var changers sync.WaitGroup
	sources := []*counter{newCounter("a"), newCounter("b"), newCounter("c")}
	for i := range 8 {
		changers.Go(func() {
			for n := range 200 {
				sources[(i+n)%len(sources)].add(j)
				if n%50 == 0 {
					_ = j.Sync(t.Context()) // which may fail
				}
			}
		})
	}
	changers.Wait()
	require.NoError(t, j.Close(t.Context()))
	sum := 0
	for _, c := range sources {
		require.Equal(t, fmt.Sprint(c.n), d.values[c.name+"/n"])
		require.Equal(t, c.n, c.stored)
		sum += c.n
	}
	require.Equal(t, 8*200, sum)
	require.Len(t, d.values, sum+len(sources))
}

// A told is a source that says when it is stored.
type told struct {
	place  Place
	stored func()
}

func (s *told) Collect(put func(Record)) {
	s.place.Taken()
	put(Record{Job: "job", Key: "key", Value: []byte{}})
}
func (s *told) Stored()       { s.stored() }
func (s *told) StoredLocked() { s.stored() }
func (s *told) Stuck(error)   {}

// Who learns that something is stored is not told that the store fails.
func TestStoredAfterTheTroubleIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{values: map[string]string{}}
		d.fail(errors.New("full"))
		j := New(context.Background(), d.commit, func(error) {})
		stored, failing := false, error(nil)
		s := &told{stored: func() { stored, failing = true, j.Failing() }}
		s.place.Source = s
		j.Changed(&s.place)
		synctest.Wait()
		require.Error(t, j.Failing())
		d.fail(nil)
		require.NoError(t, j.Close(t.Context()))
		require.True(t, stored)
		require.NoError(t, failing)
	})
}

var errLost = errors.New("lost")

// After Abort nothing more is written; every caller gets the error, at once and for ever.
func TestAbort(t *testing.T) {
	for name, fails := range map[string]bool{"while a commit is under way": false, "while commits fail": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &disk{values: make(map[string]string), gate: make(chan struct{})}
				if fails {
					d.fail(errors.New("full"))
				}
				var troubles []error
				ctx, commit := t.Context(), d.commit
				j := New(t.Context(), func(ctx context.Context, records []Record) error {
					if err := commit(ctx, records); err != nil || ctx.Err() == nil {
						return err
					}
					return context.Cause(ctx)
				}, func(err error) { troubles = append(troubles, err) })
				answers := make(chan error, 2)
				record := []Record{{Job: "a", Key: "k", Value: []byte("1")}}
				go func() { answers <- j.Put(ctx, record, nil, func() {}) }()
				synctest.Wait()
				go func() { answers <- j.Sync(ctx) }()
				synctest.Wait()
				j.Abort(errLost)
				close(d.gate)
				for range 2 {
					require.Error(t, <-answers)
				}
				commits := len(d.commits)
				require.ErrorIs(t, j.Put(ctx, record, nil, func() {}), errLost)
				require.ErrorIs(t, j.Sync(ctx), errLost)
				require.ErrorIs(t, j.Outlast(ctx), errLost)
				require.ErrorIs(t, j.Failing(), errLost)
				require.ErrorIs(t, j.Close(ctx), errLost)
				time.Sleep(time.Hour)
				require.Len(t, d.commits, commits)
				require.Empty(t, troubles)
			})
		})
	}
}
