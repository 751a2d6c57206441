package iterate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSaveEvery(t *testing.T) {
	type saves struct {
		every time.Duration
		takes []time.Duration // an item
		save  time.Duration   // takes a checkpoint
		want  string          // when each was begun, and for how many items
	}
	const second = time.Second
	tests := map[string]saves{
		"the default": {takes: durations(10, 300*time.Millisecond),
			want: "1s:3 2s:6 3s:9 3s:10"},
		"a short iteration is saved once": {takes: durations(5, second/10), every: second,
			want: "500ms:5"},
		"an item too late for one checkpoint is in the next, even if none follows": {takes: []time.Duration{9 * second,
			3 * second, time.Hour}, every: 10 * second,
			want: "10s:1 20s:2 1h0m12s:3"},
		"nothing is saved while nothing happens": {takes: []time.Duration{time.Hour, time.Hour}, every: second,
			want: "1h0m0s:1 2h0m0s:2"},
		"without a least time": {takes: durations(3, second), every: -1,
			want: "1s:1 2s:2 3s:3"},
		"without a least time, but slowly": {takes: durations(6, second), every: -1, save: 2500 * time.Millisecond,
			want: "1s:1 3.5s:3 6s:5 8.5s:6"},
		"the time runs from the end of a checkpoint": {takes: durations(6, second), every: second,
			save: 1500 * time.Millisecond,
			want: "1s:1 3.5s:3 6s:5 7.5s:6"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var got []string
				saved := memo{save: func(_ context.Context, data []byte) error {
					p, err := decode[int](data)
					require.NoError(t, err)
					got = append(got, fmt.Sprintf("%v:%d", time.Since(start), p.done))
					time.Sleep(test.save)
					return nil
				}}
				w := Work[int, int]{Cursor: itself, SaveEvery: test.every, Items: count(len(test.takes))}
				w.Do = func(_ context.Context, item int) error {
					time.Sleep(test.takes[item-1])
					synctest.Wait() // so that a checkpoint at the same time is one without this item
					return nil
				}
				_, err := Run(t.Context(), w, &saved, testHooks[int]())
				require.NoError(t, err)
				require.Equal(t, test.want, strings.Join(got, " "))
			})
		})
	}
}

func durations(n int, each time.Duration) (all []time.Duration) {
	for range n {
		all = append(all, each)
	}
	return all
}

// When the context ends, what is done is saved without waiting: also for an
// item that does not obey it.
func TestSavesAtOnceWhenTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		start := time.Now()
		var at []time.Duration
		saved := memo{save: func(ctx context.Context, _ []byte) error {
			at = append(at, time.Since(start))
			return ctx.Err()
		}}
		w := Work[int, int]{Items: count(10), Cursor: itself, SaveEvery: time.Hour}
		w.Do = func(_ context.Context, item int) error {
			time.Sleep(map[bool]time.Duration{true: time.Second, false: time.Minute}[item < 3])
			return nil
		}
		result, err := Run(ctx, w, &saved, testHooks[int]())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 3, result.Done)
		require.Equal(t, []time.Duration{2500 * time.Millisecond, 62 * time.Second}, at)
	})
}

