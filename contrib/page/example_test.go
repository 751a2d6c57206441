package page_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

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
