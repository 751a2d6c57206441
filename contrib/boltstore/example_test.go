package boltstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/boltstore"
)

// A service that is stopped in the middle of a job, and started again.
func Example() {
	folder, err := os.MkdirTemp("", "boltstore")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	for range 2 {
		if err := serve(filepath.Join(folder, "jobs.db")); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// part 0
	// part 1
	// part 2
	// import: Running, 2/4 succeeded, 0 failed, 1 active
	// part 2
	// part 3
	// import: Complete, 4/4 succeeded, 0 failed
}

func serve(file string) error {
	store, err := boltstore.Open(file, boltstore.Options{})
	if err != nil {
		return err
	}
	defer store.Close() // after the controller's Shutdown
	c, err := batch.New(context.Background(), batch.Options{Store: store})
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Second) // in a service, until SIGTERM
	defer stop()
	if _, err := c.Apply(ctx, batch.Job{
		Name: "import", CompletionMode: batch.Indexed, Completions: new(4),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			fmt.Println("part", a.Index)
			if a.Index == 2 && a.Number == 0 {
				<-ctx.Done() // this one takes long
				return ctx.Err()
			}
			return nil
		}),
	}); err != nil {
		return err
	}
	status, _ := c.Wait(ctx, "import")
	fmt.Println(status)
	return c.Shutdown(ctx)
}

// The errors say what to do.
func ExampleOpen() {
	_, err := boltstore.Open("/no/such/folder/jobs.db", boltstore.Options{})
	switch inUse, ok := errors.AsType[*boltstore.InUseError](err); {
	case ok:
		fmt.Println("wait for process", inUse.PID)
	case errors.Is(err, os.ErrNotExist):
		fmt.Println("make the folder")
	}
	// Output:
	// make the folder
}
