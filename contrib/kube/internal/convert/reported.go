package convert

import (
	"math"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
)

// Reported is what the manager of a job says of its status, which was shown as before.
// Manifests have whole seconds: a time that is shown as it was is the same time.
func Reported(s *batchv1.JobStatus, before batch.Status) (batch.Status, field.ErrorList) {
	status := batch.Status{Active: int(s.Active), Succeeded: int(s.Succeeded), Failed: int(s.Failed),
		Ready: int(valueOr(s.Ready, 0)), Terminating: int(valueOr(s.Terminating, 0)),
		StartTime:      unlessShown(valueOr(s.StartTime, metav1.Time{}), before.StartTime),
		CompletionTime: unlessShown(valueOr(s.CompletionTime, metav1.Time{}), before.CompletionTime)}
	for _, c := range s.Conditions {
		condition := batch.Condition{Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: c.Message,
			LastTransitionTime: c.LastTransitionTime.Time}
		for _, old := range before.Conditions {
			if old.Type == condition.Type {
				condition.LastTransitionTime = unlessShown(c.LastTransitionTime, old.LastTransitionTime)
			}
		}
		status.Conditions = append(status.Conditions, condition)
	}
	completed, errs := indexSet(s.CompletedIndexes, "completedIndexes")
	status.CompletedIndexes = completed
	if s.FailedIndexes != nil {
		failed, more := indexSet(*s.FailedIndexes, "failedIndexes")
		status.FailedIndexes, errs = &failed, append(errs, more...)
	}
	return status, errs
}

// unlessShown is t, or what it is shown of.
func unlessShown(t metav1.Time, shown time.Time) time.Time {
	if t.Unix() == shown.Unix() {
		return shown
	}
	return t.Time
}

func indexSet(text, name string) (batch.IndexSet, field.ErrorList) {
	if err := validation.CheckIndexes(text, math.MaxInt32); err != nil {
		return batch.IndexSet{}, field.ErrorList{
			field.Invalid(field.NewPath("status", name), text, "error parsing "+name+": "+err.Error())}
	}
	return parseIndexes(text), nil
}
