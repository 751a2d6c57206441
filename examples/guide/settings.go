package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/runtocompletion/batch"
)

// Settings are what the controls of a picture say.
type settings struct {
	Picture     string  `json:"picture"` // life, lanes or restarts
	Completions int     `json:"completions"`
	Parallelism int     `json:"parallelism"`
	Failures    int     `json:"failures"` // how often index 2 fails, or each job does under restarts
	Policy      string  `json:"policy"`   // Never, OnFailure, or both
	Limit       int     `json:"limit"`    // the back-off limit
	Speed       float64 `json:"speed"`
}

// check says all that is wrong with the settings.
func (s *settings) check() error {
	var list []error
	within := func(name string, value, least, most int) {
		if value < least || value > most {
			list = append(list, fmt.Errorf("%s %d: must be from %d to %d", name, value, least, most))
		}
	}
	within("completions", s.Completions, 1, 60)
	within("parallelism", s.Parallelism, 1, 20)
	within("failures", s.Failures, 0, 10)
	within("limit", s.Limit, 0, 10)
	if !(s.Speed >= 0.1 && s.Speed <= 10) {
		list = append(list, fmt.Errorf("speed %v: must be from 0.1 to 10", s.Speed))
	}
	switch s.Policy {
	case "Never", "OnFailure", "both":
	default:
		list = append(list, fmt.Errorf("policy %q: must be Never, OnFailure or both", s.Policy))
	}
	switch s.Picture {
	case "life", "lanes", "restarts":
	default:
		list = append(list, fmt.Errorf("picture %q: must be life, lanes or restarts", s.Picture))
	}
	return errors.Join(list...)
}

// lasts is a duration at the chosen speed.
func (s *settings) lasts(d time.Duration) time.Duration {
	return time.Duration(math.Round(float64(d) / s.Speed))
}

// jobs are those of the picture, named for a run.
func (s *settings) jobs(run int) []batch.Job {
	switch s.Picture {
	case "life":
		return []batch.Job{{
			Name: fmt.Sprint("hello-", run), Completions: new(s.Completions), Parallelism: new(s.Parallelism),
			TTLAfterFinished: new(10 * time.Minute), Executor: s.executor(0, 500*time.Millisecond),
		}}
	case "lanes":
		return []batch.Job{{
			Name: fmt.Sprint("lanes-", run), CompletionMode: batch.Indexed, Completions: new(s.Completions),
			Parallelism: new(s.Parallelism), BackoffLimit: new(s.Limit),
			Backoff:  batch.ExponentialBackoff(s.lasts(300*time.Millisecond), time.Minute, 0),
			Executor: s.executor(s.Failures, 0),
		}}
	}
	var jobs []batch.Job
	for _, policy := range []string{batch.RestartNever, batch.RestartOnFailure} {
		if s.Policy != "both" && s.Policy != string(policy) {
			continue
		}
		delay := s.lasts(400 * time.Millisecond) // for Kubernetes' 10s
		jobs = append(jobs, batch.Job{
			Name: fmt.Sprint(prefixOf[policy], run), RestartPolicy: policy, BackoffLimit: new(s.Limit),
			Backoff:        batch.ExponentialBackoff(delay, time.Minute, 0),
			RestartBackoff: batch.BackoffFunc(func() backoff.BackOff { return &restartDelays{initial: delay} }),
			Executor:       s.executor(s.Failures, 300*time.Millisecond),
		})
	}
	return jobs
}

// prefixOf are the names of the jobs of the picture restarts, without the run.
var prefixOf = map[string]string{batch.RestartNever: "never-", batch.RestartOnFailure: "on-failure-"}

// executor works for a while, and says so in the attempt's log: pictures show from
// it when an attempt ran, as its status knows only its last restart. The first so
// many runs fail, those of index 2 if there are indexes.
func (s *settings) executor(failures int, d time.Duration) batch.Executor {
	return batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		work, number := d, a.Number+a.Restarts
		if a.Index >= 0 {
			work = workOf[a.Index%len(workOf)]
		}
		fmt.Fprintf(a.Stdout(), "hello from %s, run %d\n", a.Name(), number+1)
		if err := sleep(ctx, s.lasts(work)); err != nil {
			fmt.Fprintln(a.Stdout(), "stopped:", err)
			return err
		}
		if number < failures && (a.Index < 0 || a.Index == 2) {
			fmt.Fprintln(a.Stderr(), "fails: no such backup")
			return errors.New("no such backup")
		}
		fmt.Fprintln(a.Stdout(), "done")
		return nil
	})
}
