package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/conformance"
	"github.com/runtocompletion/batch/internal/effort"
)

// A script is the input of a job that plays a recorded case.
type script struct {
	Scenario conformance.Scenario
	// Stopped are the attempts that were stopped, by index and number. They would run for
	// ever: so it does not matter how fast the others are.
	Stopped map[string]bool
	// Dir is where attempts are counted.
	Dir string
}

func scriptOf(c *conformance.Case, dir string) script {
	s := script{c.Scenario, make(map[string]bool), dir}
	for _, pod := range c.Outcome.Pods {
		if pod.DeletedBy == "" {
			continue
		}
		if pod.Index < 0 {
			s.Stopped[keyOf(-1, pod.Ordinal)] = true
		} else {
			s.Stopped[keyOf(pod.Index, pod.Attempt)] = true
		}
	}
	return s
}

func keyOf(index, number int) string { return fmt.Sprint(index, "-", number) }

// playPlan is an attempt that does what the script says.
func playPlan(ctx context.Context, a batch.Attempt) error {
	s, err := batch.Input[script](a)
	if err != nil {
		return err
	}
	number, err := claimNumber(filepath.Join(s.Dir, a.Job), a.Index)
	if err != nil {
		return err
	}
	plan := s.Scenario.PlanFor(a.Index, number, number)
	run := plan.Run(0)
	end := time.After((plan.Start + run.D).Duration()) // in a process of its own, or beside one
	if s.Stopped[keyOf(a.Index, number)] {
		end = nil
	}
	select {
	case <-end:
		return exited(run.Exit)
	case <-ctx.Done():
	}
	stop := plan.Stop()
	time.Sleep(stop.After.Duration())
	return exited(stop.Exit)
}

func exited(code int) error {
	if code == 0 {
		return nil
	}
	return exitError(code)
}

// claimNumber counts the attempts of an index, in whichever process they are.
func claimNumber(dir string, index int) (number int, err error) {
	for ; ; number++ {
		err := os.MkdirAll(dir, 0o777)
		if err == nil {
			err = os.Mkdir(filepath.Join(dir, keyOf(index, number)), 0o700)
		}
		if !errors.Is(err, fs.ErrExist) {
			return number, err
		}
	}
}

// playRecorded plays a case to a controller, and returns how it has ended.
func playRecorded(t *testing.T, ctl *batch.Controller, c *conformance.Case, dir string, managedBy *string) ending {
	job, err := c.Scenario.Job()
	require.NoError(t, err)
	job.Name, job.ManagedBy, job.Input, job.Executor = c.Name, managedBy, scriptOf(c, dir), functions.Executor("plan")
	accepted := make(chan []bool, 1)
	go func() { accepted <- act(t.Context(), ctl, c) }()
	end := runToEnd(t, ctl, job)
	end.Accepted = <-accepted
	return end
}

// act does what the user does, and returns what of it was accepted.
func act(ctx context.Context, ctl *batch.Controller, c *conformance.Case) (accepted []bool) {
	begun := time.Now()
	spec := conformance.Default(c.Scenario.Spec) // as the API server would have stored it
	for _, a := range c.Scenario.Actions {
		time.Sleep(time.Until(begun.Add(a.At.Duration()))) // as the recorded user has
		next := conformance.Default(conformance.MergePatch(spec, a.Patch))
		changed, err := conformance.Convert(next, c.Scenario.RestartPolicy)
		if err == nil {
			err = ctl.Update(ctx, c.Name, func(j *batch.Job) { setSpec(j, changed) })
		}
		if err == nil {
			spec = next
		}
		accepted = append(accepted, err == nil)
	}
	return accepted
}

// setSpec sets what a patch of the spec can change.
func setSpec(j *batch.Job, changed batch.Job) {
	changed.Name, changed.ManagedBy, changed.Input, changed.Executor = j.Name, j.ManagedBy, j.Input, j.Executor
	changed.ContainerName, changed.RestartPolicy = j.ContainerName, j.RestartPolicy
	changed.Labels, changed.Annotations = j.Labels, j.Annotations
	*j = changed
}

