package batch_test

import (
	"context"
	"fmt"
	"time"

	"github.com/runtocompletion/batch"
)

// A job that names another manager is run by that, somewhere else.
func ExampleController_Report() {
	ctx := context.Background()
	c, err := batch.New(ctx, batch.Options{Managers: map[string]func(batch.Job) error{
		"example.com/farm": func(batch.Job) error { return nil }, // it can do everything
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Shutdown(ctx)
	render := batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })
	if err := c.Create(ctx, batch.Job{Name: "render", ManagedBy: new("example.com/farm"),
		Executor: render}); err != nil {
		fmt.Println(err)
		return
	}

	for change := range c.Watch(ctx, 0) { // the manager finds its jobs
		s := change.Status
		s.StartTime, s.Active, s.Ready = time.Now(), 1, 1
		fmt.Println(c.Report(ctx, s.Name, batch.Report{UID: s.UID, Status: &s}))
		break
	}
	s, err := c.Get("render")
	fmt.Println(s.Explain(), err)
	// Output:
	// <nil>
	// running: 1 of 1 slots busy, 0 of 1 succeeded <nil>
}

// One attempt runs without its job, as a pod of a cluster does.
func ExampleRunAttempt() {
	end, err := batch.RunAttempt(context.Background(), batch.AttemptOptions{
		Job: batch.Job{Name: "squares", Input: 7,
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				n, err := batch.Input[int](a)
				if err != nil {
					return err
				}
				return a.SetResult(n * a.Index)
			})},
		Index: 6,
	})
	fmt.Println(end.Phase, string(end.Result), err)
	// Output: Succeeded 42 <nil>
}
