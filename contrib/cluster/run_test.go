package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
)

func squares(name string, n int) batch.Job {
	return batch.Job{Name: name, ManagedBy: new(Manager), Executor: functions.Executor("square"), Input: 10,
		CompletionMode: batch.Indexed, Completions: &n, Parallelism: &n}
}

// A job that names the manager runs as pods, and is seen here as if it had run here.
func TestJobOnCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := p.service(p.options())
	status, err := c.Run(t.Context(), squares("squares", 4))
	require.NoError(t, err)
	require.Equal(t, []any{4, 0, "0-3", batch.ReasonCompletionsReached},
		[]any{status.Succeeded, status.Failed, status.CompletedIndexes.String(),
			status.Conditions[len(status.Conditions)-1].Reason})
	require.Equal(t, map[int]int{0: 0, 1: 10, 2: 40, 3: 90}, resultsOf[int](t, c, "squares"))
	attempts, err := c.Attempts(t.Context(), "squares")
	require.NoError(t, err)
	require.Len(t, attempts, 4)
	created := make(map[string]bool)
	for _, a := range attempts {
		require.Equal(t, []any{"Succeeded", "squared", 0, batch.Progress{Done: 1, Total: 1, Phase: "squaring"}},
			[]any{a.Phase, a.Output, *a.ExitCode, a.Progress})
		require.Equal(t, []string{fmt.Sprintf("index %d of %s", a.Index, a.Name)}, linesOf(t, c, "squares", a.Name))
		created["Created pod: "+a.Name] = true
	}
	events, err := c.Events(t.Context(), "squares")
	require.NoError(t, err)
	for _, e := range events {
		delete(created, e.Message)
	}
	require.Empty(t, created)
	pods, err := p.admin.CoreV1().Pods(p.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, pods.Items, 4)
}

func resultsOf[T any](t testing.TB, c *batch.Controller, job string) map[int]T {
	results, err := batch.Results[T](t.Context(), c, job)
	require.NoError(t, err)
	return maps.Collect(results)
}

func linesOf(t *testing.T, c *batch.Controller, job, attempt string) (lines []string) {
	for line, err := range c.Logs(t.Context(), job, attempt, -1, false) {
		require.NoError(t, err)
		lines = append(lines, line.Text)
	}
	return lines
}

// A job has ended when its log has been read, all of it.
func TestLogOnCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := p.service(p.options())
	_, err := c.Run(t.Context(), batch.Job{Name: "chatty", ManagedBy: new(Manager), LogLimit: new(1 << 20),
		Executor: functions.Executor("chatty")})
	require.NoError(t, err)
	attempts, err := c.Attempts(t.Context(), "chatty")
	require.NoError(t, err)
	var want []string
	for i := range chattyLines {
		want = append(want, fmt.Sprint("line ", i))
	}
	require.Equal(t, want, linesOf(t, c, "chatty", attempts[0].Name))
}

// What an error means is found out in the pod, and its texts are those that it has here.
func TestFailuresOnCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	job := batch.Job{Name: "failing", Executor: functions.Executor("fail"), CompletionMode: batch.Indexed,
		Completions: new(4), Parallelism: new(4), BackoffLimitPerIndex: new(0),
		FailurePolicy: []batch.FailureRule{{Action: batch.ActionFailIndex, OnError: functions.Predicate("quota")}}}
	here := newController(t, nil)
	defer func() { require.NoError(t, here.Shutdown(context.Background())) }()
	_, err := here.Run(t.Context(), job)
	want := failureOf(t, err)
	job.ManagedBy = new(Manager)
	_, err = p.service(p.options()).Run(t.Context(), job)
	require.Equal(t, want, failureOf(t, err))
}

// failureOf is what is to be the same wherever a job has failed.
func failureOf(t *testing.T, err error) (list []string) {
	failed, ok := errors.AsType[*batch.JobError](err)
	require.True(t, ok, "%v", err)
	s := failed.Status
	list = append(list, failed.Reason, failed.Message, s.CompletedIndexes.String(), s.FailedIndexes.String(),
		fmt.Sprint(s.Failed))
	for index, e := range failed.Indexes() {
		list = append(list, fmt.Sprint(index, e.ExitCode, e.Err))
	}
	return list
}

// A failed job says why in the words of this package, not with a reserved exit code.
func TestPermanentOnCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := p.service(p.options())
	_, err := c.Run(t.Context(), batch.Job{Name: "permanent", ManagedBy: new(Manager),
		Executor:       functions.Executor("fail"),
		CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(2), BackoffLimit: new(5)})
	failed, ok := errors.AsType[*batch.JobError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, batch.ReasonPodFailurePolicy, failed.Reason)
	require.Regexp(t, `^Pod `+p.namespace+`/permanent-1-\w{5} failed with a permanent error$`, failed.Message)
}

// A pod whose program lacks the function says so, and the job fails at once.
func TestOtherBuildOnCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	o := p.options()
	o.Image = "service:old"
	c := p.service(o)
	_, err := c.Run(t.Context(), squares("old", 1))
	failed, ok := errors.AsType[*batch.JobError](err)
	require.True(t, ok, "%v", err)
	require.Regexp(t, `has a program without the function or predicate$`, failed.Message)
	require.ErrorContains(t, err, `this program has no function "square"`)
}

// What does not fit into a termination message is refused, never cut.
func TestTooLargeOnCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := p.service(p.options())
	_, err := c.Run(t.Context(), batch.Job{Name: "large", ManagedBy: new(Manager),
		Executor: functions.Executor("large")})
	require.ErrorContains(t, err, "batch: too large: the pod's termination message has")
	require.ErrorContains(t, err, "leaves more than a termination message can have")
}

