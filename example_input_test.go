package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// The input belongs to the job. A service that starts again goes on with the list that
// the job was created with, whatever the list is by now.
func ExampleInput() {
	type bills struct {
		Month     string   `json:"month"`
		Customers []string `json:"customers"`
	}
	ctx := context.Background()
	store := new(batchtest.MemoryStore) // contrib/boltstore keeps jobs in a file
	start := func(suspend bool, customers ...string) (*batch.Controller, error) {
		c, err := batch.New(ctx, batch.Options{Store: store})
		if err != nil {
			log.Fatal(err)
		}
		_, err = c.Apply(ctx, batch.Job{
			Name: "bills", Suspend: suspend,
			Completions: new(len(customers)), CompletionMode: batch.Indexed,
			Input: bills{"2024-05", customers},
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				in, err := batch.Input[bills](a)
				if err == nil {
					fmt.Println("bill for", in.Customers[a.Index], "of", in.Month)
				}
				return err
			}),
		})
		return c, err
	}

	c, _ := start(true, "Ann", "Bo", "Cy")
	c.Shutdown(ctx)

	c, err := start(false, "Bo", "Cy", "Di")
	fmt.Println(c.Wait(ctx, "bills"))
	fmt.Println(errors.As(err, new(*batch.ValidationError)))
	c.Shutdown(ctx)
	// Output:
	// bill for Ann of 2024-05
	// bill for Bo of 2024-05
	// bill for Cy of 2024-05
	// bills: Complete, 3/3 succeeded, 0 failed <nil>
	// true
}

// What runs can see how its job is labelled.
func ExampleAttempt_Labels() {
	_, err := batch.Run(context.Background(), batch.Job{
		Name: "report", Labels: map[string]string{"team": "billing"},
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			fmt.Println("for", a.Labels()["team"])
			return nil
		}),
	})
	fmt.Println(err)
	// Output:
	// for billing
	// <nil>
}
