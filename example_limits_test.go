package batch_test

import (
	"context"
	"fmt"
	"time"

	"github.com/runtocompletion/batch"
)

// Two jobs share the connections of a database and the rate of a service, and never do two
// things at once for one customer. The rest of the program takes part with Acquire.
func ExampleLimit() {
	ctx := context.Background()
	c, err := batch.New(ctx, batch.Options{Limits: map[string]batch.Limit{
		"connections": {Active: new(20)},
		"mail":        {Every: time.Millisecond, Burst: 5}, // a thousand a second, five at once
		"customer":    {Active: new(1), PerKey: true},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Shutdown(ctx)
	customers := []string{"acme", "globex", "acme"}
	customer := func(index int) string { return customers[index] }
	send := batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error { return nil })

	release, err := c.Acquire(ctx, "acme", "customer", "connections")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, job := range []batch.Job{
		{Name: "invoices", Limits: []string{"customer", "connections"}, LimitKey: customer, Executor: send},
		{Name: "reminders", Limits: []string{"customer", "mail"}, LimitKey: customer, Executor: send, Priority: 1},
	} {
		job.CompletionMode, job.Completions, job.Parallelism = batch.Indexed, new(len(customers)), new(len(customers))
		if err := c.Create(ctx, job); err != nil {
			fmt.Println(err)
		}
	}
	for status, err := range c.Watch(ctx, 0) {
		if err != nil || status.Status.Name == "invoices" && status.Status.Succeeded == 1 {
			break
		}
	}
	status, _ := c.Get("invoices")
	fmt.Println(status.Explain())
	release()
	for _, name := range []string{"invoices", "reminders"} {
		status, err := c.Wait(ctx, name)
		fmt.Println(status, err)
	}
	// Output:
	// 2 of 3 slots busy, 2 of them not started yet: limit customer for "acme" of 1 is reached by other code (1)
	// invoices: Complete, 3/3 succeeded, 0 failed <nil>
	// reminders: Complete, 3/3 succeeded, 0 failed <nil>
}

// A limit of none is a pause for all who need it, such as while a database is maintained.
func ExampleController_SetLimit() {
	ctx := context.Background()
	c, err := batch.New(ctx, batch.Options{Limits: map[string]batch.Limit{"database": {Active: new(0)}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Shutdown(ctx)
	err = c.Create(ctx, batch.Job{Name: "report", Limits: []string{"database"},
		Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })})
	if err != nil {
		fmt.Println(err)
	}
	status, _ := c.Get("report")
	fmt.Println(status.WaitsFor)
	if err := c.SetLimit("database", batch.Limit{Active: new(8)}); err != nil {
		fmt.Println(err)
	}
	status, err = c.Wait(ctx, "report")
	fmt.Println(status, err)
	// Output:
	// limit database lets no attempt begin
	// report: Complete, 1/1 succeeded, 0 failed <nil>
}
