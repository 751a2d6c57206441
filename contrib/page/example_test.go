package page_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/page"
)

func ExampleHandler() {
	ctx := context.Background()
	controller, _ := batch.New(context.Background(), batch.Options{})
	defer controller.Shutdown(ctx)

	mux := http.NewServeMux()
	mux.Handle("/jobs/", page.Handler(controller, page.Options{}))
	server := httptest.NewServer(mux) // here, http.ListenAndServe("localhost:8080", mux)
	defer server.Close()

	answer, err := http.Get(server.URL + "/jobs/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	fmt.Println(answer.Status, answer.Header.Get("Content-Type"))
	// Output: 200 OK text/html; charset=utf-8
}

// A service whose users may change its jobs puts the pages behind its own
// authentication, and names itself.
func ExampleOptions() {
	controller, _ := batch.New(context.Background(), batch.Options{})
	defer controller.Shutdown(context.Background())

	pages := page.Handler(controller, page.Options{
		Title: "Nightly jobs", Write: true, Hosts: []string{"jobs.example.com"},
	})
	defer pages.Close()
	onlyAdmins := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, password, _ := r.BasicAuth(); password != "secret" {
				http.Error(w, "Who are you?", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	mux := http.NewServeMux()
	mux.Handle("/admin/jobs/", onlyAdmins(pages))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "https://jobs.example.com/admin/jobs/", nil))
	fmt.Println(w.Code)
	// Output: 401
}

// A service that shuts down ends the streams of open pages before its server,
// which would wait for them.
func ExampleServer_Close() {
	controller, _ := batch.New(context.Background(), batch.Options{})
	defer controller.Shutdown(context.Background())
	pages := page.Handler(controller, page.Options{})
	server := &http.Server{Handler: pages}
	server.RegisterOnShutdown(pages.Close)
	fmt.Println(server.Shutdown(context.Background()))
	// Output: <nil>
}

// A report is what a scheduler of one's own may know of what it starts. The CronJobs of
// package cron need no such type: page.CronJobsOf(crons.All()) shows them.
type report struct{ at time.Time }

func (r report) Summary() (name, sentence string, next []time.Time, last string) {
	return "report", "every Monday", []time.Time{r.at}, "report-1"
}

func ExampleCronJobsOf() {
	all := slices.Values([]report{{time.Date(2026, 3, 30, 8, 0, 0, 0, time.UTC)}})
	options := page.Options{CronJobs: page.CronJobsOf(all)}
	for c := range options.CronJobs {
		fmt.Println(c.Name, c.Sentence, c.Next[0].Format(time.DateOnly), c.Last)
	}
	// Output: report every Monday 2026-03-30 report-1
}
