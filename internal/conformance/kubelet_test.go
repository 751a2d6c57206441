package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/runtocompletion/batch"
)

// A kubelet is an executor that plays the plans of a scenario's pods, and the
// disruptions that befall them.
type kubelet struct {
	t        *testing.T
	scenario *Scenario
	ctl      *batch.Controller
	agenda   *agenda
	ties     tieOrder
	closing  chan struct{} // closed when everything is to stop at once

	mu        sync.Mutex
	runs      map[string]*podRun // by UID
	changedAt time.Time          // when anything last happened to a running pod
}

// A podRun is what the kubelet knows of one attempt.
type podRun struct {
	plan      Plan
	running   bool                // Execute has not returned
	exit      int                 // of the last run, once that has ended
	restarts  int                 // how often it has been restarted
	last      batch.AttemptStatus // when the last run ended, or just before the disruption
	disrupted DisruptionKind      // empty if it was not
}

var _ batch.PendingExecutor = (*kubelet)(nil)

// An exitError is the error of a container that exits with this code.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }
func (e exitError) ExitCode() int { return int(e) }

func (*kubelet) HoldsPending() bool { return true }

// Execute runs the container of one pod once.
func (k *kubelet) Execute(ctx context.Context, a batch.Attempt) error {
	plan, late := k.begin(a)
	code := k.run(ctx, a, plan, late)
	k.end(a, code)
	if code == 0 {
		return nil
	}
	return exitError(code)
}

// run plays one run of a pod's container and returns its exit code.
func (k *kubelet) run(ctx context.Context, a batch.Attempt, plan Plan, late Seconds) int {
	if a.Restarts == 0 {
		if start := plan.Start + late; start > 0 && !k.sleep(a, start, ctx.Done()) {
			return ExitKill
		}
		a.Started()
		k.planDisruption(a, plan.Disrupt)
	}
	run := plan.Run(a.Restarts)
	if k.sleep(a, run.D, ctx.Done()) {
		return run.Exit
	}
	stop := plan.Stop()
	k.sleep(a, stop.After, k.closing)
	return stop.Exit
}

// plan finds the plan of an attempt that begins. The number of an attempt does not
// do for that: it may skip some if the job has been cut and grown again.
func (k *kubelet) plan(a batch.Attempt) Plan {
	if a.Index < 0 {
		return k.scenario.PlanFor(-1, 0, a.Number)
	}
	earlier := 0
	attempts, _ := k.ctl.Attempts(context.Background(), a.Job)
	for _, other := range attempts {
		if other.Index == a.Index && other.Number < a.Number {
			earlier++
		}
	}
	return k.scenario.PlanFor(a.Index, earlier, 0)
}

// order is the place of a pod among those that do something at the same time.
func order(a batch.Attempt) int {
	if a.Index >= 0 {
		return a.Index
	}
	return a.Number
}

// sleep reports whether the time has passed without interruption.
func (k *kubelet) sleep(a batch.Attempt, d Seconds, interrupt <-chan struct{}) bool {
	over := make(chan struct{})
	e := k.agenda.add(time.Now().Add(d.Duration()), k.ties.ofRun(order(a)), func() { close(over) })
	select {
	case <-over:
		return true
	case <-interrupt:
		k.agenda.drop(e)
		return false
	}
}

// begin notes that a run begins, and returns the pod's plan and how late the run
// would have been. The plan is found when the pod begins: later its job may be
// gone, and with it what was before.
func (k *kubelet) begin(a batch.Attempt) (plan Plan, late Seconds) {
	if _, ok := k.of(a.UID()); !ok {
		plan = k.plan(a)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	run := k.runs[a.UID()]
	if run == nil {
		run = &podRun{plan: plan}
		k.runs[a.UID()] = run
	}
	run.running, run.restarts = true, a.Restarts
	if k.changedAt.Equal(time.Now()) {
		late = k.ties.lateness()
	}
	return run.plan, late
}

// end notes how a run has ended, and what the controller says of it just
// before it learns of that: of a job that is deleted there may be nothing more
// to see.
func (k *kubelet) end(a batch.Attempt, code int) {
	last, _ := k.attempt(a.Job, a.UID())
	k.mu.Lock()
	defer k.mu.Unlock()
	run := k.runs[a.UID()]
	run.running, run.exit, run.last = false, code, last
	k.changedAt = time.Now()
	k.agenda.changed()
}

func (k *kubelet) attempt(job, uid string) (batch.AttemptStatus, bool) {
	attempts, _ := k.ctl.Attempts(context.Background(), job)
	i := slices.IndexFunc(attempts, func(s batch.AttemptStatus) bool { return s.UID == uid })
	if i < 0 {
		return batch.AttemptStatus{}, false
	}
	return attempts[i], true
}

// of returns what is known of the runs of an attempt.
func (k *kubelet) of(uid string) (podRun, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if run := k.runs[uid]; run != nil {
		return *run, true
	}
	return podRun{}, false
}

var disruptionReasons = map[DisruptionKind]string{
	Evict:   "EvictionByEvictionAPI",
	Kubelet: "TerminationByKubelet",
	PodGC:   "DeletionByPodGC",
}

func (k *kubelet) planDisruption(a batch.Attempt, d *Disruption) {
	if d == nil {
		return
	}
	job, uid := a.Job, a.UID()
	k.agenda.add(time.Now().Add(d.At.Duration()), k.ties.ofDisruption(order(a)), func() { k.disrupt(job, uid, d.Kind) })
}

// disrupt disrupts a pod, unless it has ended or is stopping.
func (k *kubelet) disrupt(job, uid string, kind DisruptionKind) {
	status, ok := k.attempt(job, uid)
	if !ok || !status.DeletedAt.IsZero() {
		return
	}
	k.mu.Lock()
	k.changedAt = time.Now()
	k.mu.Unlock()
	switch err := k.ctl.Disrupt(k.t.Context(), job, status.Name, disruptionReasons[kind]); {
	case err == nil:
		k.mu.Lock()
		defer k.mu.Unlock()
		k.runs[uid].disrupted, k.runs[uid].last = kind, status
	case !errors.Is(err, batch.ErrAttemptEnded):
		k.t.Errorf("disrupt %s: %v", PodName(status.Ordinal), err)
	}
}
