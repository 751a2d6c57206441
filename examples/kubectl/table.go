package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/runtocompletion/batch"
)

// printTable shows jobs that have finished, as kubectl get jobs does.
func printTable(w io.Writer, statuses []batch.Status) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "NAME\tSTATUS\tCOMPLETIONS\tDURATION")
	for _, s := range statuses {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Name, s.State(), completions(s), took(s))
	}
	return t.Flush()
}

func completions(s batch.Status) string {
	switch {
	case s.Completions != nil:
		return fmt.Sprintf("%d/%d", s.Succeeded, *s.Completions)
	case s.Parallelism > 1:
		return fmt.Sprintf("%d/1 of %d", s.Succeeded, s.Parallelism)
	}
	return fmt.Sprintf("%d/1", s.Succeeded)
}

// took is the time from the job's start to its end, be it good or bad.
func took(s batch.Status) string {
	end := s.CompletionTime
	if c, ok := s.Condition(batch.ConditionFailed); ok {
		end = c.LastTransitionTime
	}
	if s.StartTime.IsZero() || end.IsZero() {
		return ""
	}
	return duration.HumanDuration(end.Sub(s.StartTime).Round(time.Millisecond))
}