// recordedEnding is what a recording says of an end.
func recordedEnding(c *conformance.Case) (e ending) {
	o := &c.Outcome
	for _, condition := range o.Conditions {
		e.Conditions = append(e.Conditions, fmt.Sprintf("%s=%s %s: %s", condition.Type, condition.Status,
			condition.Reason, podName.ReplaceAllString(condition.Message, "$1 P")))
	}
	e.Active, e.Succeeded, e.Failed, e.CompletedIndexes = o.Active, o.Succeeded, o.Failed, o.CompletedIndexes
	if o.FailedIndexes != nil {
		e.FailedIndexes = *o.FailedIndexes
	}
	for _, a := range o.Actions {
		e.Accepted = append(e.Accepted, a.Accepted)
	}
	return e
}

// Recorded answers of the real Job controller are those of a real cluster, and of this
// process, side by side: conditions with their words, counters, indexes, and what was
// accepted of the user. With BATCH_TEST=all there are 51 of them, otherwise ten.
func TestRecordedOnCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	cases, err := conformance.Load("../../internal/conformance/testdata/named.json")
	require.NoError(t, err)
	cases = slices.DeleteFunc(cases, func(c *conformance.Case) bool { return !isPlayable(c) })
	require.Len(t, cases, 51)
	cases = cases[:effort.Of(10, len(cases))]
	o := p.options()
	there, here := t.TempDir(), t.TempDir()
	share(&o, there, "CLUSTER_TEST_DIR", there)
	far, near := p.service(o), newController(t, nil)
	defer func() { require.NoError(t, near.Shutdown(context.Background())) }()
	type pair struct{ far, near ending }
	ends := make([]chan pair, len(cases))
	places := make(chan struct{}, 25)
	for i, c := range cases {
		ends[i] = make(chan pair, 1)
		go func() {
			places <- struct{}{}
			defer func() { <-places }()
			got := make(chan ending, 1)
			go func() { got <- playRecorded(t, far, c, there, new(Manager)) }()
			ends[i] <- pair{near: playRecorded(t, near, c, here, nil), far: <-got}
		}()
	}
	for i, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			end := <-ends[i]
			require.Equal(t, end.near, end.far)
			want := recordedEnding(c)
			want.Attempts = end.near.Attempts
			require.Equal(t, want, end.near)
		})
	}
}

// isPlayable reports whether a case is short, can be handed on, and has an end that does
// not hang on seconds.
func isPlayable(c *conformance.Case) bool {
	const longest = 24
	s := &c.Scenario
	if s.ValidateOnly || !c.Outcome.Accepted || s.RestartPolicy != batch.RestartNever || c.Outcome.EndedAt > longest ||
		slices.Contains(hurried, c.Name) || conformance.Excuses[c.Name].Reason != "" {
		return false
	}
	job, err := s.Job()
	if err != nil || Check(job) != nil || c.Outcome.GoneAt != nil || job.TTLAfterFinished != nil {
		return false
	}
	if len(c.Outcome.Actions) < len(s.Actions) { // some come too late
		return false
	}
	return !slices.ContainsFunc(s.Actions, isNoPatch) && !hasDisruption(s)
}

func isNoPatch(a conformance.Action) bool { return a.Patch == nil }

// hurried are the cases that end otherwise if a pod is some seconds late, or that concern
// the manager.
var hurried = []string{"together-success-and-limit", "together-fail-job-and-limit", "together-max-failed-and-limit",
	"together-success-policy-and-limit", "backoff-exceeded-others-running", "backoff-exceeded-others-slow-term",
	"backoff-exceeded-others-term-exit-0", "success-policy-failed-job", "success-policy-per-index",
	"success-policy-indexes-count", "work-queue-late-failure", "work-queue-late-failures-exceed",
	"per-index-max-failed-1", "per-index-global-limit-too", "deadline-not-reached", "deadline-slow-start",
	"elastic-down", "elastic-down-to-done", "update-managed-by"}

func hasDisruption(s *conformance.Scenario) bool {
	plans := slices.Clone(s.Pods.Ordinal)
	for _, list := range s.Pods.Index {
		plans = append(plans, list...)
	}
	if s.Pods.Default != nil {
		plans = append(plans, *s.Pods.Default)
	}
	return slices.ContainsFunc(plans, func(p conformance.Plan) bool { return p.Disrupt != nil })
}
