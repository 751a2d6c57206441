package convert

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
)

// controllerWith is a controller that has found jobs in its store.
func controllerWith(t *testing.T, jobs ...batch.Job) *batch.Controller {
	store := new(batchtest.MemoryStore)
	open := func() *batch.Controller {
		c, err := batch.New(t.Context(), batch.Options{Store: store})
		require.NoError(t, err)
		t.Cleanup(func() {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			require.NoError(t, c.Shutdown(ctx))
		})
		return c
	}
	c := open()
	for _, job := range jobs {
		require.NoError(t, c.Create(t.Context(), job))
	}
	require.NoError(t, c.Shutdown(t.Context()))
	return open()
}

// waitingJob is a job of a client, with a function that nobody has to wait for.
func waitingJob(t *testing.T, name string) batch.Job {
	m := podJob(t, "", "")
	m.Name = name
	m.Spec.Suspend = new(true)
	job, _, err := anything.Job(m, FromClient)
	require.NoError(t, err)
	return job
}

func isStalled(t *testing.T, c *batch.Controller, name string) bool {
	status, err := c.Get(name)
	require.NoError(t, err)
	return status.Is(batch.ConditionStalled)
}

// TestRestoreOfWhatHasMovedOn changes a job after it was found to wait, and wants
// nothing of that to be undone.
func TestRestoreOfWhatHasMovedOn(t *testing.T) {
	other := batch.Job{Name: "a", Executor: batch.Command{Args: []string{"other"}}, Suspend: true}
	isOther := func(t *testing.T, c *batch.Controller) {
		job, err := c.Job("a")
		require.NoError(t, err)
		require.Equal(t, other.Executor, job.Executor)
		require.Empty(t, job.Annotations)
		require.Equal(t, []string{"other"}, Manifest(job, batch.Status{}, "").Spec.Template.Spec.Containers[0].Command)
	}
	for name, test := range map[string]struct {
		move func(t *testing.T, c *batch.Controller)
		want func(t *testing.T, c *batch.Controller)
	}{
		"it was deleted": {
			move: func(t *testing.T, c *batch.Controller) {
				require.NoError(t, c.Delete(t.Context(), "a", batch.DeleteBackground))
			},
			want: func(t *testing.T, c *batch.Controller) {
				_, err := c.Get("a")
				require.ErrorIs(t, err, batch.ErrNotFound, "it is not created again")
			},
		},
		"another took its name": {
			move: func(t *testing.T, c *batch.Controller) {
				require.NoError(t, c.Delete(t.Context(), "a", batch.DeleteBackground))
				require.NoError(t, c.Create(t.Context(), other))
			},
			want: isOther,
		},
		"Go code has declared it": {
			move: func(t *testing.T, c *batch.Controller) {
				declared := waitingJob(t, "a")
				declared.Annotations, declared.Executor = nil, other.Executor
				_, err := c.Apply(t.Context(), declared)
				require.NoError(t, err)
			},
			want: isOther,
		},
		"it was resumed": {
			move: func(t *testing.T, c *batch.Controller) { require.NoError(t, c.Resume(t.Context(), "a")) },
			want: func(t *testing.T, c *batch.Controller) {
				status, err := c.Wait(t.Context(), "a")
				require.NoError(t, err, status)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := controllerWith(t, waitingJob(t, "a"))
			require.True(t, isStalled(t, c, "a"))
			test.move(t, c)
			require.NoError(t, anything.restore(t.Context(), c, "a", FromClient))
			test.want(t, c)
		})
	}
}

// TestRestoreWhileJobsChange restores many jobs, twice, while they are deleted and
// changed.
func TestRestoreWhileJobsChange(t *testing.T) {
	const n = 100
	var jobs []batch.Job
	for i := range n {
		jobs = append(jobs, waitingJob(t, fmt.Sprint("j", i)))
	}
	c := controllerWith(t, jobs...)
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for _, r := range anything.Restore(t.Context(), c, FromClient) {
				t.Errorf("%s: %v", r.Job, r.Err)
			}
		})
	}
	all.Go(func() {
		for i := range n {
			var err error
			if name := fmt.Sprint("j", i); i%2 == 0 {
				err = c.Delete(t.Context(), name, batch.DeleteBackground)
			} else {
				err = c.Update(t.Context(), name, func(j *batch.Job) { j.Labels = map[string]string{"new": "yes"} })
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	for i := range n {
		name := fmt.Sprint("j", i)
		job, err := c.Job(name)
		if i%2 == 0 {
			require.ErrorIs(t, err, batch.ErrNotFound)
			continue
		}
		require.NoError(t, err)
		require.False(t, isStalled(t, c, name), name)
		require.Equal(t, map[string]string{"new": "yes"}, job.Labels)
	}
}

// TestRestoreOfNonsense wants annotations that were not written here refused by
// name, and no harm done.
func TestRestoreOfNonsense(t *testing.T) {
	const at = "annotation kube.runtocompletion.dev/client-manifest: "
	good := waitingJob(t, "a").Annotations[string(FromClient)]
	for name, c := range map[string]struct{ text, want string }{
		"no JSON":       {text: "{", want: at + "unexpected end of JSON input"},
		"nothing":       {want: at + "unexpected end of JSON input"},
		"no containers": {text: `{"metadata":{"name":"a"}}`, want: at + "the manifest has no containers"},
		"the manifest of another": {
			text: strings.Replace(good, `"name":"a"`, `"name":"b"`, 1), want: at + `it is the manifest of job "b"`,
		},
		"a manifest without values": {
			text: `{"metadata":{"name":"a"},"spec":{"template":{"spec":{"containers":[{}]}}}}`,
			want: "containers[0].image: Required value",
		},
	} {
		t.Run(name, func(t *testing.T) {
			controller := controllerWith(t, batch.Job{Name: "a", Suspend: true, Executor: batch.Command{Args: []string{"true"}},
				Annotations: map[string]string{string(FromClient): c.text}})
			refusals := anything.Restore(t.Context(), controller, FromClient)
			require.Len(t, refusals, 1)
			require.Equal(t, "a", refusals[0].Job)
			require.ErrorContains(t, refusals[0].Err, c.want)
			require.True(t, isStalled(t, controller, "a"))
			job, err := controller.Job("a")
			require.NoError(t, err)
			require.ErrorContains(t, anything.Obstacle(job, FromClient), c.want)
			require.Empty(t, Manifest(job, batch.Status{}, "").Annotations)
		})
	}
}

// TestRestoreOfRules wants a failure policy that only code can hold to get its
// code back: with init containers, rules look at errors.
func TestRestoreOfRules(t *testing.T) {
	m := parsed(t, `
apiVersion: batch/v1
kind: Job
metadata: {name: a}
spec:
  podFailurePolicy:
    rules: [{action: FailJob, onExitCodes: {containerName: main, operator: In, values: [42]}}]
  template:
    spec:
      restartPolicy: Never
      initContainers: [{name: first, image: process, command: ["true"]}]
      containers: [{name: main, image: process, command: [sh, -c, exit 42]}]
`)
	m.Spec.Suspend = new(true)
	validation.Default(m)
	job, _, err := anything.Job(m, FromCode)
	require.NoError(t, err)
	c := controllerWith(t, job)
	require.Empty(t, anything.Restore(t.Context(), c, FromCode))
	require.NoError(t, c.Resume(t.Context(), "a"))
	status, err := c.Wait(t.Context(), "a")
	require.Error(t, err)
	require.Equal(t, 1, status.Failed)
	failed, _ := status.Condition(batch.ConditionFailed)
	require.Equal(t, batch.ReasonPodFailurePolicy, failed.Reason)
}
