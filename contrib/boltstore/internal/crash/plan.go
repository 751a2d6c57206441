//go:build unix

package crash

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/runtocompletion/batch"
)

// A task is a job of a plan, with what its executions and users do.
type task struct {
	job batch.Job // without its executor
	habits
}

// habits are how executions and users behave.
type habits struct {
	pace    time.Duration // how long a step takes at most
	steps   int           // of an execution at most, each with a side effect
	failing float64       // how many executions fail
	fatal   float64       // how many do so with exitFatal
	saves   bool          // each step saves a checkpoint
	items   int           // of an iteration, instead of steps
	users   bool          // suspend, resume, scale and evict
	deleted bool          // by a user, at some time
}

// exitFatal is the exit code that a failure policy ends a job for.
const exitFatal = 42

// hasInterference reports whether something may stop an execution while its
// process goes on.
func (t *task) hasInterference() bool {
	return t.users || t.deleted || t.job.ActiveDeadline != nil || t.job.AttemptTimeout != nil ||
		t.job.SuccessPolicy != nil ||
		t.job.CompletionMode != batch.Indexed && t.job.Completions == nil
}

// A plan is what is to be done in a round. The seed decides on everything.
type plan struct {
	tasks     map[string]*task
	names     []string
	maxActive int
}

func newPlan(seed uint64) *plan {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := &plan{tasks: make(map[string]*task)}
	if rng.IntN(3) == 0 {
		p.maxActive = 1 + rng.IntN(8)
	}
	for _, s := range shapes {
		t := s.build(rng)
		t.job.Name = fmt.Sprintf("%s-%d", s.name, rng.IntN(1000))
		addExtras(t, rng)
		p.tasks[t.job.Name] = t
		p.names = append(p.names, t.job.Name)
	}
	rng.Shuffle(len(p.names), func(i, j int) { p.names[i], p.names[j] = p.names[j], p.names[i] })
	return p
}

// addExtras adds what any job may have.
func addExtras(t *task, rng *rand.Rand) {
	wait := time.Duration(rng.IntN(30)) * time.Millisecond
	if rng.IntN(4) == 0 {
		wait = time.Duration(100+rng.IntN(200)) * time.Millisecond
	}
	t.job.Backoff, t.job.RestartBackoff = batch.ConstantBackoff(wait), batch.ConstantBackoff(wait)
	if rng.IntN(4) == 0 {
		t.job.TTLAfterFinished = new(time.Duration(rng.IntN(200)) * time.Millisecond)
	}
	if rng.IntN(5) == 0 {
		t.job.History = new(rng.IntN(20))
	}
	t.users = rng.IntN(4) == 0
	t.deleted = rng.IntN(12) == 0
}

// A shape is a kind of job.
type shape struct {
	name  string
	build func(*rand.Rand) *task
}

var shapes = []shape{
	{"indexed", func(rng *rand.Rand) *task { return indexed(rng, 40) }},
	{"limited", func(rng *rand.Rand) *task {
		t := indexed(rng, 25)
		t.failing = 0.4
		t.job.BackoffLimit, t.job.BackoffLimitPerIndex = nil, new(rng.IntN(4))
		if rng.IntN(2) == 0 {
			t.job.MaxFailedIndexes = new(rng.IntN(*t.job.Completions))
		}
		return t
	}},
	{"plain", func(rng *rand.Rand) *task { return plain(rng, 1+rng.IntN(40), 1+rng.IntN(8)) }},
	{"queue", func(rng *rand.Rand) *task {
		t := plain(rng, 0, 1+rng.IntN(5))
		t.job.Completions = nil
		t.steps += 3
		return t
	}},
	{"relay", func(rng *rand.Rand) *task {
		t := plain(rng, 1, 1)
		t.job.BackoffLimit, t.failing, t.saves, t.steps = new(1000), 0.7, true, 8
		return t
	}},
	{"retry", func(rng *rand.Rand) *task {
		t := plain(rng, 1+rng.IntN(3), 1)
		t.failing = 0.6
		return t
	}},
	{"restart", func(rng *rand.Rand) *task {
		t := plain(rng, 1+rng.IntN(10), 1+rng.IntN(4))
		if rng.IntN(2) == 0 {
			t.job.CompletionMode = batch.Indexed
		}
		t.job.RestartPolicy, t.failing, t.saves = batch.RestartOnFailure, 0.5, true
		t.job.BackoffLimit = new(5 + rng.IntN(100))
		return t
	}},
	{"policy", func(rng *rand.Rand) *task {
		t := indexed(rng, 30)
		t.fatal = 0.01
		t.job.FailurePolicy = []batch.FailureRule{
			{Action: batch.ActionFailJob, OnExitCodes: &batch.ExitCodes{In: []int{exitFatal}}},
			{Action: batch.ActionIgnore, OnConditions: []batch.Condition{{Type: batch.ConditionDisruptionTarget}}},
		}
		return t
	}},
	{"success", func(rng *rand.Rand) *task {
		t := indexed(rng, 20)
		t.job.SuccessPolicy = []batch.SuccessRule{{SucceededCount: new(1 + rng.IntN(*t.job.Completions))}}
		return t
	}},
	{"steady", func(rng *rand.Rand) *task {
		n := 100 + rng.IntN(400)
		return &task{job: batch.Job{
			CompletionMode: batch.Indexed, Completions: new(n), Parallelism: new(1 + rng.IntN(4)), BackoffLimit: new(n),
		}}
	}},
	{"walk", func(rng *rand.Rand) *task {
		t := indexed(rng, 2)
		t.items, t.failing, t.job.BackoffLimit = 50+rng.IntN(300), 0.1, new(1000)
		return t
	}},
	{"deadline", func(rng *rand.Rand) *task {
		t := indexed(rng, 30)
		t.pace, t.job.BackoffLimit = 100*time.Millisecond, new(1000)
		t.job.ActiveDeadline = new(time.Duration(200+rng.IntN(1500)) * time.Millisecond)
		if rng.IntN(2) == 0 {
			t.job.AttemptTimeout = new(50 * time.Millisecond)
		}
		return t
	}},
}

// plain is a job without indexes.
func plain(rng *rand.Rand, completions, parallelism int) *task {
	limits := []int{0, 3, 6, 30, 1000}
	return &task{
		job: batch.Job{
			Completions: new(completions), Parallelism: new(parallelism), BackoffLimit: new(limits[rng.IntN(len(limits))]),
		},
		habits: habits{pace: time.Duration(rng.IntN(20)) * time.Millisecond, steps: 1 + rng.IntN(3),
			failing: 0.3 * rng.Float64(),
			saves:   rng.IntN(2) == 0},
	}
}

func indexed(rng *rand.Rand, most int) *task {
	t := plain(rng, 1+rng.IntN(most), 1+rng.IntN(8))
	t.job.CompletionMode = batch.Indexed
	return t
}
