package runner

import (
	"context"
	"io"

	"github.com/runtocompletion/batch/internal/logtail"
)

// An Alone is an attempt that is executed without the job that it belongs to: that is
// somewhere else, and so is what outlasts the attempt.
type Alone struct {
	Name, UID, Token string
	Index, Number    int
	Stdout, Stderr   io.Writer // get everything that the attempt prints; nil: nowhere
	Load             func(name string) []byte
	Save             func(ctx context.Context, name string, data []byte) error
	Progress         func(Progress)

	result *Result // guarded by Job.mu of the attempt's job
}

// Result returns what the attempt has resulted in, if it has said so, of the job that
// was made for it.
func (al *Alone) Result(j *Job) []byte {
	j.lock()
	defer j.unlock()
	if al.result == nil {
		return nil
	}
	return al.result.Data
}

// alone is what the attempt is, if it is executed without its job.
func (a Attempt) alone() *Alone {
	if a.run == nil {
		return nil
	}
	return a.run.job.alone()
}

func (j *Job) alone() *Alone {
	if def := j.def.Load(); def != nil {
		return def.Alone
	}
	return nil // the job rests
}

// Beside is where the attempt prints besides its log; nil if nowhere.
func (a Attempt) Beside(stream logtail.Stream) io.Writer {
	alone := a.alone()
	switch {
	case alone == nil:
		return nil
	case stream == logtail.Stderr:
		return alone.Stderr
	}
	return alone.Stdout
}

func (al *Alone) saveCheckpoint(ctx context.Context, a Attempt, name string, data []byte) error {
	if !a.with(func(x *run) { x.giveSignLocked() }) {
		return ErrAttemptEnded
	}
	if limit := a.Definition().CheckpointLimit; len(data) > limit {
		return tooLarge("checkpoint", len(data), limit)
	}
	return al.Save(ctx, name, data)
}
