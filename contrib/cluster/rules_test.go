package cluster

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
)

const otherManager = "example.com/elsewhere"

// at is a time in whole seconds, as Kubernetes has it.
func at(second int) time.Time { return time.Date(2026, 1, 2, 3, 4, second, 0, time.UTC) }

func conditionsOf(types ...string) (list []batch.Condition) {
	for _, t := range types {
		list = append(list, batch.Condition{Type: t, Status: "True", Reason: "R", Message: "m",
			LastTransitionTime: at(9)})
	}
	return list
}

// reports are stories of a status: each step is given to the real API server and to a
// controller here.
var reports = map[string][]batch.Status{
	"a job runs and is complete": {
		{StartTime: at(1), Active: 2, Ready: 1}, {StartTime: at(1), Succeeded: 2, Active: 1, Ready: 1},
		{StartTime: at(1), Succeeded: 4, Conditions: conditionsOf("SuccessCriteriaMet")},
		{StartTime: at(1), Succeeded: 4, CompletionTime: at(9),
			Conditions: conditionsOf("SuccessCriteriaMet", "Complete")},
		{StartTime: at(1), Succeeded: 4}},
	"a job fails": {
		{StartTime: at(1), Failed: 3, Terminating: 1, Conditions: conditionsOf("FailureTarget")},
		{StartTime: at(1), Failed: 3, Terminating: 1, Conditions: conditionsOf("FailureTarget", "Failed")},
		{StartTime: at(1), Failed: 2, Conditions: conditionsOf("FailureTarget", "Failed")},
		{StartTime: at(1), Failed: 3, Conditions: conditionsOf("FailureTarget", "Failed")},
		{StartTime: at(1), Failed: 3}},
	"negative counters":       {{Active: -1, Succeeded: -1, Failed: -1, Ready: -2, Terminating: -1}},
	"more ready than active":  {{StartTime: at(1), Ready: 1}},
	"successes that are gone": {{StartTime: at(1), Succeeded: 2}, {StartTime: at(1), Succeeded: 1}},
	"complete at once": {{StartTime: at(1), CompletionTime: at(2),
		Conditions: conditionsOf("Complete")}},
	"failed at once": {{StartTime: at(1), Conditions: conditionsOf("Failed")}},
	"both ends": {{StartTime: at(1),
		Conditions: conditionsOf("SuccessCriteriaMet", "FailureTarget")}},
	"an end without a start": {{Conditions: conditionsOf("FailureTarget", "Failed")}},
	"an end before the start": {{StartTime: at(5), CompletionTime: at(2),
		Conditions: conditionsOf("SuccessCriteriaMet", "Complete")}},
	"a completion time before there is one": {{StartTime: at(1), CompletionTime: at(2)}},
	"another start":                         {{StartTime: at(1)}, {StartTime: at(2)}},
	"an index that does not exist":          {{StartTime: at(1), CompletedIndexes: setOf("4"), Succeeded: 1}},
	"failed indexes without a limit":        {{StartTime: at(1), FailedIndexes: new(setOf("1"))}},
	"a finished job that is active": {{StartTime: at(1), Active: 1,
		Conditions: conditionsOf("FailureTarget", "Failed")}},
	"a finished job with nothing to do any more": {
		{StartTime: at(1), Conditions: conditionsOf("FailureTarget", "Failed")},
		{StartTime: at(1), Active: 1, Conditions: conditionsOf("FailureTarget", "Failed")}},
}

func setOf(text string) batch.IndexSet {
	set, err := batch.ParseIndexSet(text)
	if err != nil {
		panic(err)
	}
	return set
}

// A report is accepted, or refused with the same words, if the real API server does so
// with the same status.
func TestReportsAreJudgedAsByTheServer(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c, err := batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Shutdown(t.Context())) }()
	jobs := p.admin.BatchV1().Jobs(p.namespace)
	for name, story := range reports {
		t.Run(name, func(t *testing.T) {
			id := strings.ReplaceAll(strings.ToLower(name), " ", "-")
			made := shellJob(id, 4, "true")
			made.Spec.ManagedBy = new(otherManager)
			there, err := jobs.Create(t.Context(), made, metav1.CreateOptions{})
			require.NoError(t, err)
			require.NoError(t, c.Create(t.Context(),
				batch.Job{Name: id, ManagedBy: new(otherManager), Completions: new(4),
					Parallelism: new(4), CompletionMode: batch.Indexed, Executor: functions.Executors["square"]}))
			status, err := c.Get(id)
			require.NoError(t, err)
			for step, s := range story {
				there.Status = statusThere(&s)
				updated, err := jobs.UpdateStatus(t.Context(), there, metav1.UpdateOptions{})
				want := faultsThere(t, err)
				if err == nil {
					there = updated
				}
				got := faultsHere(t, c.Report(t.Context(), id, batch.Report{UID: status.UID, Status: &s}))
				require.Equal(t, want, got, "step %d", step)
			}
		})
	}
}

func statusThere(s *batch.Status) batchv1.JobStatus {
	there := batchv1.JobStatus{Active: int32(s.Active), Succeeded: int32(s.Succeeded), Failed: int32(s.Failed),
		Ready: new(int32(s.Ready)), Terminating: new(int32(s.Terminating)), CompletedIndexes: s.CompletedIndexes.String()}
	if s.FailedIndexes != nil {
		there.FailedIndexes = new(s.FailedIndexes.String())
	}
	if !s.StartTime.IsZero() {
		there.StartTime = new(metav1.NewTime(s.StartTime))
	}
	if !s.CompletionTime.IsZero() {
		there.CompletionTime = new(metav1.NewTime(s.CompletionTime))
	}
	for _, c := range s.Conditions {
		there.Conditions = append(there.Conditions, batchv1.JobCondition{Type: batchv1.JobConditionType(c.Type),
			Status: corev1.ConditionStatus(c.Status), Reason: c.Reason, Message: c.Message,
			LastTransitionTime: metav1.NewTime(c.LastTransitionTime)})
	}
	return there
}

// faultsThere are the fields and details of what the API server refuses, sorted.
func faultsThere(t *testing.T, err error) (faults []string) {
	if err == nil {
		return nil
	}
	status, ok := errors.AsType[*apierrors.StatusError](err)
	require.True(t, ok && status.ErrStatus.Details != nil, "%v", err)
	for _, cause := range status.ErrStatus.Details.Causes {
		faults = append(faults, cause.Field+": "+cause.Message)
	}
	slices.Sort(faults)
	return faults
}

func faultsHere(t *testing.T, err error) (faults []string) {
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*batch.ValidationError](err)
	require.True(t, ok, "%v", err)
	for _, f := range invalid.Fields {
		faults = append(faults, f.Field+": "+strings.TrimPrefix(f.Error(), f.Field+": "))
	}
	slices.Sort(faults)
	return faults
}
