package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/runtocompletion/batch"
)

// A webhook is an address to which the end of each job is posted.
type webhook string

// newWebhook returns the one at an address; none if that is empty.
func newWebhook(address string) (webhook, error) {
	if address == "" {
		return "", nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("-webhook: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("-webhook %q: must be the URL of an HTTP server", address)
	}
	return webhook(address), nil
}

// post posts the status of a job that has ended, as GET /jobs/NAME shows it. An error
// means that it is to be posted again.
func (w webhook) post(ctx context.Context, change batch.Change) error {
	body, err := json.Marshal(viewOf(change.Status))
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, string(w), bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	const enough = 4096
	_, err = io.CopyN(io.Discard, response.Body, enough) // so that the connection can be used again
	if err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, response.Body.Close())
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return errors.Join(fmt.Errorf("webhook answers %s", response.Status), response.Body.Close())
	}
	return response.Body.Close()
}

// serve posts the ends of jobs whenever it is this process's turn to work, until the
// controller is shut down.
func (w webhook) serve(ctx context.Context, c *batch.Controller) error {
	for {
		err := c.Claimed(ctx)
		if err == nil {
			err = c.Subscribe(context.WithoutCancel(ctx), "webhook", w.post)
		}
		switch {
		case ctx.Err() != nil, errors.Is(err, batch.ErrShutdown):
			return nil
		case !errors.Is(err, batch.ErrStoreInUse):
			return err
		}
	}
}
