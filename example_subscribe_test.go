package batch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// Each end of a job is posted to a webhook, once more until that has taken it. With a
// Store, an end that the webhook has not taken is posted by the next process.
func ExampleController_Subscribe() {
	taken := make(chan string)
	webhook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var status batch.Status
		if err := json.NewDecoder(r.Body).Decode(&status); err != nil {
			log.Fatal(err)
		}
		taken <- status.Name + " " + status.State()
	}))
	defer webhook.Close()
	post := func(ctx context.Context, change batch.Change) error {
		body, err := json.Marshal(change.Status)
		if err != nil {
			return err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, webhook.URL, bytes.NewReader(body))
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode >= 300 {
			return fmt.Errorf("webhook: %s", response.Status)
		}
		return nil
	}

	ctx := context.Background()
	c, err := batch.New(ctx, batch.Options{Store: new(batchtest.MemoryStore)})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Shutdown(ctx)
	go c.Subscribe(ctx, "webhook", post) // ends with Shutdown
	backup := batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })
	for _, name := range []string{"backup-monday", "backup-tuesday"} {
		if _, err := c.Run(ctx, batch.Job{Name: name, Executor: backup}); err != nil {
			log.Fatal(err)
		}
		fmt.Println(<-taken)
	}
	// Output:
	// backup-monday Complete
	// backup-tuesday Complete
}
