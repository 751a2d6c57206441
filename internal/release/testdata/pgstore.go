// Command user is a program that uses package pgstore. It needs no server.
package main

import (
	"context"
	"errors"
	"log"
	"net"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/runtocompletion/batch/contrib/pgstore"
)

func main() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, "postgres://127.0.0.1:1/nothing?sslmode=disable")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	_, err = pgstore.Open(ctx, pool, pgstore.Options{Name: "user"})
	if refused, ok := errors.AsType[*net.OpError](err); !ok {
		log.Fatalf("a server that is not there: %v", refused)
	}
}
