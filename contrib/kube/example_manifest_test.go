package kube_test

import (
	"context"
	"fmt"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/kube"
)

// A manifest runs a function of this program: the container's image names it.
func ExampleRunner() {
	manifests, err := kube.Decode([]byte(`
apiVersion: batch/v1
kind: Job
metadata:
  name: report
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: report
        image: func/report
        args: ["--month", "$(MONTH)"]
        env: [{name: MONTH, value: November}]
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	runner := &kube.Runner{Functions: map[string]kube.Function{
		"report": func(_ context.Context, _ batch.Attempt, c kube.Container) error {
			fmt.Println(c.Args)
			return nil
		},
	}}
	kube.Default(manifests.Jobs[0])
	job, warnings, err := runner.Job(manifests.Jobs[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	status, err := batch.Run(context.Background(), job)
	fmt.Println(status, err, warnings)
	// Output:
	// [--month November]
	// report: Complete, 1/1 succeeded, 0 failed <nil> []
}

// A typo in a manifest is an error that names its path.
func ExampleDecode() {
	_, err := kube.Decode([]byte(`
apiVersion: batch/v1
kind: Job
metadata: {name: typo}
spec: {paralelism: 2, backoffLimit: 1, backoffLimit: 2}
`))
	fmt.Println(err)
	// Output:
	// strict decoding error: duplicate field "spec.backoffLimit", unknown field "spec.paralelism"
}

// A job that was made of a manifest goes on in a later process, which has no
// manifest but that in its store.
func ExampleRunner_Restore() {
	store := new(batchtest.MemoryStore) // in a service, a file
	for process := 1; process <= 2; process++ {
		if err := runProcess(process, store); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// process 1 reports
	// Running
	// process 2 reports
	// Complete
}

func runProcess(process int, store batch.Store) error {
	controller, err := batch.New(context.Background(), batch.Options{Store: store})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	runner := &kube.Runner{Functions: map[string]kube.Function{
		"report": func(ctx context.Context, _ batch.Attempt, _ kube.Container) error {
			fmt.Println("process", process, "reports")
			if process == 1 {
				stop() // before the report is done
				<-ctx.Done()
			}
			return context.Cause(ctx)
		},
	}}
	if err := runner.Restore(ctx, controller); err != nil {
		return err
	}
	if process == 1 {
		manifests, err := kube.Load("testdata/report.yaml")
		if err != nil {
			return err
		}
		kube.Default(manifests.Jobs[0])
		job, _, err := runner.Job(manifests.Jobs[0])
		if err != nil {
			return err
		}
		if err := controller.Create(ctx, job); err != nil {
			return err
		}
	}
	status, _ := controller.Wait(ctx, "report")
	fmt.Println(status.State())
	return controller.Shutdown(ctx)
}
