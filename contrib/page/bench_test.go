package page

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// BenchmarkPage tells what it takes to make the page of a job whose attempts are
// all new since it was made last, and the list of ten thousand jobs.
func BenchmarkPage(b *testing.B) {
	c, err := batch.New(context.Background(), batch.Options{})
	require.NoError(b, err)
	noop := batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })
	require.NoError(
		b, c.Create(b.Context(), batch.Job{Name: "done", Completions: new(2000), Parallelism: new(2), Executor: noop}),
	)
	_, err = c.Wait(b.Context(), "done")
	require.NoError(b, err)
	for i := range 10_000 {
		require.NoError(b, c.Create(b.Context(), batch.Job{Name: fmt.Sprint("job-", i), Suspend: true, Executor: noop}))
	}
	s := Handler(c, Options{})
	for name, address := range map[string]string{"job": "job/done", "list": ""} {
		content, err := s.content(address)
		require.NoError(b, err)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				page, err := content.look()
				require.NoError(b, err)
				page.parts(func(_ string, make func() part) part { return make() })
			}
		})
	}
	require.NoError(b, c.Shutdown(b.Context()))
}
