package batch_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/runtocompletion/batch"
)

// All that is wrong with a job is reported at once, and nothing was created.
func ExampleValidationError() {
	_, err := batch.Run(context.Background(), batch.Job{
		Name:           "thumbnails",
		CompletionMode: batch.Indexed,
		Parallelism:    new(4),
		BackoffLimit:   new(-1),
		Executor:       batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil }),
	})
	if invalid, ok := errors.AsType[*batch.ValidationError](err); ok {
		for _, field := range invalid.Fields {
			fmt.Println(field)
		}
	}
	// Output:
	// spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0
	// spec.completions: Required value: when completion mode is Indexed
}

// A form that asks for a job's fields can show each error beside its field.
func ExampleFieldError() {
	hints := map[string]string{}
	_, err := batch.Run(context.Background(), batch.Job{Name: "thumbnails", Parallelism: new(-1)})
	if invalid, ok := errors.AsType[*batch.ValidationError](err); ok {
		for _, field := range invalid.Fields {
			hints[field.Field] = fmt.Sprintf("%s, %s", field.Kind, field.Detail)
		}
	}
	fmt.Println("Workers:", hints["spec.parallelism"])
	fmt.Println("Program:", hints["spec.executor"])
	// Output:
	// Workers: Invalid, must be greater than or equal to 0
	// Program: Required, a job needs something to run
}

func ExampleJob_Validate() {
	job := batch.Job{Name: "Report", Completions: new(-1)}
	fmt.Println(job.Validate() != nil)
	// Output: true
}
