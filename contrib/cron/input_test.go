package cron

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// TestInputOfTheTemplate wants each job to have the input of the template as it was
// when the job was due, in this process and the next.
func TestInputOfTheTemplate(t *testing.T) {
	type scope struct {
		Day    string         `json:"day"`
		Large  int64          `json:"large"`
		Off    bool           `json:"off"`
		Nested map[string]any `json:"nested"`
		A      string         `json:"a"`
	}
	first := scope{Day: "", Large: 1<<60 + 1, Nested: map[string]any{}}
	second := scope{Day: "Tuesday", Large: 1<<60 + 3, Nested: map[string]any{"x": ""}}
	synctest.Test(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		var seen []scope
		job := CronJob{Name: "a", Schedule: "@daily", TimeZone: "UTC", Job: batch.Job{Input: first,
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				in, err := batch.Input[scope](a)
				seen = append(seen, in)
				return err
			})}}
		f := newFixture(t, store)
		_, err := f.Apply(t.Context(), job)
		require.NoError(t, err)
		time.Sleep(25 * time.Hour)
		f.close()

		f = newFixture(t, store) // it has the template, and is told nothing else
		generation := f.get("a").Generation
		_, err = f.Apply(t.Context(), job)
		require.NoError(t, err)
		require.Equal(t, generation, f.get("a").Generation)
		time.Sleep(24 * time.Hour)
		job.Job.Input = second
		_, err = f.Apply(t.Context(), job)
		require.NoError(t, err)
		require.Equal(t, generation+1, f.get("a").Generation)
		time.Sleep(24 * time.Hour)
		f.close()
		require.Equal(t, []scope{first, first, second}, seen)
	})
}

func TestInputThatDoesNotEncode(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		job := f.cronJob("a", "@daily")
		job.Job.Input = make(chan int)
		require.ErrorContains(t, f.Create(t.Context(), job), `"chan int": json: unsupported type`)
		job.Job.Input = json.RawMessage("{")
		require.ErrorContains(t, f.Create(t.Context(), job), "unexpected end of JSON")
	})
}
