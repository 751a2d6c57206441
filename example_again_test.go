package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"

	"github.com/runtocompletion/batch"
)

// A nightly job is created once, with what it works on, and runs every night under its
// name. Each index leaves a result.
func ExampleController_Again() {
	ctx := context.Background()
	dump := func(_ context.Context, table string) (int64, error) { return int64(len(table)), nil }
	c, err := batch.New(ctx, batch.Options{MaxActive: 64})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Shutdown(ctx)

	err = c.Create(ctx, batch.Job{
		Name: "nightly-backup", CompletionMode: batch.Indexed, Completions: new(2), Input: []string{"orders", "users"},
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			tables, err := batch.Input[[]string](a) // as it was when the job was created, also after a restart
			if err != nil {
				return err
			}
			size, err := dump(ctx, tables[a.Index])
			return errors.Join(err, a.SetResult(size))
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	status, err := c.Wait(ctx, "nightly-backup")
	fmt.Println(status.Run, status.State(), err)

	_, err = c.Again(ctx, "nightly-backup", false) // the second night
	if err != nil {
		log.Fatal(err)
	}
	status, err = c.Wait(ctx, "nightly-backup")
	fmt.Println(status.Run, status.State(), err)
	sizes, err := batch.Results[int64](ctx, c, "nightly-backup")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(maps.Collect(sizes))
	attempts, err := c.Attempts(ctx, "nightly-backup")
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range attempts {
		fmt.Println("attempt", a.Ordinal, "was of run", a.JobRun)
	}
	// Output:
	// 1 Complete <nil>
	// 2 Complete <nil>
	// map[0:6 1:5]
	// attempt 0 was of run 1
	// attempt 1 was of run 1
	// attempt 2 was of run 2
	// attempt 3 was of run 2
}

// Once what was wrong has been repaired, only the failed indexes run.
func ExampleController_Again_failedOnly() {
	ctx := context.Background()
	c, err := batch.New(ctx, batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Shutdown(ctx)

	repaired := false
	status, _ := c.Run(ctx, batch.Job{Name: "import", CompletionMode: batch.Indexed, Completions: new(5),
		BackoffLimitPerIndex: new(0), Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			if a.Index == 2 && !repaired {
				return errors.New("bad line")
			}
			fmt.Println("import", a.Index)
			return nil
		})})
	fmt.Println(status.State(), "but for", status.FailedIndexes)

	repaired = true
	if _, err := c.Again(ctx, "import", true); err != nil {
		log.Fatal(err)
	}
	status, err = c.Wait(ctx, "import")
	fmt.Println(status.State(), status.CompletedIndexes, err)
	// Output:
	// import 0
	// import 1
	// import 3
	// import 4
	// Failed but for 2
	// import 2
	// Complete 0-4 <nil>
}

var errOrderWithdrawn = errors.New("the order was withdrawn")

// The executor, and the one that waits for the job, learn the cause.
func ExampleController_Cancel() {
	ctx := context.Background()
	c, err := batch.New(ctx, batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Shutdown(ctx)

	started := make(chan struct{})
	err = c.Create(ctx, batch.Job{Name: "order-17", Executor: batch.ExecutorFunc(
		func(ctx context.Context, _ batch.Attempt) error {
			close(started)
			<-ctx.Done()
			fmt.Println("stops:", context.Cause(ctx))
			return ctx.Err()
		})})
	if err != nil {
		log.Fatal(err)
	}
	<-started
	if err := c.Cancel(ctx, "order-17", errOrderWithdrawn); err != nil {
		log.Fatal(err)
	}
	_, err = c.Wait(ctx, "order-17")
	if failed, ok := errors.AsType[*batch.JobError](err); ok {
		fmt.Println(failed.Reason, errors.Is(err, errOrderWithdrawn))
	}
	// Output:
	// stops: the order was withdrawn
	// Cancelled true
}

// The other indexes go on.
func ExampleController_Cancel_indexes() {
	ctx := context.Background()
	c, err := batch.New(ctx, batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Shutdown(ctx)

	err = c.Create(ctx, batch.Job{Name: "mail", CompletionMode: batch.Indexed, Completions: new(4), Suspend: true,
		Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })})
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Cancel(ctx, "mail", errors.New("has no address"), 1, 2); err != nil {
		log.Fatal(err)
	}
	if err := c.Resume(ctx, "mail"); err != nil {
		log.Fatal(err)
	}
	status, err := c.Wait(ctx, "mail")
	fmt.Println("sent:", status.CompletedIndexes)
	if failed, ok := errors.AsType[*batch.JobError](err); ok {
		for index, why := range failed.Indexes() {
			fmt.Println("not sent:", index, why.Err)
		}
	}
	// Output:
	// sent: 0,3
	// not sent: 1 has no address
	// not sent: 2 has no address
}
