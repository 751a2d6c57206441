package batch_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A story is a script of what happens to jobs, in virtual time. Its lines are
//
//	submit JOB WORDS...     declares a job; see words
//	at TIME                 waits until so long after the beginning
//	suspend, resume JOB
//	update JOB WORDS...     changes what the words say
//	delete JOB PROPAGATION
//	end                     the process is killed, and in a second telling shut down
//	boot                    the next process opens the store, and has no functions
//	declare JOB             gives a job its functions again
//	want JOB FACTS...       see facts; "want JOB gone" if there is no such job
//
// What follows # is for the reader.
type story struct {
	*testing.T
	store batch.Store
	c     *batch.Controller
	end   func(t *testing.T, c *batch.Controller, store batch.Store) *batchtest.MemoryStore
	jobs  map[string]batch.Job

	mu    sync.Mutex          // guards the field below
	begun map[string][]string // when executors began, by job
}

func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/stories/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			eachEnd(t, func(t *testing.T, end func(*testing.T, *batch.Controller, batch.Store) *batchtest.MemoryStore) {
				s := &story{T: t, store: new(batchtest.MemoryStore), end: end, jobs: map[string]batch.Job{},
					begun: map[string][]string{}}
				s.c = newController(t, batch.Options{Store: s.store})
				for i, line := range strings.Split(string(text), "\n") {
					line, _, _ = strings.Cut(line, "#")
					if words := strings.Fields(line); len(words) > 0 {
						s.tell(fmt.Sprintf("%s:%d: %s", file, i+1, line), words[0], words[1:])
					}
				}
			})
		})
	}
}

func (s *story) tell(where, verb string, words []string) {
	ctx := s.Context()
	switch verb {
	case "submit":
		s.jobs[words[0]] = s.job(where, words[0], words[1:])
		apply(s.T, s.c, s.jobs[words[0]])
		settle()
	case "declare":
		apply(s.T, s.c, s.jobs[words[0]])
		settle()
	case "suspend":
		require.NoError(s, s.c.Suspend(ctx, words[0]), where)
	case "resume":
		require.NoError(s, s.c.Resume(ctx, words[0]), where)
	case "update":
		require.NoError(s, s.c.Update(ctx, words[0], func(job *batch.Job) { s.set(where, job, words[1:]) }), where)
		settle()
	case "delete":
		require.NoError(s, s.c.Delete(ctx, words[0], words[1]), where)
	case "at":
		time.Sleep(time.Until(epoch.Add(s.duration(where, words[0]))))
		settle()
	case "end":
		s.store = s.end(s.T, s.c, s.store)
	case "boot":
		s.c = newController(s.T, batch.Options{Store: s.store})
	case "want":
		require.Equal(s, words[1:], s.facts(words[0], words[1:]), where)
	default:
		require.Fail(s, "unknown command", where)
	}
}

func (s *story) duration(where, text string) time.Duration {
	d, err := time.ParseDuration(text)
	require.NoError(s, err, where)
	return d
}

// job is made of words such as completions=3, or onfailure. Of runs=5s!3,hang,1s the
// first execution fails after five seconds with exit code 3, the second runs until it is
// stopped, and the third, and all after it, succeed after a second.
func (s *story) job(where, name string, words []string) batch.Job {
	job := batch.Job{Name: name, Completions: new(1)}
	s.set(where, &job, words)
	return job
}

func (s *story) set(where string, job *batch.Job, words []string) {
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		number := func() *int {
			n, err := strconv.Atoi(value)
			require.NoError(s, err, where)
			return &n
		}
		duration := func() *time.Duration { return new(s.duration(where, value)) }
		switch key {
		case "completions":
			job.Completions = number()
		case "parallelism":
			job.Parallelism = number()
		case "limit":
			job.BackoffLimit = number()
		case "indexed":
			job.CompletionMode = batch.Indexed
		case "limit-per-index":
			job.BackoffLimitPerIndex = number()
		case "onfailure":
			job.RestartPolicy = batch.RestartOnFailure
		case "backoff":
			job.Backoff = batch.ConstantBackoff(*duration())
		case "restart-backoff":
			job.RestartBackoff = batch.ConstantBackoff(*duration())
		case "deadline":
			job.ActiveDeadline = duration()
		case "timeout":
			job.AttemptTimeout = duration()
		case "ttl":
			job.TTLAfterFinished = duration()
		case "suspended":
			job.Suspend = true
		case "runs":
			job.Executor = s.executor(where, job.Name, strings.Split(value, ","))
		default:
			require.Fail(s, "unknown word", where)
		}
	}
}

func (s *story) executor(where, name string, plan []string) batch.Executor {
	return fn(func(ctx context.Context) error {
		n := s.begin(name)
		what, code, fails := strings.Cut(plan[min(n, len(plan)-1)], "!")
		if what == "hang" {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		if err := lasts(ctx, s.duration(where, what)); err != nil || !fails {
			return err
		}
		status, err := strconv.Atoi(code)
		require.NoError(s, err, where)
		return exit(status)
	})
}

// begin notes that an executor begins, and returns how often it had.
func (s *story) begin(job string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun[job] = append(s.begun[job], since(time.Now()))
	return len(s.begun[job]) - 1
}

// since is a time as stories write it.
func since(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Sub(epoch).Round(time.Second).String()
}

// events are the reasons of a job's events.
func (s *story) events(name string) (reasons []string) {
	list, err := s.c.Events(s.Context(), name)
	require.NoError(s, err)
	for _, e := range list {
		reasons = append(reasons, e.Reason)
	}
	return reasons
}

// facts are those of a job that are wanted: its state, or KEY=VALUE.
func (s *story) facts(name string, wanted []string) []string {
	status, err := s.c.Get(name)
	if err != nil {
		require.ErrorIs(s, err, batch.ErrNotFound)
		return []string{"gone"}
	}
	attempts := attemptsOf(s.T, s.c, name)
	last, _ := status.Condition(status.State())
	s.mu.Lock()
	defer s.mu.Unlock()
	known := map[string]string{
		"succeeded":   strconv.Itoa(status.Succeeded),
		"failed":      strconv.Itoa(status.Failed),
		"active":      strconv.Itoa(status.Active),
		"terminating": strconv.Itoa(status.Terminating),
		"attempts":    strconv.Itoa(len(attempts)),
		"reason":      last.Reason,
		"since":       since(last.LastTransitionTime),
		"started":     since(status.StartTime),
		"retry":       since(status.NextRetry),
		"runs":        strings.Join(s.begun[name], ","),
		"executions":  strconv.Itoa(len(s.begun[name])),
		"indexes":     status.CompletedIndexes.String(),
		"completed":   since(status.CompletionTime),
		"failure":     strconv.FormatBool(status.LastFailure != nil),
		"events":      strings.Join(s.events(name), ","),
	}
	if len(attempts) > 0 {
		known["restarts"] = strconv.Itoa(attempts[0].Restarts)
		known["first-ended"] = since(attempts[0].FinishedAt)
		known["first-reason"] = attempts[0].Reason
	}
	facts := []string{status.State()}
	for _, fact := range wanted[1:] {
		key, _, _ := strings.Cut(fact, "=")
		value, ok := known[key]
		require.True(s, ok, "no fact %q; there are %q", key, slices.Sorted(maps.Keys(known)))
		facts = append(facts, key+"="+value)
	}
	return facts
}
