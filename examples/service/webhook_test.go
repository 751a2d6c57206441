package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// The end of each job is posted, once more after a failure, and before the service stops.
func TestWebhook(t *testing.T) {
	posted := make(chan view, 2)
	var calls atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v view
		if err := json.NewDecoder(r.Body).Decode(&v); err != nil || calls.Add(1) == 1 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		posted <- v
	}))
	defer receiver.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	url, wait := startService(t, ctx, "-grace", "1m", "-webhook", receiver.URL)
	create := func(body string) {
		res, err := http.Post(url+"/jobs", "application/json", strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusCreated, res.StatusCode)
	}
	create(`{"kind":"countdown","name":"first","seconds":0}`)
	first := <-posted
	require.Equal(t, "first", first.Name)
	require.Equal(t, "Complete", first.State)
	require.EqualValues(t, 2, calls.Load(), "the first call has failed")

	create(`{"kind":"countdown","name":"last","seconds":1}`)
	interrupt()
	code, log := wait()
	require.Zero(t, code, log)
	require.Equal(t, "last", (<-posted).Name)
}
