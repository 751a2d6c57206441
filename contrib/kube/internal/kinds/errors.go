package kinds

import (
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
)

// mostErrors is how many errors of one object are told: to make a text of them
// costs the square of their number.
const mostErrors = 200

// invalid is the answer to a manifest with errors.
func invalid(kind schema.GroupVersionKind, name string, errs field.ErrorList) error {
	return apierrors.NewInvalid(kind.GroupKind(), name, errs[:min(len(errs), mostErrors)])
}

// errorOf is the answer to what a controller, or the runner, says about an object.
func errorOf(kind schema.GroupVersionKind, resource schema.GroupResource, name string, err error) error {
	if errs := fieldErrorsOf(err); len(errs) > 0 {
		return invalid(kind, name, errs)
	}
	switch {
	case errors.Is(err, batch.ErrExists), errors.Is(err, cron.ErrExists):
		return apierrors.NewAlreadyExists(resource, name)
	case errors.Is(err, batch.ErrNotFound), errors.Is(err, cron.ErrNotFound):
		return apierrors.NewNotFound(resource, name)
	case errors.Is(err, cron.ErrShutdown):
		return apierrors.NewServiceUnavailable("the controller of the CronJobs is shut down")
	}
	return err
}

// fieldErrorsOf finds the field errors that an error consists of.
func fieldErrorsOf(err error) (errs field.ErrorList) {
	if all, ok := errors.AsType[utilerrors.Aggregate](err); ok {
		for _, each := range all.Errors() {
			errs = append(errs, fieldErrorsOf(each)...)
		}
	} else if one, ok := errors.AsType[*field.Error](err); ok {
		errs = field.ErrorList{one}
	} else if ofJob, ok := errors.AsType[*batch.ValidationError](err); ok {
		errs = validation.FieldErrors(ofJob.Fields)
	} else if ofCronJob, ok := errors.AsType[*cron.ValidationError](err); ok {
		errs = validation.FieldErrors(ofCronJob.Fields)
	}
	return errs
}
