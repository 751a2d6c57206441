package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/effort"
)

// fakePerl puts a shell script named perl into a folder.
func fakePerl(t *testing.T, dir, script string) {
	t.Helper()
	_, err := os.Stat("/bin/sh")
	effort.Need(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "perl"), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}

func TestCompletions(t *testing.T) {
	for want, s := range map[string]batch.Status{
		"2/6":      {Succeeded: 2, Parallelism: 3, Completions: new(6)},
		"0/1 of 3": {Parallelism: 3},
		"1/1":      {Succeeded: 1, Parallelism: 1},
	} {
		require.Equal(t, want, completions(s))
	}
}

func TestDurationOfAFailedJobGrows(t *testing.T) {
	start := time.Now()
	s := batch.Status{StartTime: start}
	require.Equal(t, "", duration(batch.Status{}, start))
	require.Equal(t, "90s", duration(s, start.Add(90*time.Second)))
	s.CompletionTime = start.Add(10 * time.Second)
	require.Equal(t, "10s", duration(s, start.Add(90*time.Second)))
}

func TestPodStatus(t *testing.T) {
	now := time.Now()
	for want, a := range map[string]batch.AttemptStatus{
		"Pending":          {Phase: batch.AttemptPending},
		"Running":          {Phase: batch.AttemptRunning},
		"CrashLoopBackOff": {Phase: batch.AttemptRunning, RestartAt: now},
		"Terminating":      {Phase: batch.AttemptRunning, DeletedAt: now},
		"Completed":        {Phase: batch.AttemptSucceeded},
		"Error":            {Phase: batch.AttemptFailed},
		"DeadlineExceeded": {Phase: batch.AttemptFailed, Reason: batch.ReasonDeadlineExceeded},
	} {
		require.Equal(t, want, podStatus(a))
	}
}

func TestLongIndexSetIsCut(t *testing.T) {
	require.Equal(t, "<none>", indexes(""))
	require.Equal(t, "0-99999999", indexes("0-99999999"))
	long := strings.Repeat("10,", 30) + "99" // its first comma at or after 50 is at 50
	require.Equal(t, long[:50]+"...", indexes(long))
	require.Equal(t, strings.Repeat("1", 60), indexes(strings.Repeat("1", 60)))
}

func TestDescribeShowsWhatIsSet(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	job := batch.Job{
		Labels:           map[string]string{"tier": "batch", "app": "pi"},
		CompletionMode:   batch.Indexed,
		BackoffLimit:     new(4),
		ActiveDeadline:   new(time.Minute),
		TTLAfterFinished: new(time.Hour),
		Executor:         batch.Command{Args: []string{"perl", "-v"}},
	}
	status := batch.Status{Name: "pi", Parallelism: 2, Active: 2, Ready: 1, StartTime: start}
	var out bytes.Buffer
	describeJob(&out, job, status, nil, start)
	require.Equal(t, `Name:                        pi
Namespace:                   default
Labels:                      app=pi
                             tier=batch
Annotations:                 <none>
Parallelism:                 2
Completions:                 <unset>
Completion Mode:             Indexed
Suspend:                     false
Backoff Limit:               4
TTL Seconds After Finished:  3600
Start Time:                  Fri, 02 Jan 2026 03:04:05 +0000
Active Deadline Seconds:     60s
Pods Statuses:               2 Active (1 Ready) / 0 Succeeded / 0 Failed
Completed Indexes:           <none>
Pod Template:
  Containers:
   main:
    Command:
      perl
      -v
Events:  <none>
`, out.String())
}
