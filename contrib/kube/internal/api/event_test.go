package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
)

// TestEventsOfPods asks as kubectl describe pod does.
func TestEventsOfPods(t *testing.T) {
	w := newWorld(t, Config{})
	end := make(chan struct{})
	defer close(end)
	w.create(batch.Job{
		Name: "a", Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { <-end; return nil }),
	})
	pod := w.pods("a")[0]
	reasons := func() (reasons []string) {
		var list corev1.EventList
		w.get("/api/v1/namespaces/default/events?limit=500&fieldSelector=involvedObject.name="+pod.Name+
			",involvedObject.namespace=default,involvedObject.uid="+string(pod.UID), &list)
		for _, e := range list.Items {
			require.Equal(t, "Pod", e.InvolvedObject.Kind)
			require.Equal(t, "spec.containers{main}", e.InvolvedObject.FieldPath)
			reasons = append(reasons, e.Reason+": "+e.Message)
		}
		return reasons
	}
	require.Equal(t, []string{"Started: Container started"}, reasons())
	watch := w.open("/api/v1/events?watch=1&fieldSelector=reason=Killing", "")
	require.NoError(t, w.c.DeleteAttempt(t.Context(), "a", pod.Name))
	require.Contains(t, watch.next().Object.Name, pod.Name+".")
}

// TestNewEvents wants the events of both groups to be the same, and their fields
// to be selected by the names that they have there.
func TestNewEvents(t *testing.T) {
	w := newWorld(t, Config{})
	w.create(batch.Job{Name: "a", Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })})
	w.finish("a")
	const path = "/apis/events.k8s.io/v1/namespaces/default/events"
	var list eventsv1.EventList
	w.get(path+"?fieldSelector=regarding.kind=Job,regarding.name=a,reportingController=job-controller", &list)
	require.Len(t, list.Items, 2)
	require.Equal(t, "Completed", list.Items[1].Reason)
	require.Equal(t, "Job completed", list.Items[1].Note)
	require.EqualValues(t, 1, list.Items[1].DeprecatedCount)
	w.fails(
		w.do(call{method: "GET", path: path + "?fieldSelector=involvedObject.name=a"}), http.StatusBadRequest,
		metav1.StatusReasonBadRequest,
	)

	var older corev1.EventList
	w.get("/api/v1/events?fieldSelector=involvedObject.kind=Job", &older)
	require.Equal(t, older.Items[1].UID, list.Items[1].UID)
	var tables [2]metav1.Table
	for i, path := range []string{path, "/api/v1/namespaces/default/events"} {
		w.read(w.do(call{method: "GET", path: path, accept: tableAccept}), http.StatusOK, &tables[i])
	}
	require.Equal(t, tables[0].ColumnDefinitions, tables[1].ColumnDefinitions)
	require.Equal(t, tables[0].Rows[0].Cells, tables[1].Rows[0].Cells)

	// One change is written once for each group.
	since := fmt.Sprint("?watch=1&resourceVersion=", w.server.host.Cache.Version(), "&fieldSelector=type=Warning")
	watches := []*stream{w.open(path+since, ""), w.open("/api/v1/events"+since, "")}
	w.create(batch.Job{
		Name: "b", BackoffLimit: new(0),
		Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return errors.New("no") }),
	})
	require.Equal(t, "events.k8s.io/v1", watches[0].next().Object.APIVersion)
	require.Equal(t, "v1", watches[1].next().Object.APIVersion)
}

// TestLogsOfStoppedPods wants the pods that a failing job has stopped to be there
// as long as their logs are, and others that were stopped to be gone.
func TestLogsOfStoppedPods(t *testing.T) {
	w := newWorld(t, Config{})
	printing := batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		fmt.Fprintln(a.Stdout(), "a reason")
		if a.Restarts > 0 {
			<-ctx.Done()
		}
		return errors.New("no")
	})
	w.create(batch.Job{Name: "limit", RestartPolicy: batch.RestartOnFailure, BackoffLimit: new(0),
		RestartBackoff: batch.ConstantBackoff(0), Executor: printing})
	w.create(batch.Job{Name: "deadline", ActiveDeadline: new(10 * time.Millisecond), BackoffLimit: new(0),
		Executor: batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error { <-ctx.Done(); return ctx.Err() })})
	w.create(batch.Job{Name: "other", Executor: wait})
	for _, job := range []string{"limit", "deadline"} {
		w.finish(job)
		pods := w.pods(job)
		require.Len(t, pods, 1, job)
		require.Equal(t, corev1.PodFailed, pods[0].Status.Phase)
		require.Nil(t, pods[0].DeletionTimestamp)
		if log := w.log(pods[0].Name, ""); job == "limit" {
			require.Contains(t, log, "a reason\n")
		}
	}
	require.NoError(t, w.c.Suspend(t.Context(), "other"))
	w.eventually(func() bool { return len(w.pods("other")) == 0 })
}
