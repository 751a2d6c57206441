package cron

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron/internal/corpus"
)

// An agenda has what pods and users are yet to do. One thing of it is done at a
// time, when the controllers have nothing more to do: so it was in the recordings.
type agenda struct {
	mu      sync.Mutex
	errands []*errand // sorted
	added   int
	changed chan struct{} // has an element if there may be something new
}

type errand struct {
	at          time.Time
	rank, added int
	do          func()
}

// At one instant, pods come before the user.
const (
	ofPods = iota
	ofUser
)

func (a *agenda) add(at time.Time, rank int, do func()) *errand {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.added++
	e := &errand{at, rank, a.added, do}
	i, _ := slices.BinarySearchFunc(a.errands, e, func(x, y *errand) int {
		return cmp.Or(x.at.Compare(y.at), cmp.Compare(x.rank, y.rank), cmp.Compare(x.added, y.added))
	})
	a.errands = slices.Insert(a.errands, i, e)
	a.wake()
	return e
}

func (a *agenda) wake() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

func (a *agenda) drop(e *errand) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.errands = slices.DeleteFunc(a.errands, func(other *errand) bool { return other == e })
}

func (a *agenda) next(limit time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.errands) == 0 || a.errands[0].at.After(limit) {
		return limit
	}
	return a.errands[0].at
}

func (a *agenda) take() func() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.errands) == 0 || a.errands[0].at.After(time.Now()) {
		return func() {}
	}
	e := a.errands[0]
	a.errands = a.errands[1:]
	return e.do
}

// A kubelet is an executor that plays the plans of a scenario's pods.
type kubelet struct {
	agenda  *agenda
	plan    func(jobUID string) corpus.Plan
	closing chan struct{} // closed when everything is to stop at once

	mu      sync.Mutex
	down    chan struct{} // closed when the controllers run again; nil while they do
	epoch   int           // how often they were started again
	lastEnd time.Time     // of the run that was told of last
}

type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }
func (e exitError) ExitCode() int { return int(e) }

func (*kubelet) HoldsPending() bool { return true }

// reaction is how late the recorded controllers were, in the ideal recording. It
// decides what comes first where two things fall together.
const reaction = time.Millisecond

// grace is the grace period of the recorded pods.
const grace = 30

func (k *kubelet) Execute(ctx context.Context, a batch.Attempt) error {
	k.pause() // a pod that the controllers could not have created
	uid, _, _ := strings.Cut(a.Token(), "/")
	plan := k.plan(uid)
	code := k.run(ctx, a, plan)
	ended := time.Now()
	k.pause() // its end is not observed
	k.mu.Lock()
	k.lastEnd = ended
	k.mu.Unlock()
	if code == 0 {
		return nil
	}
	return exitError(code)
}

func (k *kubelet) run(ctx context.Context, a batch.Attempt, plan corpus.Plan) int {
	n := a.Number + a.Restarts
	if a.Restarts == 0 {
		if !k.sleep(plan.Start.Duration()+reaction, ctx.Done()) {
			return 137
		}
		a.Started()
	}
	run := plan.Run(n)
	if k.sleep(run.D.Duration(), ctx.Done()) {
		return run.Exit
	}
	switch term := plan.Term; {
	case term == nil:
		return 143
	case term.After > grace:
		k.sleep(grace*time.Second, k.closing)
		return 137
	default:
		k.sleep(term.After.Duration(), k.closing)
		return term.Exit
	}
}

// sleep reports whether the time has passed without interruption.
func (k *kubelet) sleep(d time.Duration, interrupt <-chan struct{}) bool {
	over := make(chan struct{})
	e := k.agenda.add(time.Now().Add(d), ofPods, func() { close(over) })
	select {
	case <-over:
		return true
	case <-interrupt:
		k.agenda.drop(e)
		return false
	}
}

// pause waits while the controllers are down.
func (k *kubelet) pause() {
	k.mu.Lock()
	down := k.down
	k.mu.Unlock()
	if down == nil {
		return
	}
	select {
	case <-down:
	case <-k.closing:
	}
}

// stop holds back what pods have to tell.
func (k *kubelet) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down == nil {
		k.down = make(chan struct{})
	}
}

func (k *kubelet) start() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down != nil {
		close(k.down)
		k.down = nil
		k.epoch++
	}
}

// A recordedBackoff makes the delays of the recorded Job controller. It counts them
// from the second of a failure, and anew after a restart: the library does neither.
type recordedBackoff struct {
	k               *kubelet
	failures, epoch int
}

func (k *kubelet) backoff() backoff.BackOff { return &recordedBackoff{k: k} }

func (b *recordedBackoff) Reset() { b.failures = 0 }

func (b *recordedBackoff) NextBackOff() time.Duration {
	b.k.mu.Lock()
	defer b.k.mu.Unlock()
	if b.epoch != b.k.epoch {
		b.failures, b.epoch = 0, b.k.epoch
	}
	delay := min(10*time.Second<<min(b.failures, 10), 10*time.Minute)
	b.failures++
	return max(0, time.Until(b.k.lastEnd.Truncate(time.Second).Add(delay)))
}
