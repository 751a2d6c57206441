package pgstore_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/pgstore"
)

// An order and the job that sends its invoice exist together, or not at all.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	pool, err := pgxpool.New(ctx, server.URL()) // in a service, its own
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	store, err := pgstore.Open(ctx, pool, pgstore.Options{Schema: "shop", Name: "invoices"})
	if err != nil {
		log.Fatal(err)
	}
	c, err := batch.New(ctx, batch.Options{Store: store, Standby: true})
	if err != nil {
		log.Fatal(err)
	}
	sent := make(chan string)
	go store.Receive(ctx, c, func(job *batch.Job) {
		job.Executor = batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
			sent <- job.Labels["customer"]
			return nil
		})
	})

	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		// Here the order would be inserted.
		return store.CreateTx(ctx, tx, batch.Job{Name: "order-17", Labels: map[string]string{"customer": "ada"}})
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("invoice sent to", <-sent)
	if err := c.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}

	// Output: invoice sent to ada
}
