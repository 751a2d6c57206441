package cluster_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cluster"
)

// functions are those of a program, here and in its pods.
var functions = &cluster.Functions{
	Executors: map[string]batch.Executor{
		"square": batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			return a.SetResult(a.Index * a.Index)
		}),
	},
	Predicates: map[string]func(error) bool{
		"bad-input": func(err error) bool { return errors.Is(err, errBadInput) },
	},
}

var errBadInput = errors.New("bad input")

// A program whose jobs run in a cluster where there is one, and here where there is none.
func Example() {
	cluster.Main(functions) // in a pod, this does not return
	ctx := context.Background()
	c, err := batch.New(ctx, batch.Options{
		Managers: map[string]func(batch.Job) error{cluster.Manager: cluster.Check}})
	if err != nil {
		panic(err)
	}
	defer c.Shutdown(ctx)
	managedBy := cluster.ManagerInCluster()
	if managedBy != nil {
		go cluster.Run(ctx, c, cluster.Options{Functions: functions})
	}
	_, err = c.Run(ctx, batch.Job{Name: "squares", ManagedBy: managedBy, Executor: functions.Executor("square"),
		CompletionMode: batch.Indexed, Completions: new(3)})
	if err != nil {
		panic(err)
	}
	results, err := batch.Results[int](ctx, c, "squares")
	if err != nil {
		panic(err)
	}
	for index, square := range results {
		fmt.Println(index, square)
	}
	// Output:
	// 0 0
	// 1 1
	// 2 4
}

func ExampleManagerInCluster() {
	fmt.Println("runs here:", cluster.ManagerInCluster() == nil)
	// Output: runs here: true
}

// What cannot cross is refused by its field.
func ExampleCheck() {
	fmt.Println(cluster.Check(batch.Job{Name: "nightly", After: []string{"import"},
		Executor: functions.Executor("square")}))
	// Output: batch: job "nightly" is invalid: After: Forbidden: a cluster does not know the other jobs
}

// Errors are judged in the pod.
func ExampleFunctions_Predicate() {
	job := batch.Job{Name: "import", ManagedBy: new(cluster.Manager), Executor: functions.Executor("square"),
		FailurePolicy: []batch.FailureRule{{Action: batch.ActionFailJob, OnError: functions.Predicate("bad-input")}}}
	fmt.Println(cluster.Check(job))
	// Output: <nil>
}

// An administrator applies these.
func ExampleRights() {
	role, binding := cluster.Rights("jobs", "service")
	for _, rule := range role.Rules {
		fmt.Println(rule.Resources, rule.Verbs)
	}
	fmt.Println(binding.Subjects[0].Kind, binding.Subjects[0].Name)
	// Output:
	// [jobs] [create get list watch patch delete]
	// [pods] [get list watch patch]
	// [pods/log] [get]
	// [events] [list watch]
	// ServiceAccount service
}

func ExamplePodRights() {
	role, _ := cluster.PodRights("jobs", "default")
	for _, rule := range role.Rules {
		fmt.Println(rule.Resources, rule.Verbs)
	}
	// Output: [configmaps] [create get update]
}
