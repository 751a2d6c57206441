package batch_test

import (
	"errors"
	"fmt"

	"github.com/runtocompletion/batch"
)

// create stands for Controller.Create with a job that is wrong in two places.
func create() error {
	return &batch.ValidationError{Job: "thumbnails", Fields: []batch.FieldError{
		{Field: "spec.completions", Kind: batch.Required, Detail: "when completion mode is Indexed"},
		{Field: "spec.backoffLimit", Kind: batch.Invalid, Value: -1, Detail: "must be greater than or equal to 0"},
	}}
}

// All that is wrong with a job is reported at once.
func ExampleValidationError() {
	err := create()
	if invalid, ok := errors.AsType[*batch.ValidationError](err); ok {
		for _, field := range invalid.Fields {
			fmt.Println(field)
		}
	}
	// Output:
	// spec.completions: Required value: when completion mode is Indexed
	// spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0
}

// A form that asks for a job's fields can show each error beside its field.
func ExampleFieldError() {
	hints := map[string]string{}
	if invalid, ok := errors.AsType[*batch.ValidationError](create()); ok {
		for _, field := range invalid.Fields {
			hints[field.Field] = field.Detail
		}
	}
	fmt.Println("Completions:", hints["spec.completions"])
	fmt.Println("Retries:", hints["spec.backoffLimit"])
	// Output:
	// Completions: when completion mode is Indexed
	// Retries: must be greater than or equal to 0
}
