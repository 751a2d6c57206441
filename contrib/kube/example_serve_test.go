package kube_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/runtocompletion/batch"
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
