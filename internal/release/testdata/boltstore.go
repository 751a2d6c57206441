// Command user is a program that uses package boltstore.
package main

import (
	"context"
	"log"
	"os"
	"path/filepath"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/boltstore"
)

func main() {
	folder, err := os.MkdirTemp("", "user-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	store, err := boltstore.Open(filepath.Join(folder, "jobs.db"), boltstore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	record := batch.Record{Job: "job", Key: "key", Value: []byte("value")}
	if err := store.Commit(context.Background(), []batch.Record{record}); err != nil {
		log.Fatal(err)
	}
	if err := store.Close(); err != nil {
		log.Fatal(err)
	}
}
