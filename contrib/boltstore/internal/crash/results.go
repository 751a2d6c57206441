//go:build unix

package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/runtocompletion/batch"
)

// setResult sets the token of the attempt as its result: it says where it belongs.
func (x *execution) setResult() error {
	err := x.attempt.SetResult(x.attempt.Token())
	if errors.Is(err, batch.ErrAttemptEnded) { // it was stopped
		return err
	}
	return x.check("set a result", err)
}

// checkResults wants what is known of a job, of which nothing runs yet in this process,
// to be as whole as its status: a result for each completion and no other, and the last
// failure of each index that was given up.
func (c *child) checkResults(status batch.Status) {
	found, err := batch.Results[string](context.Background(), c.controller, status.Name)
	if errors.Is(err, batch.ErrNotFound) {
		return // it was removed meanwhile, which the judge knows
	}
	if err != nil {
		c.problem(fmt.Errorf("results of %s: %w", status.Name, err))
		return
	}
	results := maps.Collect(found)
	if len(results) != status.Succeeded {
		c.problem(fmt.Errorf("%s has %d results of %d successes", status.Name, len(results), status.Succeeded))
	}
	for index, token := range results {
		if !belongs(status, index, token) {
			c.problem(fmt.Errorf("%s has the result %q of %d", status.Name, token, index))
		}
	}
	failures, err := c.controller.Failures(context.Background(), status.Name)
	if errors.Is(err, batch.ErrNotFound) {
		return
	}
	if err != nil {
		c.problem(fmt.Errorf("failures of %s: %w", status.Name, err))
		return
	}
	known := maps.Collect(failures)
	if status.FailedIndexes == nil {
		return
	}
	for index := range status.FailedIndexes.All() {
		if f := known[index]; f == nil || f.Attempt == "" || f.At.IsZero() {
			c.problem(fmt.Errorf("%s does not know why index %d has failed: %+v", status.Name, index, f))
		}
	}
}

// belongs reports whether a result is one of the job, and of that index if it has any.
func belongs(status batch.Status, index int, token string) bool {
	of, ok := strings.CutPrefix(token, status.UID+"/")
	if strings.HasPrefix(of, "-1/") { // the job is not Indexed
		return ok && index < status.Succeeded
	}
	return ok && strings.HasPrefix(of, fmt.Sprint(index, "/")) && status.CompletedIndexes.Contains(index)
}
