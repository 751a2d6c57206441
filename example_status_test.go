package batch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/runtocompletion/batch"
)

// A status encodes as JSON with the names and forms of Kubernetes' JobStatus.
func ExampleStatus() {
	status, _ := batch.Run(context.Background(), batch.Job{
		Name:           "thumbnails",
		CompletionMode: batch.Indexed, Completions: new(5), Parallelism: new(5),
		Executor: doNothing,
	})
	text, _ := json.Marshal(status)

	var decoded struct {
		Succeeded, Failed int
		CompletedIndexes  string
		Conditions        []struct{ Type, Status, Reason, Message string }
	}
	_ = json.Unmarshal(text, &decoded)
	fmt.Println(decoded.Succeeded, decoded.Failed, decoded.CompletedIndexes)
	for _, c := range decoded.Conditions {
		fmt.Println(c.Type, c.Status, c.Reason, c.Message)
	}
	// Output:
	// 5 0 0-4
	// SuccessCriteriaMet True CompletionsReached Reached expected number of succeeded pods
	// Complete True CompletionsReached Reached expected number of succeeded pods
}

// A status says in one sentence why the job waits, or what it does.
func ExampleStatus_Explain() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	explain := func(job batch.Job) {
		_ = c.Create(ctx, job)
		status, _ := c.Get(job.Name)
		fmt.Println(job.Name+":", status.Explain())
	}
	explain(batch.Job{Name: "crawl", Completions: new(9), Parallelism: new(3), Executor: untilStopped})
	explain(batch.Job{Name: "rollout", Suspend: true, Executor: doNothing})
	explain(batch.Job{Name: "export", Completions: new(9), Parallelism: new(0), Executor: doNothing})

	now, cancel := context.WithCancel(ctx)
	cancel()
	_ = c.Shutdown(now) // do not wait for the crawler
	status, _ := c.Get("crawl")
	fmt.Println("crawl:", status.Explain())
	// Output:
	// crawl: running: 3 of 3 slots busy, 0 of 9 succeeded
	// rollout: suspended; waits to be resumed
	// export: paused: parallelism is 0
	// crawl: stopped where it was: the controller is shut down
}

// A failed job has two conditions: FailureTarget as soon as it is known, and
// Failed once every attempt has stopped.
func ExampleStatus_Condition() {
	status, _ := batch.Run(context.Background(), batch.Job{
		Name:           "reindex",
		ActiveDeadline: new(time.Millisecond),
		Executor:       untilStopped,
	})
	for _, t := range []string{batch.ConditionFailureTarget, batch.ConditionFailed, batch.ConditionComplete} {
		if c, ok := status.Condition(t); ok {
			fmt.Println(c.Type, c.Reason)
		}
	}
	fmt.Println(status.Is(batch.ConditionFailed), status.Finished())
	// Output:
	// FailureTarget DeadlineExceeded
	// Failed DeadlineExceeded
	// true true
}

// The error of a failed job leads to those of its attempts.
func ExampleJobError() {
	_, err := batch.Run(context.Background(), batch.Job{
		Name:           "import",
		CompletionMode: batch.Indexed, Completions: new(3),
		BackoffLimitPerIndex: new(0),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Index == 1 {
				return fmt.Errorf("part %d: %w", a.Index, exitStatus(65))
			}
			return nil
		}),
	})
	failed, ok := errors.AsType[*batch.JobError](err)
	if !ok {
		return // it did not even start, or has succeeded
	}
	fmt.Println(failed.Status.Name, failed.Reason)
	for _, attempt := range failed.Attempts {
		fmt.Println(attempt.Index, attempt.ExitCode, attempt.Err)
	}
	// Output:
	// import FailedIndexes
	// 1 65 part 1: exit code 65
}

// Sets of indexes have the text format of Kubernetes.
func ExampleIndexSet() {
	set, err := batch.ParseIndexSet("0,2-4,9")
	fmt.Println(set.Len(), set.Contains(3), set.Contains(5), err)
	for first, last := range set.Intervals() {
		fmt.Print(first, "..", last, " ")
	}
	fmt.Println()
	// Output:
	// 5 true false <nil>
	// 0..0 2..4 9..9
}

// What is left to do after a failure is what the set does not have.
func ExampleIndexSet_Contains() {
	status, _ := batch.Run(context.Background(), batch.Job{
		Name:           "import",
		CompletionMode: batch.Indexed, Completions: new(6), Parallelism: new(6),
		BackoffLimitPerIndex: new(0),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Index%4 == 1 {
				return errors.New("part is damaged")
			}
			return nil
		}),
	})
	for part := range *status.Completions {
		if !status.CompletedIndexes.Contains(part) {
			fmt.Println("ask for part", part, "again")
		}
	}
	// Output:
	// ask for part 1 again
	// ask for part 5 again
}

func ExampleParseIndexSet() {
	for _, text := range []string{"0-2,5", "5,0-2", "1-"} {
		set, err := batch.ParseIndexSet(text)
		fmt.Println(set.Len(), err)
	}
	// Output:
	// 4 <nil>
	// 0 batch: index set "5,0-2": non-increasing order, previous: 5, current: 0
	// 0 batch: index set "1-": cannot convert string to integer for index: ""
}
