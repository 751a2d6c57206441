package batch_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// TestWatcherThatIsFarBehind wants every removal to be told, however many there are.
func TestWatcherThatIsFarBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "first", Suspend: true, Executor: succeed})
		const n = 3000
		removed := make(map[string]bool)
		for change, err := range c.Watch(t.Context(), 0) {
			require.NoError(t, err)
			if change.Status.Name == "first" && change.Added {
				for i := range n {
					_, err := c.Run(t.Context(), batch.Job{Name: fmt.Sprint("j", i), Executor: succeed})
					require.NoError(t, err)
					require.NoError(t, c.Delete(t.Context(), fmt.Sprint("j", i), batch.DeleteBackground))
				}
			}
			if change.Deleted {
				removed[change.Status.Name] = true
			}
			if len(removed) == n {
				return
			}
		}
	})
}
