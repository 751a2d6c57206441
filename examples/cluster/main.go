// Command cluster saves a folder in verified shards: in this process or, with -cluster, as
// pods on the two nodes of a Kubernetes of its own. The job is the same but for one field.
//
//	go run ./examples/cluster -from FOLDER -to FOLDER
//	go run ./internal/kubelitetest/build && go run ./examples/cluster -cluster -from FOLDER -to FOLDER
//
// The second one needs Linux and root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cluster"
)

func main() {
	cluster.Main(functions) // in a pod, this does not return
	from := flag.String("from", "", "the folder to save")
	to := flag.String("to", "", "where to put the shards")
	shards := flag.Int("shards", 4, "how many there are")
	onCluster := flag.Bool("cluster", false, "run the shards as pods")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *from, *to, *shards, *onCluster); err != nil {
		log.Fatal(err)
	}
}

// run saves a folder, and prints what each shard has.
func run(ctx context.Context, from, to string, shards int, onCluster bool) (err error) {
	if from, err = filepath.Abs(from); err != nil {
		return err
	}
	if to, err = filepath.Abs(to); err != nil {
		return err
	}
	c, err := batch.New(ctx, batch.Options{
		Managers: map[string]func(batch.Job) error{cluster.Manager: cluster.Check}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Shutdown(context.WithoutCancel(ctx))) }()
	job := batch.Job{
		Name: "backup", Executor: functions.Executor("save-shard"), Input: plan{from, to, shards},
		CompletionMode: batch.Indexed, Completions: &shards, Parallelism: &shards, BackoffLimitPerIndex: new(2),
	}
	if onCluster {
		job.ManagedBy = new(cluster.Manager)
		stop, err := startCluster(ctx, c, from, to)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	if _, err := c.Run(ctx, job); err != nil {
		return err
	}
	return printShards(ctx, c)
}

func printShards(ctx context.Context, c *batch.Controller) error {
	results, err := batch.Results[shard](ctx, c, "backup")
	if err != nil {
		return err
	}
	for index, s := range results {
		fmt.Printf("shard %d: %d files, %d bytes, SHA-256 %s, saved and verified on %s\n", index, s.Files, s.Bytes,
			s.SHA256[:12], s.Host)
	}
	return nil
}