func TestSaveFails(t *testing.T) {
	full := errors.New("disk full")
	type run struct {
		fails int // which checkpoint
		items int
		do    func(item int) error
		err   string
		done  int // as the result says
		saved string
		calls string
	}
	fine := func(int) error { return nil }
	tests := map[string]run{
		"the first": {fails: 1, items: 9, do: fine, err: "save the checkpoint: disk full", done: 2, calls: "1 2"},
		"a later one": {fails: 2, items: 9, do: fine, err: "save the checkpoint: disk full", done: 3, calls: "1 2 3",
			saved: `{"iteration":1,"cursor":1,"done":1}`},
		"the last one": {fails: 3, items: 3, do: fine, err: "save the checkpoint: disk full", done: 3, calls: "1 2 3",
			saved: `{"iteration":1,"cursor":2,"done":2}`},
		"beside an item": {fails: 2, items: 9, do: failing1(3),
			err: "item at cursor 3: bad item\nsave the checkpoint: disk full", done: 2, calls: "1 2 3",
			saved: `{"iteration":1,"cursor":1,"done":1}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				saves := 0
				saved := memo{save: func(context.Context, []byte) error {
					if saves++; saves == test.fails {
						time.Sleep(100 * time.Millisecond)
						return full
					}
					require.Less(t, saves, test.fails, "nothing is saved after a failure")
					return nil
				}}
				var calls journal
				w := Work[int, int]{Items: count(test.items), Cursor: itself, SaveEvery: time.Second}
				w.Do = func(_ context.Context, item int) error {
					time.Sleep(time.Second)
					synctest.Wait()
					calls.add(item)
					return test.do(item)
				}
				result, err := Run(t.Context(), w, &saved, testHooks[int]())
				require.EqualError(t, err, test.err)
				require.ErrorIs(t, err, full)
				require.Equal(t, test.done, result.Done)
				require.Equal(t, test.saved, string(saved.data))
				require.Equal(t, test.calls, calls.String())
			})
		})
	}
}

func failing1(bad int) func(int) error {
	return func(item int) error { return failing(map[int]error{bad: errBad})(item) }
}

// The last checkpoint has a context of its own if that of the run has ended,
// and a limited time.
func TestLastCheckpointAfterTheEnd(t *testing.T) {
	stopped := errors.New("deploy")
	type run struct {
		takes time.Duration
		err   error
		saved string
	}
	tests := map[string]run{
		"it is saved":       {takes: lastWords - 1, saved: `{"iteration":1,"cursor":1,"done":1}`},
		"it takes too long": {takes: lastWords + 1, err: context.DeadlineExceeded},
		"it takes for ever": {takes: 1000 * time.Hour, err: context.DeadlineExceeded},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				saved := memo{save: func(ctx context.Context, _ []byte) error {
					select {
					case <-time.After(test.takes):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}}
				w := Work[int, int]{Items: count(10), Cursor: itself, SaveEvery: time.Hour}
				w.Do = func(context.Context, int) error {
					synctest.Wait()
					cancel(stopped)
					return nil
				}
				_, err := Run(ctx, w, &saved, testHooks[int]())
				require.ErrorIs(t, err, stopped)
				if test.err != nil {
					require.ErrorIs(t, err, test.err)
				} else {
					require.Equal(t, stopped, err)
				}
				require.Equal(t, test.saved, string(saved.data))
			})
		})
	}
}

// A checkpoint that is being saved when the context ends is saved once more.
func TestContextEndsInTheMiddleOfACheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		saved := memo{save: func(ctx context.Context, _ []byte) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		w := Work[int, int]{Items: count(2), Cursor: itself, SaveEvery: -1}
		w.Do = func(ctx context.Context, item int) error {
			if item == 2 {
				<-ctx.Done()
				return ctx.Err()
			}
			time.Sleep(time.Second)
			return nil
		}
		_, err := Run(ctx, w, &saved, testHooks[int]())
		require.Equal(t, context.DeadlineExceeded, err)
		require.Equal(t, []string{`{"iteration":1,"cursor":1,"done":1}`}, saved.all)
	})
}

// A hostile cursor does as its field says when it is encoded.
type hostile struct {
	ID int
	Do string
}

func (h hostile) MarshalJSON() ([]byte, error) {
	switch h.Do {
	case "panic":
		panic("no form")
	case "exit":
		runtime.Goexit()
	case "fail":
		return nil, errors.New("no form")
	}
	return fmt.Appendf(nil, `{"ID":%d,"Do":%q}`, h.ID, h.Do), nil
}

func TestCursorThatCannotBeSaved(t *testing.T) {
	items := func(_ context.Context, after hostile) iter.Seq2[hostile, error] {
		return func(yield func(hostile, error) bool) {
			for i := after.ID + 1; i < 100; i++ {
				if h := (hostile{ID: i}); !yield(h, nil) {
					return
				}
			}
		}
	}
	tests := map[string]struct {
		do   string
		from int // the first item with such a cursor
		err  string
	}{
		"the first item's fails": {
			do: "fail", from: 1, err: "cursor {1 fail}: json: error calling MarshalJSON for type iterate.hostile: no form",
		},
		"a later one fails": {
			do: "fail", from: 2,
			err: "save the checkpoint: cursor {2 fail}: json: error calling MarshalJSON for type iterate.hostile: no form",
		},
		"a later one panics":         {do: "panic", from: 2, err: "save the checkpoint: panic: no form"},
		"a later one ends by Goexit": {do: "exit", from: 2, err: "goexit"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := Work[hostile, hostile]{Items: items}
				w.Cursor = func(h hostile) hostile {
					if h.ID >= test.from {
						h.Do = test.do
					}
					return h
				}
				w.Do = func(_ context.Context, h hostile) error {
					if h.ID > 2 {
						time.Sleep(time.Minute) // until the saver has tried
					}
					return nil
				}
				var saved memo
				err := errGone
				done := make(chan struct{})
				go func() { // as Goexit in the last checkpoint ends the goroutine of Run
					defer close(done)
					_, err = Run(t.Context(), w, &saved, testHooks[hostile]())
				}()
				<-done
				require.EqualError(t, err, test.err)
				require.Empty(t, saved.all)
			})
		})
	}
}
