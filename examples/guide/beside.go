package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube"
)

// A beside is what stands beside the picture of a job: the same job in the words of
// Go, of a manifest, and of kubectl.
type beside struct {
	Go       string    `json:"go"`
	Manifest string    `json:"manifest"`
	Commands []command `json:"commands"`
}

// A command is one of kubectl, with what it prints.
type command struct {
	Line   string `json:"line"`
	Output string `json:"output"`
}

// beside answers with what belongs to a job.
func (w *web) beside(rw http.ResponseWriter, r *http.Request) {
	name := r.PathValue("job")
	job, err := w.controller.Job(name)
	status, statusErr := w.controller.Get(name)
	if err := cmp.Or(err, statusErr); err != nil {
		http.Error(rw, err.Error(), http.StatusNotFound)
		return
	}
	manifest, err := manifestOf(job)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(rw, beside{Go: goOf(job), Manifest: manifest, Commands: w.commands(job, status)})
}

// goOf declares a job in Go, as far as it does not take the defaults.
func goOf(j batch.Job) string {
	var b strings.Builder
	field := func(name, format string, value any) { fmt.Fprintf(&b, "\t%s: "+format+",\n", name, value) }
	b.WriteString("batch.Job{\n")
	field("Name", "%q", j.Name)
	if j.CompletionMode == batch.Indexed {
		field("CompletionMode", "%s", "batch.Indexed")
	}
	field("Completions", "new(%d)", *j.Completions)
	field("Parallelism", "new(%d)", *j.Parallelism)
	if j.RestartPolicy == batch.RestartOnFailure {
		field("RestartPolicy", "%s", "batch.RestartOnFailure")
	}
	if *j.BackoffLimit != 6 {
		field("BackoffLimit", "new(%d)", *j.BackoffLimit)
	}
	if j.TTLAfterFinished != nil {
		field("TTLAfterFinished", "new(%d * time.Minute)", *j.TTLAfterFinished/time.Minute)
	}
	field("Executor", "%s", "batch.ExecutorFunc(work)")
	b.WriteString("}\n")
	return b.String()
}

// manifestOf is the job as one would write it, without what an API server adds.
func manifestOf(job batch.Job) (string, error) {
	m := kube.Manifest(job, batch.Status{Name: job.Name}, "")
	m.Labels, m.Spec.Selector, m.Spec.Template.Labels = nil, nil, nil
	m.Namespace, m.UID, m.Generation = "", "", 0
	for i := range m.Spec.Template.Spec.Containers {
		m.Spec.Template.Spec.Containers[i].Image = "busybox"
		m.Spec.Template.Spec.Containers[i].Command = []string{"sh", "-c", "echo hello; sleep 5"}
	}
	data, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		return "", err
	}
	delete(tree, "status")
	prune(tree)
	text, err := yaml.Marshal(tree)
	return string(text), err
}

// prune takes away what is null or empty.
func prune(tree map[string]any) {
	for key, value := range tree {
		if inner, ok := value.(map[string]any); ok {
			if prune(inner); len(inner) == 0 {
				delete(tree, key)
			}
		}
		if value == nil {
			delete(tree, key)
		}
	}
}

const (
	jobsPath = "/apis/batch/v1/namespaces/default/jobs"
	podsPath = "/api/v1/namespaces/default/pods"
)

// commands are those of kubectl that one would look with. They print what the
// server of contrib/kube answers kubectl; only describe is written here.
func (w *web) commands(job batch.Job, status batch.Status) []command {
	selector := "job-name=" + job.Name
	query := "?" + url.Values{"labelSelector": {selector}}.Encode()
	list := []command{
		{"kubectl get job " + job.Name, w.table(jobsPath + "/" + job.Name)},
		{"kubectl get pods -l " + selector, w.table(podsPath + query)},
		{"kubectl describe job " + job.Name, w.describe(job, status)},
	}
	attempts, err := w.controller.Attempts(context.Background(), job.Name)
	if err != nil {
		return append(list, command{"kubectl logs -l " + selector, err.Error() + "\n"})
	}
	var logs strings.Builder
	for _, a := range attempts {
		if text, ok := w.ask(podsPath+"/"+a.Name+"/log?tailLines=10", "*/*"); ok {
			logs.WriteString(text)
		}
	}
	return append(list, command{"kubectl logs -l " + selector, cmp.Or(logs.String(), noResources)})
}

