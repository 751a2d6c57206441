package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const (
	jobsPath = "/apis/batch/v1/namespaces/default/jobs"
	podsPath = "/api/v1/namespaces/default/pods"
)

// wait is an executor that ends when its context does.
var wait = batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
	<-ctx.Done()
	return nil
})

// A world is a server, and the controller behind it.
type world struct {
	testing.TB
	c      *batch.Controller
	server *Server
	crons  *cron.Controller // nil unless the test is about CronJobs
}

func newWorld(t testing.TB, config Config) *world { return newWorldOf(t, nil, config) }

// newWorldOf is newWorld with a controller that has a store.
func newWorldOf(t testing.TB, store batch.Store, config Config) *world {
	c := config.Controller
	if c == nil {
		var err error
		c, err = batch.New(t.Context(), batch.Options{Store: store})
		require.NoError(t, err)
		config.Controller = c
	}
	if config.Runner == nil {
		config.Runner = &convert.Runner{Commands: true, Functions: map[string]convert.Function{
			"wait": func(ctx context.Context, _ batch.Attempt, _ convert.Container) error {
				<-ctx.Done()
				return nil
			},
			"hello": func(_ context.Context, a batch.Attempt, _ convert.Container) error {
				fmt.Fprintln(a.Stdout(), "hello")
				return nil
			},
		}}
	}
	w := &world{t, c, New(config), config.CronJobs}
	t.Cleanup(w.end)
	return w
}

// end is what a service does at its end.
func (w *world) end() {
	w.server.Close()
	if w.crons != nil {
		require.NoError(w, w.crons.Shutdown(context.Background()))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(w, w.c.Shutdown(ctx))
}

func (w *world) create(job batch.Job) {
	w.Helper()
	require.NoError(w, w.c.Create(w.Context(), job))
}

// A call is one request.
type call struct {
	method, path, contentType, accept, body string
	header                                  map[string]string
}

// do sends a request, and returns the answer.
func (w *world) do(c call) *httptest.ResponseRecorder {
	w.Helper()
	r := httptest.NewRequestWithContext(w.Context(), c.method, "http://localhost"+c.path, strings.NewReader(c.body))
	if c.contentType != "" {
		r.Header.Set("Content-Type", c.contentType)
	}
	if c.accept != "" {
		r.Header.Set("Accept", c.accept)
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	return rec
}

// get reads what is at a path into a value.
func (w *world) get(path string, into any) {
	w.Helper()
	w.read(w.do(call{method: "GET", path: path}), http.StatusOK, into)
}

// read reads an answer with a certain code into a value.
func (w *world) read(rec *httptest.ResponseRecorder, code int, into any) {
	w.Helper()
	require.Equal(w, code, rec.Code, rec.Body.String())
	require.NoError(w, json.Unmarshal(rec.Body.Bytes(), into))
}

// fails reads an answer that is an error.
func (w *world) fails(rec *httptest.ResponseRecorder, code int, reason metav1.StatusReason) metav1.Status {
	w.Helper()
	var status metav1.Status
	w.read(rec, code, &status)
	require.Equal(w, "Status", status.Kind)
	require.Equal(w, "v1", status.APIVersion)
	require.Equal(w, metav1.StatusFailure, status.Status)
	require.Equal(w, reason, status.Reason, status.Message)
	require.EqualValues(w, code, status.Code)
	return status
}

func (w *world) job(name string) *batchv1.Job {
	w.Helper()
	job := new(batchv1.Job)
	w.get(jobsPath+"/"+name, job)
	return job
}

// manifest is a job that runs a function, with more in its spec.
func manifest(name, function, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":%q},"spec":{%s"template":{"spec":{`+
		`"containers":[{"name":"c","image":"func/%s"}],"restartPolicy":"Never"}}}}`, name, spec, function)
}

// apply creates a job of a manifest.
func (w *world) post(body string) *batchv1.Job {
	w.Helper()
	job := new(batchv1.Job)
	w.read(w.do(call{method: "POST", path: jobsPath, body: body}), http.StatusCreated, job)
	return job
}

// eventually waits until something holds.
func (w *world) eventually(holds func() bool) {
	w.Helper()
	require.Eventually(w, holds, 2*time.Minute, 2*time.Millisecond)
}

// finish waits until a job has finished.
func (w *world) finish(name string) {
	w.Helper()
	_, _ = w.c.Wait(w.Context(), name) // how it ended is the test's business
}

// A stream is an answer that is read while it is written.
type stream struct {
	*world
	response *http.Response
	decoder  *json.Decoder
	cancel   context.CancelFunc
}

// open sends a request over a connection.
func (w *world) open(path, accept string) *stream {
	w.Helper()
	listener := httptest.NewServer(w.server)
	w.Cleanup(listener.Close)
	ctx, cancel := context.WithCancel(w.Context())
	w.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", listener.URL+path, nil)
	require.NoError(w, err)
	r.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(r)
	require.NoError(w, err)
	w.Cleanup(func() { response.Body.Close() })
	return &stream{w, response, json.NewDecoder(response.Body), cancel}
}

// A seen is a frame of a watch.
type seen struct {
	Type   string `json:"type"`
	Object struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		ColumnDefinitions []any           `json:"columnDefinitions"`
		Rows              []any           `json:"rows"`
		Code              int             `json:"code"`
		Reason            string          `json:"reason"`
		Status            json.RawMessage `json:"status"`
	} `json:"object"`
}

// next is the next frame.
func (s *stream) next() seen {
	s.Helper()
	var frame seen
	require.NoError(s, s.decoder.Decode(&frame))
	return frame
}

// until skips frames up to one of that type.
func (s *stream) until(kind string) seen {
	s.Helper()
	for {
		if frame := s.next(); frame.Type == kind {
			return frame
		}
	}
}

func (s *stream) rest() string {
	s.Helper()
	data, err := io.ReadAll(io.MultiReader(s.decoder.Buffered(), s.response.Body))
	require.NoError(s, err)
	return string(bytes.TrimSpace(data))
}

// waitingJob is a job that does nothing.
func waitingJob(name string) batch.Job { return batch.Job{Name: name, Executor: wait, Suspend: true} }
