package iterate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Any number of items may be skipped: what has no place in a checkpoint's list
// is counted.
func TestManyAreSkipped(t *testing.T) {
	const items = 10_000
	w := Work[int, int]{
		Items: count(items), Cursor: itself, MaxSkipped: items - 1, Parallelism: 3, ChunkSize: 10, SaveEvery: time.Hour,
	}
	w.Do = func(context.Context, int) error { return errors.New(strings.Repeat("long ", 100)) }
	var saved memo
	_, err := Run(t.Context(), w, &saved, testHooks[int]())
	require.ErrorContains(t, err, "item at cursor")
	require.Less(t, len(saved.data), maxListed+1000)
	w.MaxSkipped = items
	result, err := Run(t.Context(), w, &saved, testHooks[int]())
	require.NoError(t, err)
	require.Less(t, len(saved.data), maxListed+1000)
	require.Equal(t, 0, result.Done)
	require.Equal(t, items, len(result.Skipped)+result.Unlisted)
	require.Greater(t, len(result.Skipped), 900)
	require.True(t, slices.IsSortedFunc(result.Skipped, func(a, b Skipped[int]) int { return a.Cursor - b.Cursor }))
}
