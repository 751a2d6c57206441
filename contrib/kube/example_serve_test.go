package kube_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/kube"
)

// A service lets its operators look at its jobs with kubectl.
func ExampleListen() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	controller, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := kube.Listen(controller, kube.Options{}, kube.ListenOptions{
		Kubeconfig: filepath.Join(dir, "kubeconfig"),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("export KUBECONFIG=DIR/kubeconfig; kubectl get jobs --watch")

	ctx, cancel := context.WithCancel(context.Background())
	cancel() // a service waits for its own end here
	fmt.Println(listener.Serve(ctx), controller.Shutdown(ctx))
	// Output:
	// export KUBECONFIG=DIR/kubeconfig; kubectl get jobs --watch
	// <nil> <nil>
}

// A service lets its operators see its CronJobs, and run one now.
func ExampleHandler_cronJobs() {
	ctx := context.Background()
	jobs, err := batch.New(ctx, batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	crons, err := cron.New(jobs, cron.Options{})
	if err != nil {
		log.Fatal(err)
	}
	backup := func(context.Context, batch.Attempt) error { return nil }
	if _, err := crons.Apply(ctx, cron.CronJob{
		Name: "backup", Schedule: "30 2 * * *", TimeZone: "Europe/Berlin",
		Job: batch.Job{Executor: batch.ExecutorFunc(backup)},
	}); err != nil {
		log.Fatal(err)
	}
	handler := kube.Handler(jobs, kube.Options{CronJobs: crons, Write: true})
	fmt.Println("kubectl get cronjobs; kubectl create job now --from=cronjob/backup")

	handler.Close()
	fmt.Println(crons.Shutdown(ctx), jobs.Shutdown(ctx))
	// Output:
	// kubectl get cronjobs; kubectl create job now --from=cronjob/backup
	// <nil> <nil>
}

// One line lets operators look at the jobs of a service.
func ExampleServe() {
	controller, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	go kube.Serve(ctx, controller, kube.Options{}, kube.ListenOptions{Kubeconfig: "batch.kubeconfig"})
}
