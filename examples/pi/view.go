package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/runtocompletion/batch"
)

// show prints four views of a job, as kubectl would.
func show(ctx context.Context, c *batch.Controller, name string, w io.Writer) error {
	status, err := c.Get(name)
	if err != nil {
		return err
	}
	job, err := c.Job(name)
	if err != nil {
		return err
	}
	attempts, err := c.Attempts(ctx, name)
	if err != nil {
		return err
	}
	events, err := c.Events(ctx, name)
	if err != nil {
		return err
	}

	now := time.Now()
	fmt.Fprintln(w, "\n# kubectl get jobs")
	getJobs(w, status, now)
	fmt.Fprintf(w, "\n# kubectl describe job %s\n", name)
	describeJob(w, job, status, events, now)
	fmt.Fprintf(w, "\n# kubectl get pods -l job-name=%s\n", name)
	getPods(w, attempts, now)
	fmt.Fprintf(w, "\n# kubectl logs job/%s\n", name)
	return logs(ctx, w, c, name, attempts)
}

// getJobs is the table of kubectl get jobs.
func getJobs(w io.Writer, s batch.Status, now time.Time) {
	t := tabwriter.NewWriter(w, 6, 4, 3, ' ', 0)
	defer t.Flush()
	fmt.Fprintln(t, "NAME\tSTATUS\tCOMPLETIONS\tDURATION\tAGE")
	fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n",
		s.Name, s.State(), completions(s), duration(s, now), since(s.CreatedAt, now))
}

// completions is the column COMPLETIONS.
func completions(s batch.Status) string {
	switch {
	case s.Completions != nil:
		return fmt.Sprintf("%d/%d", s.Succeeded, *s.Completions)
	case s.Parallelism > 1:
		return fmt.Sprintf("%d/1 of %d", s.Succeeded, s.Parallelism)
	}
	return fmt.Sprintf("%d/1", s.Succeeded)
}

// duration is the column DURATION, which grows for ever if the job failed.
func duration(s batch.Status, now time.Time) string {
	if s.StartTime.IsZero() {
		return ""
	}
	if !s.CompletionTime.IsZero() {
		now = s.CompletionTime
	}
	return since(s.StartTime, now)
}

// describeJob is kubectl describe job, less what a job here does not have,
// such as a selector.
func describeJob(w io.Writer, j batch.Job, s batch.Status, events []batch.Event, now time.Time) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	defer t.Flush()
	line := func(label, value string) { fmt.Fprintf(t, "%s:\t%s\n", label, value) }

	line("Name", s.Name)
	line("Namespace", "default")
	describeMap(t, "Labels", j.Labels, "=")
	describeMap(t, "Annotations", j.Annotations, ": ")
	line("Parallelism", strconv.Itoa(s.Parallelism))
	line("Completions", intOr(s.Completions, "<unset>"))
	line("Completion Mode", string(cmp.Or(j.CompletionMode, batch.NonIndexed)))
	line("Suspend", strconv.FormatBool(s.Suspend))
	line("Backoff Limit", intOr(j.BackoffLimit, "<unset>"))
	if ttl := j.TTLAfterFinished; ttl != nil {
		line("TTL Seconds After Finished", fmt.Sprintf("%.0f", ttl.Seconds()))
	}
	describeTimes(line, s)
	if deadline := j.ActiveDeadline; deadline != nil {
		line("Active Deadline Seconds", fmt.Sprintf("%.0fs", deadline.Seconds()))
	}
	line("Pods Statuses", fmt.Sprintf("%d Active (%d Ready) / %d Succeeded / %d Failed",
		s.Active, s.Ready, s.Succeeded, s.Failed))
	if j.CompletionMode == batch.Indexed {
		line("Completed Indexes", indexes(s.CompletedIndexes.String()))
	}
	describeTemplate(t, j)
	describeEvents(t, events, now)
}

