package api

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
)

// TestCancelledJob wants a job that was cancelled to be there as one that has failed, with
// the caller's cause, and with its table row: kubectl shows both.
func TestCancelledJob(t *testing.T) {
	w := newWorld(t, Config{})
	w.create(batch.Job{Name: "a", Executor: wait})
	require.NoError(t, w.c.Cancel(t.Context(), "a", errors.New("the order was withdrawn")))
	_, err := w.c.Wait(t.Context(), "a")
	require.Error(t, err)
	types := make(map[batchv1.JobConditionType]bool)
	for _, c := range w.job("a").Status.Conditions {
		types[c.Type] = true
		require.Equal(t, batch.ReasonCancelled, c.Reason)
		require.Equal(t, "Job was cancelled: the order was withdrawn", c.Message)
	}
	require.True(t, types[batchv1.JobFailureTarget] && types[batchv1.JobFailed], "%v", types)
	var table metav1.Table
	w.read(w.do(call{method: "GET", path: jobsPath + "/a", accept: tableAccept}), http.StatusOK, &table)
	require.Equal(t, "Failed", table.Rows[0].Cells[1])
}

// TestJobThatRunsAgain wants a job that runs once more to be one that runs, which says how
// the run before has ended.
func TestJobThatRunsAgain(t *testing.T) {
	w := newWorld(t, Config{})
	w.create(batch.Job{Name: "a", Executor: wait})
	require.NoError(t, w.c.Cancel(t.Context(), "a", nil))
	_, err := w.c.Wait(t.Context(), "a")
	require.Error(t, err)
	_, err = w.c.Again(t.Context(), "a", false)
	require.NoError(t, err)
	job := w.job("a")
	require.Len(t, job.Status.Conditions, 1)
	require.EqualValues(t, batch.ConditionRunAgain, job.Status.Conditions[0].Type)
	require.Equal(t, batch.ReasonCancelled, job.Status.Conditions[0].Reason)
	var table metav1.Table
	w.read(w.do(call{method: "GET", path: jobsPath + "/a", accept: tableAccept}), http.StatusOK, &table)
	require.Equal(t, "Running", table.Rows[0].Cells[1])
}
