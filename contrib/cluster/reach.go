package cluster

import (
	"net/http"
	"sync"
	"time"

	"github.com/runtocompletion/batch"
)

// A reach knows whether the API server can be reached.
type reach struct {
	changed func()

	mu    sync.Mutex // guards the fields below
	err   error      // nil if it can
	since time.Time
}

func (r *reach) note(err error) {
	r.mu.Lock()
	was := r.err != nil
	if r.err == nil && err != nil {
		r.since = time.Now()
	}
	r.err = err
	r.mu.Unlock()
	if was != (err != nil) {
		r.changed()
	}
}

// stalled is the condition of jobs while the API server cannot be reached.
func (r *reach) stalled() (batch.Condition, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		return batch.Condition{}, false
	}
	return batch.Condition{Type: batch.ConditionStalled, Status: "True", Reason: unreachable,
		Message: unreachableMessage(r.err), LastTransitionTime: r.since}, true
}

const unreachable = "ClusterUnreachable"

func unreachableMessage(err error) string { return "the cluster cannot be reached: " + err.Error() }

// A reachTripper notes how each request went.
type reachTripper struct {
	next  http.RoundTripper
	reach *reach
}

func (t *reachTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	switch {
	case err == nil:
		t.reach.note(nil)
	case r.Context().Err() == nil:
		t.reach.note(err)
	}
	return response, err
}
