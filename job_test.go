package batch

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/runner"
)

// A job that wakes has the executor that it was given, and runs inside of what Wrap has
// returned for that: it is asked once for each definition.
func TestWrapIsKeptAtRest(t *testing.T) {
	ran, asked := "", 0
	c, options, err := Options{Wrap: func(Executor) Executor {
		asked++
		return ExecutorFunc(func(context.Context, Attempt) error {
			ran += "around"
			return nil
		})
	}}.controller(t.Context())
	require.NoError(t, err)
	c.runners.Begin(runner.New(options))
	job := good().withDefaults()
	def := c.define(job, nil)
	for range 2 {
		saved, err := c.load(def.Source.Encode(1, def.Spec.HoldsPending), nil, functionsOf(def.Source))
		require.NoError(t, err)
		def = saved.Definition
		require.Equal(t, nothing{}, sourceOf(def).job.Executor)
		_, err = Run(t.Context(), Job{Name: "other", Executor: ExecutorFunc(func(ctx context.Context, a Attempt) error {
			return def.Execute(ctx, a.live)
		})})
		require.NoError(t, err)
	}
	require.Equal(t, 1, asked)
	require.Equal(t, "aroundaround", ran)
}

// nothing is an executor that tests can compare.
type nothing struct{}

func (nothing) Execute(context.Context, Attempt) error { return nil }
