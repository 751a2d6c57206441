package page_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/page"
)

// get asks a handler for a page, as a browser on the same machine does.
func get(h http.Handler, address string, header ...string) *httptest.ResponseRecorder {
	return do(h, http.MethodGet, address, nil, header...)
}

// do sends a request; a header is a name and a value.
func do(h http.Handler, method, address string, form url.Values, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, address, strings.NewReader(form.Encode()))
	r.Host = "localhost:8080"
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// service is a controller with a finished job "report", and its pages.
func service(t *testing.T, o page.Options) (*batch.Controller, *page.Server) {
	t.Helper()
	w := &world{t: t, controller: newController(t, batch.Options{})}
	w.create(batch.Job{Name: "report", Labels: map[string]string{"team": "data"}})
	w.finish("report")
	h := page.Handler(w.controller, o)
	t.Cleanup(h.Close)
	return w.controller, h
}

func TestAnyPrefix(t *testing.T) {
	_, h := service(t, page.Options{})
	tests := map[string]struct {
		pattern string
		handler http.Handler
		list    string
	}{
		"a prefix":               {pattern: "/jobs/", handler: h, list: "/jobs/"},
		"a long prefix":          {pattern: "/ops/v1/jobs/", handler: h, list: "/ops/v1/jobs/"},
		"the root":               {pattern: "/", handler: h, list: "/"},
		"a method":               {pattern: "GET /jobs/", handler: h, list: "/jobs/"},
		"a host":                 {pattern: "localhost/jobs/", handler: h, list: "/jobs/"},
		"a wildcard":             {pattern: "/{tenant}/jobs/", handler: h, list: "/acme/jobs/"},
		"the rest as a wildcard": {pattern: "/jobs/{rest...}", handler: h, list: "/jobs/"},
		"a stripped prefix":      {pattern: "/jobs/", handler: http.StripPrefix("/jobs", h), list: "/jobs/"},
		"a prefix like a page":   {pattern: "/job/", handler: h, list: "/job/"},
		"stripped like a page":   {pattern: "/job/", handler: http.StripPrefix("/job", h), list: "/job/"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.Handle(test.pattern, test.handler)
			w := get(mux, test.list)
			require.Equal(t, http.StatusOK, w.Code)
			require.Contains(t, w.Body.String(), `href="./job/report"`)
			w = get(mux, test.list+"job/report")
			require.Equal(t, http.StatusOK, w.Code)
			require.Contains(t, w.Body.String(), `href="../assets/page.css"`)
			require.Equal(t, http.StatusOK, get(mux, test.list+"assets/page.css").Code)
			require.Equal(t, http.StatusNotFound, get(mux, test.list+"job/nothing").Code)
		})
	}
}

func TestNothingElseIsServed(t *testing.T) {
	_, h := service(t, page.Options{})
	for _, path := range []string{
		"/job", "/job/", "/nothing", "/assets/", "/assets/job.html", "/assets/..%2fpage.go", "/assets/trace.json.tmpl",
		"//evil.example/x", "/job/../job/report/", "/job/report/attempt/x", "/job/report/file/x", "/job/report/change/x",
		"/stream?v=x",
	} {
		w := get(h, path)
		require.Equal(t, http.StatusNotFound, w.Code, path)
		require.Empty(t, w.Header().Get("Location"), path)
	}
	require.Equal(t, http.StatusBadRequest, get(h, "/stream").Code)
}

func TestHosts(t *testing.T) {
	tests := map[string]struct {
		hosts   []string
		host    string
		allowed bool
	}{
		"localhost":                {host: "localhost:8080", allowed: true},
		"loopback of IPv6":         {host: "[::1]:80", allowed: true},
		"another loopback":         {host: "127.1.2.3", allowed: true},
		"a name that was led here": {host: "evil.example:80"},
		"localhost in a name":      {host: "localhost.evil.example"},
		"an address":               {host: "192.168.1.1"},
		"a configured name":        {hosts: []string{"jobs.example"}, host: "JOBS.example:443", allowed: true},
		"not the configured name":  {hosts: []string{"jobs.example"}, host: "x.jobs.example"},
		"any":                      {hosts: []string{"*"}, host: "evil.example", allowed: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, h := service(t, page.Options{Hosts: test.hosts})
			require.Equal(t, test.allowed, get(h, "/", "Host", test.host).Code == http.StatusOK)
			require.Equal(t, test.allowed, get(h, "/?format=json", "Host", test.host).Code == http.StatusOK)
		})
	}
}

func TestHeaders(t *testing.T) {
	_, h := service(t, page.Options{})
	nonces := map[string]bool{}
	for _, path := range []string{"/", "/job/report", "/job/nothing"} {
		header := get(h, path).Header()
		policy := header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'")
		require.NotContains(t, policy, "unsafe")
		nonces[regexp.MustCompile(`nonce-(\w+)`).FindStringSubmatch(policy)[1]] = true
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
		require.Equal(t, "same-origin", header.Get("Cross-Origin-Resource-Policy"))
		require.Equal(t, "no-store", header.Get("Cache-Control"))
	}
	require.Len(t, nonces, 3, "each answer has its own")
	asset := get(h, "/assets/page.js")
	require.Equal(t, "text/javascript; charset=utf-8", asset.Header().Get("Content-Type"))
	require.Equal(t, http.StatusNotModified, get(h, "/assets/page.js", "If-None-Match", asset.Header().Get("ETag")).Code)
}

