package iterate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type keyset struct {
	At time.Time
	ID int
}

type half struct {
	Known  int
	hidden int
}

// loose is a cursor that takes care of its own equality.
type loose struct {
	Name string
	Hint *int
}

func (l loose) Equal(other loose) bool { return l.Name == other.Name }

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 1, time.UTC)
	paris = noon.In(time.FixedZone("CET", 3600))
)

func TestEquality(t *testing.T) {
	type point [2]int
	t.Run("int", equalityCase([]int{1}, []int{1}, []int{2, 0}))
	t.Run("string", equalityCase([]string{"a"}, []string{"a"}, []string{"b", ""}))
	t.Run("array", equalityCase([]point{{1, 2}}, []point{{1, 2}}, []point{{1, 3}, {}}))
	t.Run("bytes", equalityCase([][]byte{[]byte("a")}, [][]byte{[]byte("a")}, [][]byte{[]byte("b"), []byte("aa"), nil}))
	t.Run("pointer", equalityCase([]*int{new(1)}, []*int{new(1)}, []*int{new(2), nil}))
	t.Run("nil pointer", equalityCase([]*int{nil}, []*int{nil}, []*int{new(2)}))
	t.Run("time", equalityCase([]time.Time{noon}, []time.Time{paris}, []time.Time{noon.Add(1), {}}))
	t.Run(
		"struct with a time", equalityCase([]keyset{{noon, 1}}, []keyset{{paris, 1}}, []keyset{{noon, 2}, {noon.Add(1), 1}}),
	)
	t.Run("struct with a hidden field", equalityCase([]half{{1, 1}}, []half{{1, 1}}, []half{{1, 2}}))
	t.Run("its own", equalityCase([]loose{{"a", nil}}, []loose{{"a", new(1)}}, []loose{{"b", nil}}))
	t.Run(
		"map", equalityCase([]map[string]int{{"a": 1}}, []map[string]int{{"a": 1}}, []map[string]int{{"a": 2}, {"b": 1}, {}}),
	)
	t.Run("interface", equalityCase([]any{1.0}, []any{1.0}, []any{"1", 2.0, nil}))
	t.Run("function", equalityCase(nil, nil, []func(){nil}))
}

// equalityCase checks that the first cursor equals those in the same list, and not the others.
func equalityCase[C any](one, same, others []C) func(*testing.T) {
	return func(t *testing.T) {
		equal := equality[C]()
		for _, a := range one {
			for _, b := range same {
				require.True(t, equal(a, b), "%v and %v", a, b)
			}
			for _, b := range others {
				require.False(t, equal(a, b), "%v and %v", a, b)
			}
		}
	}
}

func TestCheckCursor(t *testing.T) {
	check := func(want string, err error) func(*testing.T) {
		return func(t *testing.T) {
			if want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, want)
			bad, ok := errors.AsType[*CursorError](err)
			require.True(t, ok)
			require.ErrorIs(t, err, bad.Err)
		}
	}
	t.Run("int", check("", checkOf(math.MaxInt64)))
	t.Run("text", check("", checkOf("a<b> é \u2028 \ufffd \\ufffd")))
	t.Run("time", check("", checkOf(paris)))
	t.Run("keyset", check("", checkOf(keyset{paris, 7})))
	t.Run("now", check("", checkOf(time.Now())))
	t.Run("bytes that are not UTF-8", check("", checkOf([]byte{0xff, 0})))
	t.Run("pointer", check("", checkOf(new(0))))
	t.Run("nil pointer", check("", checkOf((*int)(nil))))
	t.Run("text that is not UTF-8", check("cursor a\xff: JSON does not bring it back as it was", checkOf("a\xff")))
	t.Run("the same in a struct", check("cursor {2026-03-01 12:00:00.000000001 +0000 UTC \xff}: JSON does not bring it "+
		"back as it was",
		checkOf(struct {
			At   time.Time
			Name string
		}{noon, "\xff"})))
	t.Run("hidden field", check("cursor {1 2}: JSON does not bring it back as it was", checkOf(half{1, 2})))
	t.Run("not a number", check("cursor NaN: json: unsupported value: NaN", checkOf(math.NaN())))
	t.Run(
		"no way back",
		check(
			"cursor 1s: json: cannot unmarshal number into Go value of type fmt.Stringer", checkOf[fmt.Stringer](time.Second),
		),
	)
	t.Run("channel", check("cursor <nil>: json: unsupported type: chan int", checkOf((chan int)(nil))))
}

func checkOf[C any](cursor C) error { return checkCursor(cursor, equality[C]()) }

// The first item's cursor is looked at before anything is done.
func TestFirstCursorIsChecked(t *testing.T) {
	w := Work[string, string]{Cursor: func(item string) string { return item }}
	w.Items = func(context.Context, string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			if yield("\xff", nil) {
				t.Error("the iterator was asked for more")
			}
		}
	}
	w.Do = func(context.Context, string) error { t.Error("the item was done"); return nil }
	_, err := Run(t.Context(), w, new(memo), testHooks[string]())
	bad, ok := errors.AsType[*CursorError](err)
	require.True(t, ok)
	require.Equal(t, "\xff", bad.Cursor)
}

// The record of a skipped item would be wrong if its cursor were.
func TestCursorOfSkippedItemIsChecked(t *testing.T) {
	w := Work[string, string]{Cursor: func(item string) string { return item }, MaxSkipped: 9}
	w.Items = func(context.Context, string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			_ = yield("a", nil) && yield("\xff", nil) && yield("c", nil)
		}
	}
	w.Do = func(_ context.Context, item string) error {
		if item == "\xff" {
			return errBad
		}
		return nil
	}
	result, err := Run(t.Context(), w, new(memo), testHooks[string]())
	require.IsType(t, new(ItemError[string]), err)
	require.ErrorIs(t, err, errBad)
	_, ok := errors.AsType[*CursorError](err)
	require.True(t, ok)
	require.Equal(t, Result[string]{Done: 1}, result)
}
