// Command user is a program that uses package prometheus.
package main

import (
	"context"
	"log"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/prometheus"
)

func main() {
	ctx := context.Background()
	metrics, err := prometheus.New(prometheus.Options{})
	if err != nil {
		log.Fatal(err)
	}
	c, err := batch.New(ctx, batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	registry := client.NewRegistry()
	registry.MustRegister(metrics.Collector(c))
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	if len(families) == 0 {
		log.Fatal("no metrics")
	}
	if err := c.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}
