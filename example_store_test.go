package batch_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"strconv"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A service declares its jobs when it starts. Those it finds in its store go on
// where they were.
func ExampleController_Apply() {
	var store batchtest.MemoryStore // contrib/boltstore keeps jobs in a file
	ctx := context.Background()
	report := batch.Job{
		Name: "report", CompletionMode: batch.Indexed, Completions: new(5),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Index == 3 && a.Number == 0 {
				<-ctx.Done() // until the shutdown
				return ctx.Err()
			}
			fmt.Println("page", a.Index)
			return nil
		}),
	}

	serve := func(uptime time.Duration) {
		c, err := batch.New(context.Background(), batch.Options{Store: &store})
		if err != nil {
			log.Fatal(err)
		}
		if _, err := c.Apply(ctx, report); err != nil {
			log.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(ctx, uptime)
		defer cancel()
		status, _ := c.Wait(ctx, "report")
		fmt.Println(status)
		if err := c.Shutdown(ctx); err != nil {
			log.Fatal(err)
		}
	}
	serve(50 * time.Millisecond)
	fmt.Println("-- the service starts again")
	serve(time.Minute)
	fmt.Println("-- and again")
	serve(time.Minute)
	// Output:
	// page 0
	// page 1
	// page 2
	// report: Running, 3/5 succeeded, 0 failed, 1 active
	// -- the service starts again
	// page 3
	// page 4
	// report: Complete, 5/5 succeeded, 0 failed
	// -- and again
	// report: Complete, 5/5 succeeded, 0 failed
}

// A job whose code has not been declared again waits, and says so. Jobs that users
// have created at run time are found by their labels, and declared with Update.
func ExampleStore() {
	var store batchtest.MemoryStore
	ctx := context.Background()
	kinds := map[string]batch.Executor{
		"reindex": batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			fmt.Println(a.Job, "runs")
			return nil
		}),
	}
	c, err := batch.New(context.Background(), batch.Options{Store: &store})
	if err != nil {
		log.Fatal(err)
	}
	asked := batch.Job{
		Name: "reindex-for-jane", Labels: map[string]string{"kind": "reindex"}, Suspend: true, Executor: kinds["reindex"],
	}
	if err := c.Create(ctx, asked); err != nil {
		log.Fatal(err)
	}
	if err := c.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}

	if c, err = batch.New(context.Background(), batch.Options{Store: &store}); err != nil {
		log.Fatal(err)
	}
	for status := range c.All() {
		fmt.Println(status.Name, status.Explain())
		err := c.Update(ctx, status.Name, func(j *batch.Job) {
			j.Executor = kinds[j.Labels["kind"]]
			j.Suspend = false
		})
		if err != nil {
			log.Fatal(err)
		}
		status, err = c.Wait(ctx, status.Name)
		fmt.Println(status, err)
	}
	if err := c.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// reindex-for-jane waits to be declared: no executor has been declared with Apply
	// reindex-for-jane runs
	// reindex-for-jane: Complete, 1/1 succeeded, 0 failed <nil>
}

// Numbers are summed up. One line is malformed and skipped; a broken connection
// ends the first attempt, and the second goes on behind the last line done.
func ExampleIteration() {
	lines := []string{"3", "1", "4", "one", "5", "9"}
	type line struct {
		number int // from 1: 0 is the place before all lines
		text   string
	}
	sum, attempts := 0, 0
	sums := batch.Iteration[line, int]{
		Items: func(ctx context.Context, after int) iter.Seq2[line, error] {
			return func(yield func(line, error) bool) {
				for i, text := range lines[after:] {
					if !yield(line{after + i + 1, text}, nil) {
						return
					}
				}
			}
		},
		Cursor: func(l line) int { return l.number },
		Do: func(ctx context.Context, l line) error {
			n, err := strconv.Atoi(l.text)
			if err != nil {
				return err
			}
			if attempts == 1 && n == 5 {
				return errors.New("connection reset")
			}
			sum += n
			return nil
		},
		MaxSkipped: 10,
		SkipOn:     batch.ErrorAs[*strconv.NumError](),
	}
	_, err := batch.Run(context.Background(), batch.Job{
		Name: "sum", Backoff: batch.ConstantBackoff(0),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			attempts++
			result, err := sums.Run(ctx, a)
			if result.ResumedFrom != nil {
				fmt.Println("went on behind line", *result.ResumedFrom)
			}
			fmt.Println(result.Done, "done, skipped:", result.Skipped)
			fmt.Println("error:", err)
			return err
		}),
	})
	fmt.Println(sum, err)
	// Output:
	// 3 done, skipped: [batch: item at cursor 4: strconv.Atoi: parsing "one": invalid syntax]
	// error: batch: item at cursor 5: connection reset
	// went on behind line 4
	// 5 done, skipped: [batch: item at cursor 4: strconv.Atoi: parsing "one": invalid syntax]
	// error: <nil>
	// 22 <nil>
}

// Two replicas of a service have one store. One of them works; when it stops, the other
// one goes on. They are two controllers here.
func ExampleController_Claimed() {
	ctx := context.Background()
	var store batchtest.MemoryStore
	report := batch.Job{Name: "report", Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		fmt.Println("written under claim", a.Fence())
		return nil
	})}
	replica := func() *batch.Controller {
		c, err := batch.New(ctx, batch.Options{Store: &store, Standby: true})
		if err != nil {
			log.Fatal(err)
		}
		return c
	}

	first, second := replica(), replica()
	if _, err := second.Apply(ctx, report); err != nil { // kept until it works
		log.Fatal(err)
	}
	now, cancel := context.WithCancel(ctx)
	cancel()
	fmt.Println(second.Claimed(now))

	if err := first.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	if err := second.Claimed(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(second.Wait(ctx, "report"))
	if err := second.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}

	// Output:
	// batch: store is in use by another controller: this process
	// context canceled
	// written under claim 2
	// report: Complete, 1/1 succeeded, 0 failed <nil>
}
