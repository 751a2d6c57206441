package boltstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// A store that is closed before its controller is shut down: whoever waits learns of it,
// and nobody waits for ever.
func TestClose_BeforeTheController(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := Open(storePath(t), Options{})
	require.NoError(t, err)
	c, err := batch.New(ctx, batch.Options{Store: s})
	require.NoError(t, err)
	_, err = batch.New(ctx, batch.Options{Store: s})
	require.ErrorIs(t, err, batch.ErrStoreInUse)
	goOn := make(chan struct{})
	require.NoError(t, c.Create(ctx, batch.Job{Name: "j",
		Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { <-goOn; return nil })}))
	require.NoError(t, s.Close())
	close(goOn)
	_, waited := c.Wait(ctx, "j")
	for what, err := range map[string]error{"Wait": waited, "Shutdown": c.Shutdown(ctx)} {
		require.True(t, errors.Is(err, ErrClosed) && errors.Is(err, batch.ErrStore), "%s: %v", what, err)
	}
	require.NoError(t, ctx.Err())
}