func TestAssetsAreSmall(t *testing.T) {
	size := 0
	files, err := filepath.Glob("assets/*")
	require.NoError(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotRegexp(
			t, `(?i)(src|href|url|from|import)[("= ]+(https?:)?//`, string(data), "%s: loads from elsewhere", file,
		)
		size += len(data)
	}
	require.Less(t, size, 100<<10)
}

func TestJSON(t *testing.T) {
	c, h := service(t, page.Options{})
	decode := func(address string, header ...string) (value map[string]any) {
		w := get(h, address, header...)
		require.Equal(t, http.StatusOK, w.Code, address)
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &value))
		return value
	}
	list := decode("/", "Accept", "application/json")
	row := list["jobs"].([]any)[0].(map[string]any)
	require.Equal(t, "report", row["name"])
	require.Equal(t, "Complete", row["state"])
	require.Equal(t, map[string]any{"team": "data"}, row["labels"])
	status, err := c.Get("report")
	require.NoError(t, err)
	require.Equal(t, status.Explain(), row["explain"])
	job := decode("/job/report?format=json")
	attempt := job["attempts"].([]any)[0].(map[string]any)
	require.Equal(t, "Succeeded", attempt["outcome"])
	one := decode("/job/report/attempt/" + attempt["name"].(string) + "?format=json")
	require.Equal(t, attempt["uid"], one["status"].(map[string]any)["uid"])
	w := get(h, "/job/nothing?format=json")
	require.Equal(t, http.StatusNotFound, w.Code)
	require.JSONEq(t, `{"error": "batch: not found: job \"nothing\""}`, w.Body.String())
}

func TestFilter(t *testing.T) {
	w := &world{t: t, controller: newController(t, batch.Options{})}
	h := page.Handler(w.controller, page.Options{})
	t.Cleanup(h.Close)
	w.create(
		batch.Job{Name: "a-import", Labels: map[string]string{"team": "data", "draft": ""}},
		batch.Job{Name: "b-report", Labels: map[string]string{"team": "data"}},
		batch.Job{Name: "c-import", Labels: map[string]string{"team": "web"}, Suspend: true},
	)
	w.finish("a-import", "b-report")
	names := func(query string) (list []string) {
		for _, m := range regexp.MustCompile(`href="./job/([a-z-]+)"`).FindAllStringSubmatch(get(h, "/?"+query).Body.String(),
			-1) {
			list = append(list, m[1])
		}
		return list
	}
	for query, want := range map[string][]string{
		"":                               {"c-import", "b-report", "a-import"},
		"q=IMPORT":                       {"c-import", "a-import"},
		"q=waits+to+be+resumed":          {"c-import"},
		"state=Suspended":                {"c-import"},
		"state=Complete&q=import":        {"a-import"},
		"label=team=data":                {"b-report", "a-import"},
		"label=team=data,+draft":         {"a-import"},
		"label=team=nobody":              nil,
		"label=draft":                    {"a-import"},
		"label=team=data&state=Running":  nil,
		"page=7":                         {"c-import", "b-report", "a-import"},
		"state=Complete&label=team=data": {"b-report", "a-import"},
	} {
		require.Equal(t, want, names(query), query)
	}
}

// token reads the token of a form.
func token(t *testing.T, h http.Handler, address string) string {
	t.Helper()
	w := get(h, address)
	require.Equal(t, http.StatusOK, w.Code)
	m := regexp.MustCompile(`name="token" value="(\w+)"`).FindStringSubmatch(w.Body.String())
	require.NotNil(t, m, "the page asks with a form")
	return m[1]
}

