package iterate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"
)

// failing returns an error for some items.
func failing(errs map[int]error) func(items ...int) error {
	return func(items ...int) error {
		for _, item := range items {
			if err := errs[item]; err != nil {
				return err
			}
		}
		return nil
	}
}

type twoRuns struct {
	items int
	work  Work[int, int] // its Do and DoChunk are made by the test
	chunk bool           // with DoChunk
	only  bool           // without Do
	fails map[int]error  // in the first run
	again map[int]error  // in the second run, if there is one

	calls  string // of both runs; a bar between them
	err    string // of the first run
	saved  string // by the first run
	result Result[int]
}

var three = 3

var oneRunAfterTheOtherTests = map[string]twoRuns{
	"all goes well, one by one": {items: 3,
		calls: "1 2 3", saved: `{"iteration":1,"cursor":3,"done":3,"finished":true}`, result: Result[int]{Done: 3}},
	"an empty sequence": {
		saved: `{"iteration":1,"done":0,"finished":true}`},
	"all goes well, in chunks": {items: 7, chunk: true, work: Work[int, int]{ChunkSize: 3},
		calls: "[1 2 3] [4 5 6] 7", saved: `{"iteration":1,"cursor":7,"done":7,"finished":true}`,
		result: Result[int]{Done: 7}},
	"a last chunk of one item without Do": {items: 3, chunk: true, only: true, work: Work[int, int]{ChunkSize: 2},
		calls: "[1 2] [3]", saved: `{"iteration":1,"cursor":3,"done":3,"finished":true}`, result: Result[int]{Done: 3}},
	"the default size of a chunk": {items: 101, chunk: true, work: Work[int, int]{},
		calls: fmt.Sprint(upTo(100)) + " 101", saved: `{"iteration":1,"cursor":101,"done":101,"finished":true}`,
		result: Result[int]{Done: 101}},
	"without DoChunk the items of a chunk are done one by one": {items: 3, work: Work[int, int]{ChunkSize: 2},
		calls: "1 2 3", saved: `{"iteration":1,"cursor":3,"done":3,"finished":true}`, result: Result[int]{Done: 3}},
	"an item fails, and the next run begins with it": {items: 5, fails: map[int]error{4: errBad},
		calls: "1 2 3 4 | 4 5", err: "item at cursor 4: bad item",
		saved: `{"iteration":1,"cursor":3,"done":3}`, result: Result[int]{Done: 5, ResumedFrom: &three}},
	"an item fails again": {items: 5, fails: map[int]error{4: errBad}, again: map[int]error{4: errBad},
		calls: "1 2 3 4 | 4", err: "item at cursor 4: bad item",
		saved: `{"iteration":1,"cursor":3,"done":3}`, result: Result[int]{Done: 3, ResumedFrom: &three}},
	"a chunk fails because of one item": {items: 5, chunk: true, work: Work[int, int]{ChunkSize: 5},
		fails: map[int]error{4: errBad},
		calls: "[1 2 3 4 5] 1 2 3 4 | [4 5]", err: "item at cursor 4: bad item",
		saved: `{"iteration":1,"cursor":3,"done":3}`, result: Result[int]{Done: 5, ResumedFrom: &three}},
	"a chunk fails because of one item, without Do": {items: 5, chunk: true, only: true,
		work: Work[int, int]{ChunkSize: 5}, fails: map[int]error{4: errBad},
		calls: "[1 2 3 4 5] [1] [2] [3] [4] | [4 5]", err: "item at cursor 4: bad item",
		saved: `{"iteration":1,"cursor":3,"done":3}`, result: Result[int]{Done: 5, ResumedFrom: &three}},
	"an item is skipped": {items: 3, work: Work[int, int]{MaxSkipped: 1}, fails: map[int]error{2: errBad},
		calls: "1 2 3", saved: `{"iteration":1,"cursor":3,"done":2,"skipped":[{"cursor":2,"error":"bad ` +
			`item"}],"finished":true}`,
		result: Result[int]{Done: 2, Skipped: []Skipped[int]{{2, "bad item"}}}},
	"an item of a chunk is skipped": {items: 4, chunk: true, work: Work[int, int]{MaxSkipped: 1, ChunkSize: 4},
		fails: map[int]error{2: errBad},
		calls: "[1 2 3 4] 1 2 3 4", saved: `{"iteration":1,"cursor":4,"done":3,"skipped":[{"cursor":2,"error":"bad ` +
			`item"}],"finished":true}`,
		result: Result[int]{Done: 3, Skipped: []Skipped[int]{{2, "bad item"}}}},
	"one more fails than may be skipped": {items: 5, work: Work[int, int]{MaxSkipped: 1},
		fails: map[int]error{2: errBad, 4: errBad},
		calls: "1 2 3 4 | 4 5", err: "item at cursor 4: bad item",
		saved:  `{"iteration":1,"cursor":3,"done":2,"skipped":[{"cursor":2,"error":"bad item"}]}`,
		result: Result[int]{Done: 4, Skipped: []Skipped[int]{{2, "bad item"}}, ResumedFrom: &three}},
	"the limit is for all runs together": {items: 5, work: Work[int, int]{MaxSkipped: 1},
		fails: map[int]error{2: errBad, 4: errBad}, again: map[int]error{4: errBad},
		calls: "1 2 3 4 | 4", err: "item at cursor 4: bad item",
		saved:  `{"iteration":1,"cursor":3,"done":2,"skipped":[{"cursor":2,"error":"bad item"}]}`,
		result: Result[int]{Done: 2, Skipped: []Skipped[int]{{2, "bad item"}}, ResumedFrom: &three}},
	"an error that does not permit to skip": {items: 5, fails: map[int]error{2: errors.New("no connection")},
		work:  Work[int, int]{MaxSkipped: 9, SkipOn: func(err error) bool { return errors.Is(err, errBad) }},
		calls: "1 2 | 2 3 4 5", err: "item at cursor 2: no connection",
		saved: `{"iteration":1,"cursor":1,"done":1}`, result: Result[int]{Done: 5, ResumedFrom: new(1)}},
	"a final error is not skipped": {items: 5, work: Work[int, int]{MaxSkipped: 9}, fails: map[int]error{2: errFinal},
		calls: "1 2 | 2 3 4 5", err: "item at cursor 2: hopeless",
		saved: `{"iteration":1,"cursor":1,"done":1}`, result: Result[int]{Done: 5, ResumedFrom: new(1)}},
	"a final error of a chunk is not tried again": {items: 4, chunk: true,
		work: Work[int, int]{MaxSkipped: 9, ChunkSize: 2}, fails: map[int]error{3: errFinal},
		calls: "[1 2] [3 4] | [3 4]", err: "2 items up to cursor 4: hopeless",
		saved: `{"iteration":1,"cursor":2,"done":2}`, result: Result[int]{Done: 4, ResumedFrom: new(2)}},
	"SkipOn panics": {items: 2, work: Work[int, int]{MaxSkipped: 9, SkipOn: func(error) bool { panic("oops") }},
		fails: map[int]error{1: errBad},
		calls: "1 | 1 2", err: "item at cursor 1: bad item\npanic: oops", result: Result[int]{Done: 2}},
	"the text of an error cannot be had": {items: 2, work: Work[int, int]{MaxSkipped: 9},
		fails: map[int]error{1: brokenError{}},
		calls: "1 | 1 2", err: "item at cursor 1: %!v(PANIC=Error method: no text)", result: Result[int]{Done: 2}},
}

