package iterate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIteratorFails(t *testing.T) {
	for _, size := range []int{1, 2, 10} {
		t.Run(fmt.Sprintf("chunks of %d", size), func(t *testing.T) {
			lost := errors.New("connection lost")
			var calls journal
			w := Work[int, int]{Cursor: itself, ChunkSize: size}
			w.Items = func(ctx context.Context, after int) iter.Seq2[int, error] {
				return func(yield func(int, error) bool) {
					for item := range count(after+3)(ctx, after) {
						if !yield(item, nil) {
							return
						}
					}
					yield(-1, lost)
				}
			}
			w.Do = func(_ context.Context, item int) error { calls.add(item); return nil }
			var saved memo
			result, err := Run(t.Context(), w, &saved, testHooks[int]())
			require.EqualError(t, err, "read the items: connection lost")
			require.ErrorIs(t, err, lost)
			require.Equal(t, "1 2 3", calls.String(), "all that came before the error")
			require.Equal(t, 3, result.Done)
			require.JSONEq(t, `{"iteration":1,"cursor":2,"ahead":{"cursor":3,"items":1},"done":3}`, string(saved.data),
				"a fourth item might have had the cursor of the third")
			result, err = Run(t.Context(), w, &saved, testHooks[int]())
			require.ErrorIs(t, err, lost)
			require.Equal(t, "1 2 3 4 5", calls.String(), "the next run comes further")
			require.Equal(t, Result[int]{Done: 5, ResumedFrom: new(2)}, result)
		})
	}
}

// A source that fails behind each page it yields, of any size, is read to its
// end nevertheless, a page a run, and no item is done twice.
func TestIteratorFailsAgainAndAgain(t *testing.T) {
	for _, page := range []int{1, 2, 3} {
		for _, size := range []int{1, 2, 5} {
			t.Run(fmt.Sprintf("pages of %d, chunks of %d", page, size), func(t *testing.T) {
				lost := errors.New("too many requests")
				var calls journal
				w := Work[int, int]{ChunkSize: size, Parallelism: 2, SaveEvery: -1}
				w.Cursor = func(item int) int { return (item-1)/page + 1 }
				w.Items = func(_ context.Context, after int) iter.Seq2[int, error] {
					return func(yield func(int, error) bool) {
						for i := range page {
							if after == 10 || !yield(after*page+i+1, nil) {
								return
							}
						}
						yield(0, lost)
					}
				}
				w.Do = func(_ context.Context, item int) error { calls.add(item); return nil }
				var saved memo
				err, runs := lost, 0
				var result Result[int]
				for ; err != nil; runs++ {
					require.ErrorIs(t, err, lost)
					require.Equal(t, runs*page, result.Done)
					result, err = Run(t.Context(), w, &saved, testHooks[int]())
				}
				require.Equal(t, 11, runs)
				require.Equal(t, 10*page, result.Done)
				require.Len(t, strings.Fields(calls.String()), 10*page)
			})
		}
	}
}

// Of items that share a cursor, those that come behind a source's error are done
// in the next run, and the others not again.
func TestIteratorFailsWithinAPage(t *testing.T) {
	for name, test := range map[string]struct {
		cursors []int
		fails   []int // before which items, in one run after the other
		skips   int   // an item that fails
		calls   string
		result  Result[int]
	}{
		"of several": {cursors: []int{7, 7, 7, 8}, fails: []int{2}, calls: "0 1 | 2 3", result: Result[int]{Done: 4}},
		"at another place": {
			cursors: []int{7, 7, 7, 8}, fails: []int{1, 2}, calls: "0 | 1 | 2 3", result: Result[int]{Done: 4},
		},
		"at an earlier one": {
			cursors: []int{7, 7, 7, 8}, fails: []int{2, 1}, calls: "0 1 | | 2 3", result: Result[int]{Done: 4},
		},
		"behind it":  {cursors: []int{6, 7, 7, 8}, fails: []int{3}, calls: "0 1 2 | 3", result: Result[int]{Done: 4}},
		"before all": {cursors: []int{7, 7, 8}, fails: []int{0, 0}, calls: "| | 0 1 2", result: Result[int]{Done: 3}},
		"with a skipped one": {cursors: []int{6, 7, 7, 8}, fails: []int{2}, skips: 1, calls: "0 1 | 2 3",
			result: Result[int]{Done: 3, Skipped: []Skipped[int]{{7, "bad item"}}}},
		"of the zero cursor": {
			cursors: []int{0, 0, 7, 8}, fails: []int{2}, calls: "0 1 | 0 1 2 3", result: Result[int]{Done: 4},
		},
		"behind the end": {cursors: []int{6, 7, 7}, fails: []int{3, 3}, calls: "0 1 2 | |", result: Result[int]{Done: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			var calls journal
			w := Work[int, int]{Cursor: func(i int) int { return test.cursors[i] }, MaxSkipped: 1}
			w.Do = func(_ context.Context, i int) error {
				calls.add(i)
				if i == test.skips && i > 0 {
					return errBad
				}
				return nil
			}
			var saved memo
			for _, before := range test.fails {
				w.Items = breaking(test.cursors, before)
				if _, err := Run(t.Context(), w, &saved, testHooks[int]()); err == nil {
					break // it went on behind them
				}
				calls.add("|")
			}
			w.Items = breaking(test.cursors, -1)
			result, err := Run(t.Context(), w, &saved, testHooks[int]())
			require.NoError(t, err)
			require.Equal(t, test.calls, calls.String())
			result.ResumedFrom = nil // which the calls show
			require.Equal(t, test.result, result)
		})
	}
}

// breaking yields the numbers of the items whose cursors come behind one, and
// an error before one of them.
func breaking(cursors []int, before int) func(context.Context, int) iter.Seq2[int, error] {
	return func(_ context.Context, after int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i, cursor := range append(slices.Clone(cursors), math.MaxInt) {
				switch {
				case after > 0 && cursor <= after:
				case i == before:
					yield(0, errors.New("cannot read"))
					return
				case i == len(cursors) || !yield(i, nil):
					return
				}
			}
		}
	}
}
