package cluster

import (
	"context"
	"fmt"
	"os"

	"github.com/runtocompletion/batch"
)

// Functions are what pods can run: functions of this program, by names that other builds
// of it know as well. A pod runs the same program, and finds its function by its name.
type Functions struct {
	// Executors are what jobs run. Their names are DNS-1123 labels.
	Executors map[string]batch.Executor
	// Predicates are what failure policies ask about errors, in the pod.
	Predicates map[string]func(error) bool
	// Results keeps results that are larger than a termination message. Nil means that
	// they are refused.
	Results ResultStore
}

// ManagerInCluster returns the [Manager] in a pod of a Kubernetes cluster, and elsewhere
// nil: for [batch.Job.ManagedBy] of a job that runs in a cluster where there is one, and in
// this process where there is none. A pod is told by the variables that Kubernetes sets.
func ManagerInCluster() *string {
	if os.Getenv("KUBERNETES_SERVICE_HOST") == "" {
		return nil
	}
	return new(Manager)
}

// A ResultStore keeps large results where the pods and the service reach it. Keys are
// those of attempts, and consist of letters, digits, "-", "." and "/".
type ResultStore interface {
	Put(ctx context.Context, key string, data []byte) error
	Get(ctx context.Context, key string) ([]byte, error)
}

// Executor is the executor of that name, for [batch.Job.Executor]. In this process it
// runs as any other; a job of the [Manager] has its pods find it by the name. It panics
// if there is none.
func (f *Functions) Executor(name string) batch.Executor {
	executor := f.Executors[name]
	if executor == nil {
		panic(fmt.Sprintf("cluster: no executor %q", name))
	}
	return named{executor, name}
}

// Predicate is the predicate of that name, for [batch.FailureRule.OnError]. It panics if
// there is none.
func (f *Functions) Predicate(name string) func(error) bool {
	predicate := f.Predicates[name]
	if predicate == nil {
		panic(fmt.Sprintf("cluster: no predicate %q", name))
	}
	return func(err error) bool {
		if question, ok := err.(*nameQuestion); ok {
			question.answer = name
			return false
		}
		return predicate(err)
	}
}

// A named executor knows its name.
type named struct {
	batch.Executor
	name string
}

// nameOfExecutor is empty for an executor without a name.
func nameOfExecutor(e batch.Executor) string {
	if n, ok := e.(named); ok {
		return n.name
	}
	return ""
}

// A nameQuestion asks a predicate for its name: functions cannot be compared.
type nameQuestion struct{ answer string }

func (*nameQuestion) Error() string { return "cluster: what is the name of this predicate?" }

// nameOfPredicate is empty for a predicate without a name. Those of others are user code
// that may not expect such an error.
func nameOfPredicate(predicate func(error) bool) string {
	question := new(nameQuestion)
	func() {
		defer func() { _ = recover() }()
		predicate(question)
	}()
	return question.answer
}