func TestOneRunAfterTheOther(t *testing.T) {

	for name, test := range oneRunAfterTheOtherTests {
		t.Run(name, func(t *testing.T) {
			var calls journal
			fails := failing(test.fails)
			w := test.work
			w.Items, w.Cursor, w.SaveEvery = count(test.items), itself, time.Hour
			if !test.only {
				w.Do = func(_ context.Context, item int) error { calls.add(item); return fails(item) }
			}
			if test.chunk {
				w.DoChunk = func(_ context.Context, items []int) error { calls.add(items); return fails(items...) }
			}
			var saved memo
			result, err := Run(t.Context(), w, &saved, testHooks[int]())
			require.Equal(t, test.saved, string(saved.data))
			if test.err == "" {
				require.NoError(t, err)
			} else {
				require.Error(t, err)
				require.Equal(t, test.err, fmt.Sprint(err))
				fails = failing(test.again)
				calls.add("|")
				result, err = Run(t.Context(), w, &saved, testHooks[int]())
				require.Equal(t, test.again != nil, err != nil, "second run: %v", err)
			}
			require.Equal(t, test.calls, calls.String())
			require.Equal(t, test.result, result)
			if err == nil {
				requireNothingMore(t, w, &saved, result)
			}
		})
	}
}

// requireNothingMore checks that another run of a finished iteration gives the
// same result without doing or saving anything.
func requireNothingMore(t *testing.T, w Work[int, int], saved *memo, want Result[int]) {
	t.Helper()
	before := len(saved.all)
	w.Items = func(context.Context, int) iter.Seq2[int, error] { panic("called after the end") }
	again, err := Run(t.Context(), w, saved, testHooks[int]())
	require.NoError(t, err)
	require.Equal(t, want.Done, again.Done)
	require.Equal(t, want.Skipped, again.Skipped)
	require.Len(t, saved.all, before)
}