func TestChanges(t *testing.T) {
	w := &world{t: t, controller: newController(t, batch.Options{})}
	h := page.Handler(w.controller, page.Options{Write: true})
	t.Cleanup(h.Close)
	w.create(batch.Job{Name: "import", Completions: new(9), Parallelism: new(2), Executor: blocks})
	change := func(name, value string) *httptest.ResponseRecorder {
		address := "/job/import/change/" + name
		return do(
			h, http.MethodPost, address, url.Values{"token": {token(t, h, address)}, "value": {value}}, "Sec-Fetch-Site",
			"same-origin",
		)
	}
	says := func(answer *httptest.ResponseRecorder, status int, text string) {
		t.Helper()
		require.Equal(t, status, answer.Code)
		require.Contains(t, answer.Body.String(), text)
	}
	status := func() batch.Status { s, _ := w.controller.Get("import"); return s }

	says(change("suspend", ""), http.StatusOK, "Job import is suspended.")
	require.True(t, status().Suspend)
	says(change("resume", ""), http.StatusOK, "Job import goes on.")
	require.False(t, status().Suspend)
	says(change("parallelism", "3"), http.StatusOK, "The parallelism of job import is 3.")
	require.Equal(t, 3, status().Parallelism)
	says(change("parallelism", "-1"), http.StatusBadRequest, "must be greater than or equal to 0")
	says(change("parallelism", "many"), http.StatusBadRequest, "must be a number")
	attempts, err := w.controller.Attempts(t.Context(), "import")
	require.NoError(t, err)
	newest := attempts[len(attempts)-1]
	says(change("stop", newest.UID), http.StatusOK, "was asked to stop")
	says(change("stop", "nothing"), http.StatusNotFound, "batch: not found")
	says(change("again", ""), http.StatusConflict, "has not finished")
	says(change("cancel", ""), http.StatusOK, "Job import is cancelled.")
	_, err = w.controller.Wait(t.Context(), "import")
	require.ErrorContains(t, err, "Cancelled: Job was cancelled: cancelled on the page")
	require.Contains(t, get(h, "/job/import").Body.String(), "the job was cancelled: cancelled on the page")
	says(change("cancel", ""), http.StatusConflict, "job finished")
	says(change("again", ""), http.StatusOK, "Job import runs again.")
	require.Equal(t, 2, status().Run)
	says(change("delete", ""), http.StatusOK, "Job import is deleted.")
	_, err = w.controller.Get("import")
	require.ErrorIs(t, err, batch.ErrNotFound)
}

func TestChangesAreRefused(t *testing.T) {
	c, h := service(t, page.Options{})
	require.Equal(t, http.StatusForbidden, do(h, http.MethodPost, "/job/report/change/delete", url.Values{}).Code)
	require.NotContains(t, get(h, "/job/report").Body.String(), "change/delete")

	h = page.Handler(c, page.Options{Write: true})
	t.Cleanup(h.Close)
	right := url.Values{"token": {token(t, h, "/job/report/change/delete")}}
	for name, test := range map[string]struct {
		form   url.Values
		header []string
	}{
		"without a token":      {form: url.Values{}},
		"with a wrong token":   {form: url.Values{"token": {"x"}}},
		"from another site":    {form: right, header: []string{"Sec-Fetch-Site", "cross-site"}},
		"from a site like it":  {form: right, header: []string{"Sec-Fetch-Site", "same-site"}},
		"from another origin":  {form: right, header: []string{"Origin", "https://evil.example"}},
		"from no origin":       {form: right, header: []string{"Origin", "null"}},
		"to another host name": {form: right, header: []string{"Host", "evil.example"}},
	} {
		w := do(h, http.MethodPost, "/job/report/change/delete", test.form, test.header...)
		require.Equal(t, http.StatusForbidden, w.Code, name)
	}
	require.Equal(t, http.StatusForbidden, do(h, http.MethodPost, "/job/report/change/delete?token="+right.Get("token"),
		url.Values{}).Code,
		"a token in the address does not count")
	require.Equal(t, http.StatusForbidden, do(h, http.MethodDelete, "/job/report", nil).Code)
	_, err := c.Get("report")
	require.NoError(t, err)
}

func TestStackOfAnAttempt(t *testing.T) {
	w := &world{t: t, controller: newController(t, batch.Options{})}
	h := page.Handler(w.controller, page.Options{})
	t.Cleanup(h.Close)
	standing := make(chan struct{})
	w.create(batch.Job{Name: "hangs", Executor: hangs(standing)}, batch.Job{Name: "other", Executor: blocks})
	<-standing
	attempts, err := w.controller.Attempts(t.Context(), "hangs")
	require.NoError(t, err)
	address := "/job/hangs/attempt/" + attempts[0].UID
	require.NotContains(t, get(h, address).Body.String(), "standHere")
	body := get(h, address+"?stack").Body.String()
	require.Contains(t, body, "page_test.standHere")
	require.NotContains(t, body, "ServeHTTP", "the stacks of others are nobody's business")
}

func hangs(standing chan<- struct{}) batch.Executor {
	return batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error { return standHere(ctx, standing) })
}

//go:noinline
func standHere(ctx context.Context, standing chan<- struct{}) error {
	close(standing)
	<-ctx.Done()
	return nil
}

// TestWhatAJobWaitsFor: the page of a job says what its status does.
func TestWhatAJobWaitsFor(t *testing.T) {
	w := &world{t: t, controller: newController(t, batch.Options{MaxActive: 1})}
	w.create(batch.Job{Name: "first", Executor: blocks}, batch.Job{Name: "second"})
	status, err := w.controller.Get("second")
	require.NoError(t, err)
	require.NotEmpty(t, status.WaitsFor)
	h := page.Handler(w.controller, page.Options{})
	t.Cleanup(h.Close)
	require.Contains(t, get(h, "/job/second").Body.String(), "<dt>Waits for</dt><dd>"+status.WaitsFor+"</dd>")
	require.NotContains(t, get(h, "/job/first").Body.String(), "Waits for")
}