// Users suspend, resume, scale, cancel and delete a job here, and the cluster follows.
func TestVerbsOnCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := p.service(p.options())
	job := batch.Job{Name: "waiting", ManagedBy: new(Manager), Executor: functions.Executor("wait"),
		CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(2)}
	require.NoError(t, c.Create(t.Context(), job))
	await(t, c, "waiting", func(s batch.Status) bool { return s.Active == 2 && s.Ready == 2 })
	require.NoError(t, c.Suspend(t.Context(), "waiting"))
	await(t, c, "waiting", func(s batch.Status) bool {
		return s.Is(batch.ConditionSuspended) && s.Active+s.Terminating == 0
	})
	require.NoError(t, c.Resume(t.Context(), "waiting"))
	await(t, c, "waiting", func(s batch.Status) bool { return s.Ready == 2 })
	for _, n := range []int{3, 1} { // elastic, up and down
		require.NoError(t, c.Update(t.Context(), "waiting", func(j *batch.Job) {
			j.Completions, j.Parallelism = &n, &n
		}))
		await(t, c, "waiting", func(s batch.Status) bool { return s.Ready == n && s.Active == n && s.Terminating == 0 })
	}
	cause := errors.New("not needed any more")
	require.NoError(t, c.Cancel(t.Context(), "waiting", cause))
	_, err := c.Wait(t.Context(), "waiting")
	failed, ok := errors.AsType[*batch.JobError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, batch.ReasonCancelled, failed.Reason)
	require.ErrorIs(t, err, cause)

	job.Name = "deleted"
	require.NoError(t, c.Create(t.Context(), job))
	await(t, c, "deleted", func(s batch.Status) bool { return s.Ready == 2 })
	require.NoError(t, c.Delete(t.Context(), "deleted", batch.DeleteBackground))
	p.awaitEmpty()
}

// await waits until a job is as wanted.
func await(t testing.TB, c *batch.Controller, name string, wanted func(batch.Status) bool) batch.Status {
	t.Helper()
	for change, err := range c.Watch(t.Context(), 0) {
		require.NoError(t, err)
		if change.Status.Name == name && wanted(change.Status) {
			return change.Status
		}
	}
	return batch.Status{}
}

// awaitEmpty waits until the cluster has no Jobs and pods in the namespace.
func (p *place) awaitEmpty() {
	w, err := p.admin.CoreV1().Pods(p.namespace).Watch(p.t.Context(), metav1.ListOptions{})
	require.NoError(p.t, err)
	defer w.Stop()
	for {
		jobs, err := p.admin.BatchV1().Jobs(p.namespace).List(p.t.Context(), metav1.ListOptions{})
		require.NoError(p.t, err)
		pods, err := p.admin.CoreV1().Pods(p.namespace).List(p.t.Context(), metav1.ListOptions{})
		require.NoError(p.t, err)
		if len(jobs.Items)+len(pods.Items) == 0 {
			return
		}
		<-w.ResultChan()
	}
}

// An attempt goes on from what the one before it has saved.
func TestCheckpointOnCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	o := p.options()
	o.Checkpoints = true
	c := p.service(o)
	_, err := c.Run(t.Context(), batch.Job{Name: "resuming", ManagedBy: new(Manager),
		Executor:       functions.Executor("resume"),
		CompletionMode: batch.Indexed, Completions: new(1), Parallelism: new(1)})
	require.NoError(t, err)
	require.Equal(t, map[int]string{0: "half"}, resultsOf[string](t, c, "resuming"))
	attempts, err := c.Attempts(t.Context(), "resuming")
	require.NoError(t, err)
	require.Equal(t, []string{"Failed", "Succeeded"}, []string{attempts[0].Phase, attempts[1].Phase})
}

// A Job of the same name and another spec is nobody's but its own: it goes on when the job
// that is not it is deleted, and its pods keep their results for it.
func TestOtherSpecOnCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	first := p.service(p.options())
	require.NoError(t, first.Create(t.Context(), batch.Job{Name: "same", ManagedBy: new(Manager),
		Executor: functions.Executor("wait")}))
	await(t, first, "same", func(s batch.Status) bool { return s.Ready == 1 })
	second := p.service(p.options())
	require.NoError(t, second.Create(t.Context(), batch.Job{Name: "same", ManagedBy: new(Manager), Input: 1,
		Executor: functions.Executor("wait")}))
	s := await(t, second, "same", func(s batch.Status) bool { return s.Is(batch.ConditionStalled) })
	require.Contains(t, s.Explain(), `the cluster has another Job "same"`)
	require.NoError(t, second.Cancel(t.Context(), "same", errors.New("not here")))
	_, err := second.Wait(t.Context(), "same")
	require.ErrorContains(t, err, "not here")
	remove(t, second, "same", batch.DeleteForeground)
	list, err := p.admin.BatchV1().Jobs(p.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"same"}, namesOf(list))
	require.Nil(t, list.Items[0].DeletionTimestamp)
	pods, err := p.admin.CoreV1().Pods(p.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, pods.Items, 1)
	require.Contains(t, pods.Items[0].Finalizers, resultMark)
}

// remove deletes a job, and waits until it is gone.
func remove(t testing.TB, c *batch.Controller, name, propagation string) {
	t.Helper()
	before := c.Revision()
	require.NoError(t, c.Delete(t.Context(), name, propagation))
	for change, err := range c.Watch(t.Context(), before) {
		require.NoError(t, err)
		if change.Deleted && change.Status.Name == name {
			return
		}
	}
}

func namesOf(list *batchv1.JobList) (names []string) {
	for _, job := range list.Items {
		names = append(names, job.Name)
	}
	slices.Sort(names)
	return names
}