type brokenError struct{}

func (brokenError) Error() string { panic("no text") }

func upTo(n int) (items []int) {
	for i := range n {
		items = append(items, i+1)
	}
	return items
}

func TestErrors(t *testing.T) {
	do := func(context.Context, int) error { return errBad }
	_, err := Run(t.Context(), Work[int, int]{Items: count(3), Cursor: itself, Do: do}, new(memo), testHooks[int]())
	require.ErrorIs(t, err, errBad)
	item, ok := errors.AsType[*ItemError[int]](err)
	require.True(t, ok)
	require.Equal(t, &ItemError[int]{Cursor: 1, Items: 1, Err: errBad}, item)

	_, err = Run(t.Context(), Work[int, int]{ChunkSize: -1, Parallelism: -2, MaxSkipped: -3}, new(memo), testHooks[int]())
	require.EqualError(t, err, "Items: required\nCursor: required\nDo, DoChunk: one is required\n"+
		"ChunkSize: -1 is negative\nParallelism: -2 is negative\nMaxSkipped: -3 is negative")
	_, err = Run(
		t.Context(), Work[int, int]{Items: count(3), Cursor: itself, Do: do, Parallelism: math.MaxInt}, new(memo),
		testHooks[int](),
	)
	require.EqualError(t, err, "Parallelism: 9223372036854775807 is more than 1048576")
}

func TestPanicIsAnErrorAndGoexitIsFinal(t *testing.T) {
	w := Work[int, int]{Items: count(3), Cursor: itself, MaxSkipped: 9, SaveEvery: time.Hour}
	w.Do = func(_ context.Context, item int) error {
		if item == 2 {
			panic("nil map")
		}
		return nil
	}
	var told []error
	hooks := testHooks[int]()
	hooks.Skipped = func(_ int, err error) { told = append(told, err) }
	var saved memo
	result, err := Run(t.Context(), w, &saved, hooks)
	require.NoError(t, err)
	require.Equal(t, []Skipped[int]{{2, "panic: nil map"}}, result.Skipped)
	require.Len(t, told, 1)
	p, ok := errors.AsType[*panicked](told[0])
	require.True(t, ok)
	require.Contains(t, string(p.stack), "iterate_test.go", "the stack of the panic")

	w.Do = func(_ context.Context, item int) error {
		if item == 2 {
			runtime.Goexit()
		}
		return nil
	}
	saved = memo{}
	result, err = Run(t.Context(), w, &saved, testHooks[int]())
	require.Equal(t, errGone, err)
	require.Equal(t, Result[int]{Done: 1}, result)
	require.JSONEq(t, `{"iteration":1,"cursor":1,"done":1}`, string(saved.data))
}

