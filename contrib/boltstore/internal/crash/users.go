//go:build unix

package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/runtocompletion/batch"
)

// What a user asks for, in lines of the ledger.
const (
	suspend = "suspend"
	resume  = "resume"
	scale   = "scale" // to a parallelism of N
	evict   = "evict"
	remove  = "delete"
)

// A user changes one job as long as it is there.
type user struct {
	*child
	task *task
	rng  *rand.Rand
}

// lastMeddling is the process of a round from which on users only resume what is
// suspended, so that all jobs end.
const lastMeddling = 12

// meddle asks for this and that. It leaves no job suspended.
func (u *user) meddle(ctx context.Context) {
	name := u.task.job.Name
	for range 3 {
		if !u.rest(ctx) {
			return
		}
		status, err := u.controller.Get(name)
		switch {
		case err != nil:
			return
		case status.Suspend:
			u.ask(ctx, resume, 0, func() error { return u.controller.Resume(ctx, name) })
		case u.config.Process >= lastMeddling:
		case u.task.deleted && u.rng.IntN(4) == 0:
			u.delete(ctx, status.UID)
			return
		case u.task.users:
			u.meddleOnce(ctx)
		}
	}
	if u.rest(ctx) {
		u.ask(ctx, resume, 0, func() error { return u.controller.Resume(ctx, name) })
	}
}

func (u *user) rest(ctx context.Context) bool {
	select {
	case <-time.After(time.Duration(u.rng.IntN(40)) * time.Millisecond):
		return true
	case <-ctx.Done():
		return false
	}
}

func (u *user) meddleOnce(ctx context.Context) {
	name := u.task.job.Name
	switch n := 1 + u.rng.IntN(8); u.rng.IntN(4) {
	case 0, 1:
		u.ask(ctx, suspend, 0, func() error { return u.controller.Suspend(ctx, name) })
	case 2:
		u.ask(ctx, scale, n, func() error {
			return u.controller.Update(ctx, name, func(j *batch.Job) { j.Parallelism = new(n) })
		})
	case 3:
		u.evictOne(ctx)
	}
}

func (u *user) evictOne(ctx context.Context) {
	name := u.task.job.Name
	attempts, err := u.controller.Attempts(ctx, name)
	if err != nil {
		return
	}
	for _, a := range attempts {
		if a.Phase == batch.AttemptRunning {
			u.ask(ctx, evict, 0, func() error {
				return u.controller.Disrupt(ctx, name, a.UID, "EvictionByEvictionAPI")
			})
			return
		}
	}
}

func (u *user) delete(ctx context.Context, uid string) {
	how := []string{batch.DeleteBackground, batch.DeleteForeground}[u.rng.IntN(2)]
	if u.ask(ctx, remove, 0, func() error {
		return u.controller.Delete(ctx, u.task.job.Name,
			how)
	}) && how == batch.DeleteBackground {
		u.ledger.write(line{Kind: gone, Job: u.task.job.Name, UID: uid})
	}
}

// ask writes down what a user asks for, and whether it was done.
func (u *user) ask(ctx context.Context, what string, n int, call func() error) bool {
	entry := line{Kind: called, Job: u.task.job.Name, Text: what, N: n}
	u.ledger.write(entry)
	err := call()
	if err == nil {
		entry.Kind = agreed
		u.ledger.write(entry)
		return true
	}
	if !u.isRefusal(ctx, err) {
		u.problem(fmt.Errorf("%s %s: %w", what, u.task.job.Name, err))
	}
	return false
}

// isRefusal reports whether an error is one that has to be expected: the job is
// gone, or all is being shut down.
func (u *user) isRefusal(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, batch.ErrNotFound) || errors.Is(
		err, batch.ErrAttemptEnded,
	) || errors.Is(err, batch.ErrShutdown)
}
