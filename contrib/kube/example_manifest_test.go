package kube_test

import (
	"context"
	"fmt"

	"github.com/runtocompletion/batch"
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
	kube.Default(manifests[0])
	job, warnings, err := runner.Job(manifests[0])
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