// What runs on the goroutine of Run may panic, or call Goexit as a failed test
// does. What was done is saved.
func TestPanicOfTheReader(t *testing.T) {
	ends := map[string]func(){
		"panic":  func() { panic("no more") },
		"Goexit": runtime.Goexit,
	}
	for name, end := range ends {
		for _, where := range []string{"Items", "Cursor"} {
			t.Run(name+" in "+where, func(t *testing.T) {
				endAt := func(in string, item int) {
					if in == where && item == 4 {
						end()
					}
				}
				w := Work[int, int]{SaveEvery: time.Hour}
				w.Items = func(context.Context, int) iter.Seq2[int, error] {
					return func(yield func(int, error) bool) {
						for i := 1; ; i++ {
							endAt("Items", i)
							if !yield(i, nil) {
								return
							}
						}
					}
				}
				w.Cursor = func(item int) int { endAt("Cursor", item); return item }
				w.Do = func(context.Context, int) error { return nil }
				var saved memo
				var value any
				returned := false
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					defer func() { value = recover() }()
					_, _ = Run(t.Context(), w, &saved, testHooks[int]())
					returned = true
				}()
				<-ended
				require.False(t, returned)
				require.Equal(t, name == "panic", value == "no more")
				require.JSONEq(t, `{"iteration":1,"cursor":2,"done":2}`, string(saved.data), "3 may have been one of several")
			})
		}
	}
}

type endOfContext struct {
	work   Work[int, int]
	do     func(ctx context.Context, item int) error // of item 3, after ctx has ended
	done   int
	called string
}

func good(context.Context, int) error { return nil }

var contextEndsTests = map[string]endOfContext{
	"what is done nevertheless counts": {do: good, done: 3, called: "1 2 3"},
	"what fails with it does not": {
		do: func(ctx context.Context, _ int) error { return ctx.Err() }, done: 2, called: "1 2 3",
	},
	"nor what fails for another reason": {
		do: func(context.Context, int) error { return errBad }, done: 2, called: "1 2 3",
	},
	"nor even a final error": {
		do: func(context.Context, int) error { return errFinal }, done: 2, called: "1 2 3",
	},
	"it stops between items of a chunk": {work: Work[int, int]{ChunkSize: 4}, do: good, done: 3, called: "1 2 3"},
	"items of a chunk count one by one": {
		work: Work[int, int]{ChunkSize: 4}, do: func(context.Context, int) error { return errBad }, done: 2, called: "1 2 3",
	},
	"a panic does not count either": {
		do: func(context.Context, int) error { panic("late") }, done: 2, called: "1 2 3",
	},
	"several at once stop in the same way": {
		work: Work[int, int]{Parallelism: 3, ChunkSize: 100}, do: good, done: 3, called: "1 2 3",
	},
}

func TestContextEnds(t *testing.T) {
	stopped := errors.New("deploy")

	for name, test := range contextEndsTests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				var calls journal
				w := test.work
				w.Items, w.Cursor, w.SaveEvery, w.MaxSkipped = count(200), itself, time.Hour, 5
				w.Do = func(ctx context.Context, item int) error {
					if item > 3 {
						<-ctx.Done()
						return nil
					}
					synctest.Wait() // until as much as possible has been read
					calls.add(item)
					if item < 3 {
						return nil
					}
					cancel(stopped)
					return test.do(ctx, item)
				}
				var saved memo
				hooks := testHooks[int]()
				hooks.Skipped = func(item int, err error) { t.Errorf("%d was skipped: %v", item, err) }
				result, err := Run(ctx, w, &saved, hooks)
				require.Equal(t, stopped, err)
				require.Equal(t, test.called, calls.String())
				require.Equal(t, Result[int]{Done: test.done}, result)
				require.JSONEq(t, fmt.Sprintf(`{"iteration":1,"cursor":%d,"done":%[1]d}`, test.done), string(saved.data))

				w.Items = func(context.Context, int) iter.Seq2[int, error] { panic("called too late") }
				result, err = Run(ctx, w, &saved, hooks)
				require.Equal(t, stopped, err, "a run that begins too late")
				require.Equal(t, Result[int]{Done: test.done, ResumedFrom: &test.done}, result)
			})
		})
	}
}

