// Command user is a program that uses package cron.
package main

import (
	"context"
	"log"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
)

func main() {
	ctx := context.Background()
	jobs, err := batch.New(ctx, batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	c, err := cron.New(jobs, cron.Options{})
	if err != nil {
		log.Fatal(err)
	}
	status, err := c.Apply(ctx, cron.CronJob{
		Name: "backup", Schedule: "30 2 * * *", TimeZone: "Europe/Berlin",
		Job: batch.Job{Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })},
	})
	if err != nil {
		log.Fatal(err)
	}
	if len(status.Next) == 0 {
		log.Fatalf("no next time: %+v", status)
	}
	if err := c.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	if err := jobs.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}
