package main

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
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
		"an unknown kind":          {request{Kind: "dance"}, "kind"},
		"a folder that is missing": {request{Kind: "checksum", Path: "none"}, "path"},
		"a folder that is a file":  {request{Kind: "checksum", Path: "docs/a"}, "path"},
		"a folder outside":         {request{Kind: "checksum", Path: "../etc"}, "path"},
		"no folder":                {request{Kind: "checksum"}, "path"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.request.job(smallTree())
			var invalid *batch.ValidationError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, test.field, invalid.Fields[0].Field)
		})
	}
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