// What a chunk returns after the end of the context does not count, and no
// other is begun, even if it has been read.
func TestContextEndsInAChunk(t *testing.T) {
	for _, late := range []error{nil, context.Canceled, errBad, errFinal} {
		t.Run(fmt.Sprint(late), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var calls journal
				w := Work[int, int]{Items: count(100), Cursor: itself, ChunkSize: 2, MaxSkipped: 9}
				w.DoChunk = func(_ context.Context, items []int) error {
					calls.add(items)
					synctest.Wait()
					cancel()
					return late
				}
				result, err := Run(ctx, w, new(memo), testHooks[int]())
				require.Equal(t, context.Canceled, err)
				require.Equal(t, "[1 2]", calls.String())
				require.Equal(t, map[bool]int{true: 2, false: 0}[late == nil], result.Done)
			})
		})
	}
}

func TestContextEndsAfterTheLastItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := Work[int, int]{Items: count(1), Cursor: itself}
		w.Do = func(context.Context, int) error {
			synctest.Wait() // until the end of the sequence has been read
			cancel()
			return nil
		}
		result, err := Run(ctx, w, new(memo), testHooks[int]())
		require.NoError(t, err, "all is done")
		require.Equal(t, 1, result.Done)
	})
}

// An iterator that obeys its context may end in silence. That is not the end
// of the sequence.
func TestSilentEndOfTheIterator(t *testing.T) {
	type run struct {
		do    func(cancel func(), item int) error
		saved string
	}
	tests := map[string]run{
		"when the context ends": {do: func(cancel func(), item int) error { cancel(); return nil }},
		"when an item fails":    {do: func(func(), int) error { return errBad }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w := Work[int, int]{Cursor: itself}
			w.Items = func(ctx context.Context, after int) iter.Seq2[int, error] {
				return func(yield func(int, error) bool) {
					yield(1, nil)
					<-ctx.Done()
				}
			}
			w.Do = func(_ context.Context, item int) error { return test.do(cancel, item) }
			var saved memo
			_, err := Run(ctx, w, &saved, testHooks[int]())
			require.Error(t, err)
			require.NotContains(t, string(saved.data), "finished")
			require.Equal(t, test.saved, string(saved.data), "2 might have the cursor of 1")
		})
	}
}

// paged is an item of a page, as a listing of an object store returns it.
type paged struct {
	name string
	next string // the token of the page behind; empty at the end
}

