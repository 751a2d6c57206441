package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/runtocompletion/batch"
)

// Error is an error that has no constructor of its own.
func Error(code int, reason metav1.StatusReason, format string, args ...any) *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: fmt.Sprintf(format, args...),
	}}
}

// BadRequest is the answer to a request that makes no sense.
func BadRequest(format string, args ...any) error {
	return apierrors.NewBadRequest(fmt.Sprintf(format, args...))
}

// noResource is how an API server says that a path leads nowhere.
const noResource = "the server could not find the requested resource"

// NoResource is the answer to a path that leads nowhere.
func NoResource() error { return Error(http.StatusNotFound, metav1.StatusReasonNotFound, noResource) }

// NotServed is the answer to a path of a kind that there is not.
func NotServed(plural string) error {
	return Error(http.StatusNotFound, metav1.StatusReasonNotFound,
		"%s: %s are not served here, there are only jobs, their pods and their events", noResource, plural)
}

// NotAllowed is the answer to a method that a path does not have.
func NotAllowed(instead string) error {
	err := Error(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed,
		"the server does not allow this method on the requested resource: %s", instead)
	err.ErrStatus.Details = &metav1.StatusDetails{}
	return err
}

// Conflict is the answer to a request that was made for another state of things.
func Conflict(r schema.GroupResource, name, format string, args ...any) error {
	return apierrors.NewConflict(r, name, fmt.Errorf(format, args...))
}

// OtherUID is how an API server says that an object is not the one that was meant.
const OtherUID = "Precondition failed: UID in precondition: %v, UID in object meta: %v"

// InvalidOptions is the answer to parameters that are not right, or nil.
func InvalidOptions(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs)
}

// StatusOf is the Status that says what an error does.
func StatusOf(err error) *metav1.Status {
	known, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		known = unknownError(err)
	}
	status := known.Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	if status.Code == 0 {
		status.Code = http.StatusInternalServerError
	}
	return &status
}

func unknownError(err error) *apierrors.StatusError {
	switch {
	case errors.Is(err, batch.ErrShutdown):
		return apierrors.NewServiceUnavailable("the controller of the jobs is shut down")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return apierrors.NewTimeoutError("the request ended before it was served", 1)
	}
	return apierrors.NewInternalError(err)
}

func tooManyStreams() error {
	return apierrors.NewTooManyRequests("too many watches, please try again later", 1)
}
