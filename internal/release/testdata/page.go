// Command user is a program that uses package page.
package main

import (
	"context"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/page"
)

func main() {
	ctx := context.Background()
	controller, err := batch.New(ctx, batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	pages := page.Handler(controller, page.Options{})
	mux := http.NewServeMux()
	mux.Handle("/jobs/", pages)
	server := httptest.NewServer(mux)
	answer, err := http.Get(server.URL + "/jobs/")
	if err != nil {
		log.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		log.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		log.Fatal(answer.Status)
	}
	server.Close()
	pages.Close()
	if err := controller.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}
