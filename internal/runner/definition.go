package runner

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/runtocompletion/batch/internal/engine"
)

// A Definition is what a job is to do, and with what functions. It is not changed:
// an update puts another one in its place.
type Definition struct {
	// Spec is for the engine. What depends on the runner is set by it.
	Spec engine.Spec
	// Execute calls the executor. It is nil as long as that is not known: then the
	// job waits.
	Execute func(ctx context.Context, a Attempt) error
	// Judge says what an error that Execute returned means. Stopped is why the
	// attempt's context had been cancelled, or nil. It calls user code, and does not
	// panic.
	Judge func(err, stopped error) Verdict
	// Backoff and RestartBackoff make back-offs; nil means those of the engine.
	Backoff, RestartBackoff func() backoff.BackOff
	// Input is what the job works on, as JSON; nil if there is nothing. Only that of a
	// job's first definition counts.
	Input []byte
	// Keep is called with the Value of each result that counts, under a lock; nil: there
	// are none.
	Keep func(index int, value any)
	// LogLimit, CheckpointLimit and ResultLimit are in bytes.
	LogLimit, CheckpointLimit, ResultLimit int
	// ManagedBy names another controller that has the job; empty if it is this one.
	ManagedBy string
	// After names the jobs that must be complete before this one starts.
	After []string
	// Limits are what each attempt needs, for the key that LimitKey, which is user code,
	// says for its index; nil: for none.
	Limits   []string
	LimitKey func(index int) string
	Priority int
	// Alone is the job's one attempt, if it is of a job somewhere else; the job has one
	// completion then, and no retries. It is nil otherwise.
	Alone *Alone
	// Source is what the definition was made of.
	Source Source
}

// A Source is what a definition was made of.
type Source interface {
	// Encode returns the definition as it is stored, without its input and functions. It
	// calls no user code.
	Encode(generation int64, holdsPending bool) []byte
}

// encode is Encode of the source.
func (d *Definition) encode(generation int64) []byte {
	return d.Source.Encode(generation, d.Spec.HoldsPending)
}

// A Verdict is what the error of an executor came to.
type Verdict struct {
	Result engine.Result
	Text   string
}

func (d *Definition) isDeclared() bool { return d.Execute != nil }

// spec returns the spec of a definition that no job has yet, with what the runner decides.
func (r *Runner) spec(d *Definition) *engine.Spec {
	d.Spec.Namespace = r.namespace
	d.Spec.QueuesStarts = r.slots.isFor(d)
	return &d.Spec
}

// A Progress is how far an attempt says it has come.
type Progress struct {
	Done, Total int64
	Phase       string
}

// A Condition is one of the engine's, with its date.
type Condition struct {
	Type, Status, Reason, Message string
	At                            time.Time
}