// noResources is what kubectl says of pods that are not there, such as one that was
// stopped because its job failed.
const noResources = "No resources found in default namespace.\n"

// ask asks the server of contrib/kube, as kubectl would, without a network.
func (w *web) ask(address, accept string) (text string, ok bool) {
	r := httptest.NewRequest(http.MethodGet, address, nil)
	r.Host = "localhost"
	r.Header.Set("Accept", accept)
	rw := httptest.NewRecorder()
	w.kube.ServeHTTP(rw, r)
	return rw.Body.String(), rw.Code == http.StatusOK
}

// table prints a table that the server makes, in columns like kubectl's.
func (w *web) table(address string) string {
	var table struct {
		Columns []struct {
			Name     string
			Priority int
		} `json:"columnDefinitions"`
		Rows []struct{ Cells []any }
	}
	text, ok := w.ask(address, "application/json;as=Table;v=v1;g=meta.k8s.io")
	if err := json.Unmarshal([]byte(text), &table); err != nil || !ok {
		return text // of the error
	}
	if len(table.Rows) == 0 {
		return noResources
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 8, 3, ' ', 0)
	line := func(cell func(column int) string) {
		var cells []string
		for i, c := range table.Columns {
			if c.Priority == 0 {
				cells = append(cells, cell(i))
			}
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	line(func(i int) string { return strings.ToUpper(table.Columns[i].Name) })
	for _, row := range table.Rows {
		line(func(i int) string { return fmt.Sprint(row.Cells[i]) })
	}
	if err := t.Flush(); err != nil {
		return err.Error()
	}
	return b.String()
}

// describe prints what kubectl describe job does, without the template.
func (w *web) describe(job batch.Job, s batch.Status) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "Name:\t%s\nNamespace:\tdefault\nSelector:\tbatch.kubernetes.io/controller-uid=%s\n", s.Name, s.UID)
	fmt.Fprintf(t, "Parallelism:\t%d\nCompletions:\t%d\n", *job.Parallelism, *job.Completions)
	fmt.Fprintf(t, "Completion Mode:\t%s\n", job.CompletionMode)
	fmt.Fprintf(t, "Suspend:\t%v\nBackoff Limit:\t%d\n", job.Suspend, *job.BackoffLimit)
	if !s.StartTime.IsZero() {
		fmt.Fprintf(t, "Start Time:\t%s\n", s.StartTime.Format(time.RFC1123Z))
	}
	if !s.CompletionTime.IsZero() {
		fmt.Fprintf(t, "Completed At:\t%s\nDuration:\t%s\n", s.CompletionTime.Format(time.RFC1123Z),
			s.CompletionTime.Sub(s.StartTime).Round(time.Second))
	}
	fmt.Fprintf(t, "Pods Statuses:\t%d Active (%d Ready) / %d Succeeded / %d Failed\n",
		s.Active, s.Ready, s.Succeeded, s.Failed)
	if job.CompletionMode == batch.Indexed {
		fmt.Fprintf(t, "Completed Indexes:\t%s\n", cmp.Or(s.CompletedIndexes.String(), "<none>"))
	}
	fmt.Fprintf(t, "Events:\n  Type\tReason\tAge\tFrom\tMessage\n  ----\t------\t----\t----\t-------\n")
	events, err := w.controller.Events(context.Background(), s.Name)
	for _, e := range events {
		fmt.Fprintf(t, "  %s\t%s\t%s\tjob-controller\t%s\n", e.Type, e.Reason, time.Since(e.At).Round(time.Second), e.Message)
	}
	if err := errors.Join(err, t.Flush()); err != nil {
		return err.Error()
	}
	return b.String()
}
