package engine

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEvents_AreNotChanged: what was copied out stays as it was, however many follow
// and whether or not they repeat the last one.
func TestEvents_AreNotChanged(t *testing.T) {
	c := newDaily(t)
	var before, copies [][]Event
	for i := range 3 * keptEvents {
		c.emit(Time(i), Event{Kind: SuccessfulCreate, Job: string(rune('a' + i/2))})
		before, copies = append(before, c.Events), append(copies, slices.Clone(c.Events))
		require.LessOrEqual(t, len(c.Events), keptEvents)
	}
	require.Equal(t, copies, before)
	last := c.Events[len(c.Events)-1]
	require.Equal(t, uint64(3*keptEvents), last.Seq)
	require.Equal(t, 2, last.Count)
}
