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
	answer := httptest.NewRecorder()
	pages.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "http://localhost/jobs/", nil))
	if answer.Code != http.StatusOK {
		log.Fatalf("%d: %s", answer.Code, answer.Body)
	}
	pages.Close()
	if err := controller.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}