func TestPages(t *testing.T) {
	pages := map[string][]paged{
		"":   {{"a", "p2"}, {"b", "p2"}, {"c", "p2"}},
		"p2": {{"d", "p3"}, {"e", "p3"}},
		"p3": {{"f", ""}, {"g", ""}},
	}
	for _, size := range []int{1, 2, 3, 4, 10} {
		for _, bad := range []string{"a", "b", "c", "d", "e", "f", "g"} {
			t.Run(fmt.Sprintf("chunks of %d, %s fails", size, bad), func(t *testing.T) {
				var calls journal
				w := Work[paged, string]{ChunkSize: size, MaxSkipped: 1, SaveEvery: -1}
				w.Items = func(_ context.Context, after string) iter.Seq2[paged, error] {
					return func(yield func(paged, error) bool) {
						for token := after; ; {
							for _, item := range pages[token] {
								if !yield(item, nil) {
									return
								}
							}
							if token = pages[token][0].next; token == "" {
								return
							}
						}
					}
				}
				w.Cursor = func(item paged) string { return item.next }
				cause := errFinal
				w.Do = func(_ context.Context, item paged) error {
					calls.add(item.name)
					switch item.name {
					case bad:
						return cause
					default:
						return nil
					}
				}
				var saved memo
				result, err := Run(t.Context(), w, &saved, testHooks[string]())
				require.ErrorIs(t, err, errFinal)
				want := map[bool]int{true: 0, false: 3}[bad < "d"]
				if bad > "e" {
					want = 5
				}
				require.Equal(t, want, result.Done, "only whole pages")
				cause = errBad
				calls.add("|")
				result, err = Run(t.Context(), w, &saved, testHooks[string]())
				require.NoError(t, err)
				require.Equal(t, 6, result.Done)
				require.Len(t, result.Skipped, 1)
				_, second, _ := strings.Cut(calls.String(), " | ")
				require.Equal(t, strings.Join(strings.Split("abcdefg", "")[want:], " "), second)
			})
		}
	}
}

func TestChunkMayBeSorted(t *testing.T) {
	var calls journal
	w := Work[int, int]{Items: count(4), Cursor: itself, ChunkSize: 4, MaxSkipped: 1}
	w.DoChunk = func(_ context.Context, items []int) error {
		slices.Reverse(items)
		calls.add(items)
		if slices.Contains(items, 3) {
			return errBad
		}
		return nil
	}
	result, err := Run(t.Context(), w, new(memo), testHooks[int]())
	require.NoError(t, err)
	require.Equal(t, "[4 3 2 1] [1] [2] [3] [4]", calls.String())
	require.Equal(t, []Skipped[int]{{3, "bad item"}}, result.Skipped)
}

func TestParallelism(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const items, chunk, parallelism = 1000, 5, 4
		var active, most atomic.Int64
		w := Work[int, int]{Items: count(items), Cursor: itself, ChunkSize: chunk, Parallelism: parallelism}
		w.DoChunk = func(context.Context, []int) error {
			most.Store(max(most.Load(), active.Add(1)))
			defer active.Add(-1)
			time.Sleep(time.Second)
			return nil
		}
		start := time.Now()
		result, err := Run(t.Context(), w, new(memo), testHooks[int]())
		require.NoError(t, err)
		require.Equal(t, items, result.Done)
		require.EqualValues(t, parallelism, most.Load())
		require.Equal(t, items/chunk/parallelism*time.Second, time.Since(start))
	})
}

// However long the sequence is, and however long its first item takes, only so
// many items are read.
func TestReadsAheadOnlySoFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const chunk, parallelism = 10, 3
		read := 0
		w := Work[int, int]{Cursor: itself, ChunkSize: chunk, Parallelism: parallelism}
		w.Items = func(ctx context.Context, after int) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for read = after + 1; read < 1000 && yield(read, nil); read++ {
				}
			}
		}
		go1 := make(chan struct{})
		w.Do = func(_ context.Context, item int) error {
			if item == 1 {
				<-go1
			}
			return nil
		}
		go func() {
			synctest.Wait()
			if limit := (ahead*parallelism + 1) * chunk; read > limit {
				t.Errorf("%d items were read, want at most %d", read, limit)
			}
			close(go1)
		}()
		result, err := Run(t.Context(), w, new(memo), testHooks[int]())
		require.NoError(t, err)
		require.Equal(t, 999, result.Done)
	})
}

// The others at work are waited for, and what they have done is saved.
func TestFailureWaitsForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := Work[int, int]{Items: count(100), Cursor: itself, Parallelism: 3, SaveEvery: time.Hour}
		w.Do = func(ctx context.Context, item int) error {
			switch item {
			case 1:
				time.Sleep(2 * time.Second)
				return ctx.Err()
			case 2:
				time.Sleep(time.Second)
				return fmt.Errorf("%d: %w", item, errBad)
			default:
				time.Sleep(3 * time.Second)
				return fmt.Errorf("%d: %w", item, errFinal)
			}
		}
		var saved memo
		result, err := Run(t.Context(), w, &saved, testHooks[int]())
		require.EqualError(t, err, "item at cursor 3: 3: hopeless", "the final one of two errors")
		require.Equal(t, Result[int]{Done: 1}, result)
		require.JSONEq(t, `{"iteration":1,"cursor":1,"done":1}`, string(saved.data))
	})
}

func TestFirstOfTwoFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := Work[int, int]{Items: count(2), Cursor: itself, Parallelism: 2}
		w.Do = func(_ context.Context, item int) error {
			time.Sleep(time.Duration(3-item) * time.Second)
			return fmt.Errorf("failure of %d", item)
		}
		_, err := Run(t.Context(), w, new(memo), testHooks[int]())
		require.EqualError(t, err, "item at cursor 2: failure of 2")
	})
}

// Items that are done are not held, even if one before them takes long.
func TestDoneItemsAreReleased(t *testing.T) {
	type large struct {
		id int
		_  [1 << 10]byte // so that it is not allocated together with others
	}
	const items = ahead * 2 // as far as it comes
	var made []weak.Pointer[large]
	w := Work[*large, int]{Cursor: func(l *large) int { return l.id }, Parallelism: 2}
	w.Items = func(_ context.Context, after int) iter.Seq2[*large, error] {
		return func(yield func(*large, error) bool) {
			for i := after + 1; i <= items; i++ {
				l := &large{id: i}
				made = append(made, weak.Make(l))
				if !yield(l, nil) {
					return
				}
			}
		}
	}
	var left sync.WaitGroup
	left.Add(items - 1)
	w.Do = func(_ context.Context, l *large) error {
		if l.id > 1 {
			left.Done()
			return nil
		}
		left.Wait()
		released := func() bool { // all but this one, and the last, which may still be in a register
			runtime.GC()
			return !slices.ContainsFunc(made[1:items-1], func(p weak.Pointer[large]) bool { return p.Value() != nil })
		}
		require.Eventually(t, released, 10*time.Second, time.Millisecond)
		return nil
	}
	result, err := Run(t.Context(), w, new(memo), testHooks[int]())
	require.NoError(t, err)
	require.Equal(t, items, result.Done)
}

func TestSkipsOfSeveralAtOnceKeepTheLimit(t *testing.T) {
	var told atomic.Int64
	w := Work[int, int]{Items: count(1000), Cursor: itself, Parallelism: 8, ChunkSize: 3, MaxSkipped: 10}
	w.Do = func(context.Context, int) error { runtime.Gosched(); return errBad }
	hooks := testHooks[int]()
	hooks.Skipped = func(int, error) { told.Add(1) }
	var saved memo
	result, err := Run(t.Context(), w, &saved, hooks)
	_, ok := errors.AsType[*ItemError[int]](err)
	require.True(t, ok, err)
	require.EqualValues(t, 10, told.Load())
	require.LessOrEqual(t, len(result.Skipped), 10)
	require.Zero(t, result.Done)
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []int
		hooks := testHooks[int]()
		hooks.Progress = func(settled int) { told = append(told, settled) }
		w := Work[int, int]{Items: count(5), Cursor: itself, MaxSkipped: 1, SaveEvery: 2500 * time.Millisecond}
		w.Do = func(_ context.Context, item int) error {
			time.Sleep(time.Second)
			return failing(map[int]error{2: errBad, 5: errFinal})(item)
		}
		var saved memo
		_, err := Run(t.Context(), w, &saved, hooks)
		require.ErrorIs(t, err, errFinal)
		require.Equal(t, []int{0, 2, 4}, told, "items done or skipped")
		w.Do = func(context.Context, int) error { return nil }
		_, err = Run(t.Context(), w, &saved, hooks)
		require.NoError(t, err)
		require.Equal(t, []int{0, 2, 4, 4, 5}, told)
	})
}
