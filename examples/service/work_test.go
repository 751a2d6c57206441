package main

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

func TestRequestMakesAJob(t *testing.T) {
	r := request{Kind: "checksum", Name: "sums", Path: "docs", Shards: new(2), Retries: new(1), KeepSeconds: new(60)}
	job, err := r.job(smallTree())
	require.NoError(t, err)
	require.Equal(t, "sums", job.Name)
	require.Equal(t, 2, *job.Completions)
	require.Equal(t, 1, *job.BackoffLimitPerIndex)
	require.Equal(t, time.Minute, *job.TTLAfterFinished)
}

func TestRequestIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		request request
		field   string
	}{
		"an unknown kind":          {request: request{Kind: "dance"}, field: "kind"},
		"a folder that is missing": {request: request{Kind: "checksum", Path: "none"}, field: "path"},
		"a folder that is a file":  {request: request{Kind: "checksum", Path: "docs/a"}, field: "path"},
		"a folder outside":         {request: request{Kind: "checksum", Path: "../etc"}, field: "path"},
		"no folder":                {request: request{Kind: "checksum"}, field: "path"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.request.job(smallTree())
			var invalid *batch.ValidationError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, test.field, invalid.Fields[0].Field)
		})
	}
}

// TestRequestIsTheInput wants a job to go on with what was asked for, in a process that
// knows nothing but the store.
func TestRequestIsTheInput(t *testing.T) {
	store := new(batchtest.MemoryStore)
	start := func() *batch.Controller {
		c, err := batch.New(t.Context(), batch.Options{Store: store})
		require.NoError(t, err)
		return c
	}
	c := start()
	job, err := request{Kind: "checksum", Name: "sums", Path: ".", Shards: new(2), Suspend: true}.job(smallTree())
	require.NoError(t, err)
	require.NoError(t, c.Create(t.Context(), job))
	require.NoError(t, c.Shutdown(t.Context()))

	c = start()
	require.NoError(t, giveExecutor(t.Context(), c, "sums", smallTree()))
	require.NoError(t, c.Resume(t.Context(), "sums"))
	_, err = c.Wait(t.Context(), "sums")
	require.NoError(t, err)
	results, err := batch.Results[total](t.Context(), c, "sums")
	require.NoError(t, err)
	require.Equal(t, map[int]total{0: {Files: 2, Bytes: 5}, 1: {Files: 1, Bytes: 5}}, maps.Collect(results))
	require.NoError(t, c.Shutdown(t.Context()))
}

// TestKindOfAnotherVersion wants a job to fail that this version knows nothing of.
func TestKindOfAnotherVersion(t *testing.T) {
	_, err := batch.Run(t.Context(), batch.Job{Name: "j", Executor: requested{}, Input: request{Kind: "dance"}})
	require.ErrorContains(t, err, `kind "dance"`)
	_, err = batch.Run(t.Context(), batch.Job{Name: "j", Executor: requested{}, Input: "text", BackoffLimit: new(0)})
	require.ErrorContains(t, err, "input of job")
}

func TestEveryFileIsInOneShard(t *testing.T) {
	c := checksum{root: smallTree(), path: ".", shards: 2}
	first, err := c.files(0)
	require.NoError(t, err)
	second, err := c.files(1)
	require.NoError(t, err)
	require.Equal(t, []string{"docs/a", "src/c"}, first)
	require.Equal(t, []string{"docs/b"}, second)
}

func TestSum(t *testing.T) {
	sum, n, err := checksum{root: smallTree()}.sum("docs/a")
	require.NoError(t, err)
	require.Equal(t, int64(5), n)
	require.Equal(t, hashOf("hello"), sum)
}

func smallTree() fstest.MapFS {
	return fstest.MapFS{
		"docs/a": {Data: []byte("hello")}, "docs/b": {Data: []byte("world")}, "src/c": {},
	}
}

func hashOf(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