// describeTimes gives the lines about when the job ran, in kubectl's form.
func describeTimes(line func(label, value string), s batch.Status) {
	if s.StartTime.IsZero() {
		return
	}
	line("Start Time", s.StartTime.Format(time.RFC1123Z))
	if !s.CompletionTime.IsZero() {
		line("Completed At", s.CompletionTime.Format(time.RFC1123Z))
		line("Duration", since(s.StartTime, s.CompletionTime))
	}
}

// describeTemplate says what an attempt runs.
func describeTemplate(w io.Writer, j batch.Job) {
	fmt.Fprintf(w, "Pod Template:\n  Containers:\n   %s:\n", cmp.Or(j.ContainerName, "main"))
	command, ok := j.Executor.(batch.Command)
	if !ok {
		fmt.Fprintf(w, "    Executor:\t%T\n", j.Executor)
		return
	}
	fmt.Fprintln(w, "    Command:")
	for _, arg := range command.Args {
		fmt.Fprintf(w, "      %s\n", arg)
	}
}

// describeEvents is the table of events.
func describeEvents(w io.Writer, events []batch.Event, now time.Time) {
	if len(events) == 0 {
		fmt.Fprintln(w, "Events:\t<none>")
		return
	}
	fmt.Fprintln(w, "Events:\n  Type\tReason\tAge\tFrom\tMessage")
	fmt.Fprintln(w, "  ----\t------\t----\t----\t-------")
	for _, e := range events {
		fmt.Fprintf(w, "  %s\t%s\t%s\tjob-controller\t%s\n", e.Type, e.Reason, since(e.At, now), e.Message)
	}
}

// describeMap gives one line for each entry, in order of key.
func describeMap(w io.Writer, label string, m map[string]string, sep string) {
	if len(m) == 0 {
		fmt.Fprintf(w, "%s:\t<none>\n", label)
		return
	}
	head := label + ":"
	for _, key := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(w, "%s\t%s%s%s\n", head, key, sep, m[key])
		head = ""
	}
}

// indexes shortens a long index set: it is cut at the first comma at or after
// position 50.
func indexes(set string) string {
	const limit = 50
	if set == "" {
		return "<none>"
	}
	if len(set) > limit {
		if i := strings.IndexByte(set[limit:], ','); i >= 0 {
			return set[:limit+i] + "..."
		}
	}
	return set
}

// getPods is the table of kubectl get pods.
func getPods(w io.Writer, attempts []batch.AttemptStatus, now time.Time) {
	t := tabwriter.NewWriter(w, 6, 4, 3, ' ', 0)
	defer t.Flush()
	fmt.Fprintln(t, "NAME\tREADY\tSTATUS\tRESTARTS\tAGE")
	for _, a := range attempts {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", a.Name, ready(a), podStatus(a), a.Restarts, since(a.CreatedAt, now))
	}
}

// ready is the column READY: an attempt has one container.
func ready(a batch.AttemptStatus) string {
	if a.Phase == batch.AttemptRunning && a.Ready {
		return "1/1"
	}
	return "0/1"
}

// podStatus is the column STATUS.
func podStatus(a batch.AttemptStatus) string {
	switch {
	case a.Phase == batch.AttemptSucceeded:
		return "Completed"
	case a.Phase == batch.AttemptFailed:
		return cmp.Or(a.Reason, "Error")
	case !a.DeletedAt.IsZero():
		return "Terminating"
	case !a.RestartAt.IsZero():
		return "CrashLoopBackOff"
	}
	return a.Phase
}

// logs prints what one attempt wrote: of several, kubectl takes the oldest, and
// says so.
func logs(ctx context.Context, w io.Writer, c *batch.Controller, job string, attempts []batch.AttemptStatus) error {
	if len(attempts) == 0 {
		return nil
	}
	name := attempts[0].Name
	if n := len(attempts); n > 1 {
		fmt.Fprintf(w, "Found %d pods, using pod/%s\n", n, name)
	}
	for line, err := range c.Logs(ctx, job, name, -1, false) {
		if err != nil {
			return err
		}
		fmt.Fprintln(w, line.Text)
	}
	return nil
}

// intOr is the number, or what to say if there is none.
func intOr(n *int, none string) string {
	if n == nil {
		return none
	}
	return strconv.Itoa(*n)
}
