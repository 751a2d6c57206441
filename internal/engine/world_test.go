package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A world is what surrounds a job: it runs executors, as the controller does,
// and shows every step to a checker.
type world struct {
	job     *Job
	now     Time
	checker *checker

	executing map[int64]*Attempt // by Seq; also those of lost attempts
	line      map[int64]*Attempt // attempts that wait for Started, if starts are queued
	signs     map[int64]Time     // of life, by Seq
	asked     []Action           // NeedDelay and NeedRestartDelay, unanswered
	askedOf   []int64
	notify    bool // every attempt wants a Close
	renews    bool // Renew is tried for successes

	events []Event  // all of them
	trace  []string // every event and action, for comparisons
	did    []string // the actions since the last look
	err    error    // the first fault
}

// epoch is the time at which jobs are created in tests.
const epoch = Time(1_000_000_000_000_000_000)

func newWorld(spec Spec, exact bool) *world {
	w := &world{
		job:       New(Identity{Job: "job", UID: [16]byte{1, 2, 3, 8: 4}}, &spec),
		now:       epoch,
		executing: make(map[int64]*Attempt),
		line:      make(map[int64]*Attempt),
		signs:     make(map[int64]Time),
		notify:    exact,
	}
	w.checker = newChecker(w.job, exact)
	return w
}

var kindNames = [...]string{
	Created: "created", Started: "started", Ended: "ended", ReadyChanged: "ready", ConditionSet: "condition",
	AttemptDeleted: "delete", Disrupted: "disrupted", RestartDelayKnown: "restartdelay", DelayKnown: "delay",
	Updated: "updated", Deleted: "deleted", Tick: "tick", Halted: "halted", Interrupted: "interrupted",
	Paused: "paused", Recovered: "recovered", Cancelled: "cancelled", Rerun: "rerun", SignKnown: "sign",
	DependenciesMet: "met", DependencyFailed: "doomed",
}

var causeNames = [...]string{
	CauseDeleted: "deleted", CauseFinished: "finished", CauseSuspended: "suspended", CauseScaledDown: "scaled-down",
	CauseDisrupted: "disrupted", CauseTimeout: "timeout", CauseShutdown: "shutdown", CauseCancelled: "cancelled",
	CauseStalled: "stalled",
}

// step gives the job an event at the present time and does what it wants.
func (w *world) step(ev Event) {
	ev.At = w.now
	w.events = append(w.events, ev)
	text := fmt.Sprintf("%v %s", w.since(w.now), kindNames[ev.Kind])
	if ev.Attempt != nil {
		text += fmt.Sprintf(" %d %+v", ev.Attempt.Seq, ev.Result)
	}
	w.trace = append(w.trace, text)
	w.finish(ev, slices.Clone(w.job.Step(ev)))
}

// finish does what the job wants, and has the checker look at it.
func (w *world) finish(ev Event, actions []Action) {
	for _, act := range actions {
		w.do(act)
	}
	if err := w.checker.after(ev, actions); err != nil && w.err == nil {
		w.err = fmt.Errorf("after %s: %w", w.trace[len(w.trace)-1-len(actions)], err)
	}
	for _, act := range actions {
		if act.Kind == NeedSign {
			w.step(Event{Kind: SignKnown, Attempt: act.Attempt, Last: w.signs[act.Attempt.Seq]})
		}
	}
}

func (w *world) do(act Action) {
	text := ""
	switch a := act.Attempt; act.Kind {
	case Start:
		text = fmt.Sprintf("start:%d", a.Seq)
		a.Notify = w.notify
		if w.job.Spec.QueuesStarts {
			w.line[a.Seq] = a
		} else {
			w.execute(a)
		}
	case Stop:
		text = fmt.Sprintf("stop:%d(%s)", a.Seq, causeNames[act.Cause])
	case Close:
		text = fmt.Sprintf("close:%d", a.Seq)
	case Abandon:
		text = fmt.Sprintf("abandon:%d", a.Seq)
	case NeedDelay:
		text = fmt.Sprintf("ask:%d/%d", act.Index, act.N)
		w.asked, w.askedOf = append(w.asked, act), append(w.askedOf, -1)
	case NeedRestartDelay:
		text = fmt.Sprintf("ask-restart:%d/%d", a.Seq, act.N)
		w.asked, w.askedOf = append(w.asked, act), append(w.askedOf, a.Seq)
	case NeedSign:
		text = fmt.Sprintf("ask-sign:%d", a.Seq)
	case Finished:
		text = "finished"
	case Gone:
		text = "gone"
	}
	w.did = append(w.did, text)
	w.trace = append(w.trace, "  "+text)
}

func (w *world) execute(a *Attempt) {
	w.job.Pin(a)
	w.executing[a.Seq] = a
	delete(w.line, a.Seq)
}

// begin gives a queued attempt its slot.
func (w *world) begin(seq int64) {
	a := w.line[seq]
	delete(w.line, seq)
	if a == nil || a.Seq != seq || a.State != StateQueued {
		return // it was stopped meanwhile
	}
	restart := a.IsRestart()
	w.execute(a)
	if restart || !w.job.Spec.HoldsPending {
		w.step(Event{Kind: Started, Attempt: a})
	}
}

// end lets an executor return.
func (w *world) end(seq int64, r Result) {
	a := w.executing[seq]
	if a == nil {
		return
	}
	delete(w.executing, seq)
	if a.Seq != seq {
		return // it was ended before, and the record is another attempt's
	}
	ev := Event{Kind: Ended, At: w.now, Attempt: a, Result: r}
	if w.renews && r.Code == 0 && !a.Notify && w.job.Renew(a, w.now) {
		w.trace = append(w.trace, fmt.Sprintf("%v renewed %d", w.since(w.now), seq))
		w.finish(ev, []Action{{Kind: Start, Attempt: a}})
		return
	}
	a.Pinned = false
	if w.renews && r.Code != 0 && !a.Notify {
		if next := w.job.Retry(a, r, w.now); next != nil {
			w.trace = append(w.trace, fmt.Sprintf("%v retried %d", w.since(w.now), seq))
			w.finish(ev, []Action{{Kind: Start, Attempt: next}})
			return
		}
	}
	w.step(ev)
}

// answer answers the i-th open question.
func (w *world) answer(i int, ev Event) {
	act, seq := w.asked[i], w.askedOf[i]
	w.asked, w.askedOf = slices.Delete(w.asked, i, i+1), slices.Delete(w.askedOf, i, i+1)
	ev.Kind, ev.Index, ev.N = DelayKnown, act.Index, act.N
	if act.Kind == NeedRestartDelay {
		if act.Attempt.Seq != seq {
			return
		}
		ev.Kind, ev.Attempt = RestartDelayKnown, act.Attempt
	}
	w.step(ev)
}

// runUntil does what is due until then, and moves the time there.
func (w *world) runUntil(t Time) {
	for n := 0; w.job.Due() <= t && w.err == nil; n++ {
		if due := w.job.Due(); due > w.now {
			w.now, n = due, 0
		}
		if n > 100 {
			w.err = fmt.Errorf("at %v: due again and again", w.since(w.now))
			return
		}
		w.step(Event{Kind: Tick})
	}
	w.now = max(w.now, t)
}

func (w *world) since(t Time) fmt.Stringer { return durationOf(t - epoch) }

// attempt finds a live attempt.
func (w *world) attempt(seq int64) *Attempt {
	for _, a := range w.job.live {
		if a.Seq == seq {
			return a
		}
	}
	return nil
}

// stuck reports why nothing will ever happen any more to a job that has not
// reached its end and that are not held back.
func (w *world) stuck() error {
	j := w.job
	if j.FinishedAt != 0 || j.gone || j.DeletedAt != 0 || j.startsNothing() || j.Spec.Suspend || j.Spec.Unmanaged ||
		j.Spec.Parallelism == 0 {
		return nil
	}
	waits := len(w.executing) + len(w.asked) + len(w.line)
	if waits == 0 && !j.awaiting && j.Due() == Never {
		return fmt.Errorf("stuck at %v", w.since(w.now))
	}
	return nil
}

// dump writes down all of a job's state.
func (w *world) dump() string {
	j := w.job
	var text strings.Builder
	put := func(name string, value any) { fmt.Fprintf(&text, "%s: %+v\n", name, value) }
	put("times", []Time{j.CreatedAt, j.StartTime, j.FinishedAt, j.DeletedAt, j.now, j.Due(), j.NextRetry()})
	put("conditions", j.Conditions)
	put("counters", []int{
		j.Pending, j.Active, j.Ready, j.Terminating, j.Abandoned, j.Succeeded, j.Failed, j.unrecorded, j.restarts,
		int(j.settling),
	})
	put("sets", []string{j.Completed.String(), j.GivenUp.String(), j.indexes.returned.String()})
	put("numbers", j.indexes.numbers())
	put("retry", j.retry)
	put("last", j.LastFailure)
	put("events", j.Events())
	for _, a := range slices.Concat(j.live, j.history.succeeded.all(), j.history.failed.all()) {
		a := *a
		if a.past != nil {
			put("past", *a.past)
		}
		a.next, a.past = nil, nil
		put("attempt", a)
	}
	for i := range j.history.plain.n {
		put("brief", *j.history.plain.at(i))
	}
	for _, i := range slices.Sorted(maps.Keys(j.retained)) {
		put("retained", j.retained[i].Seq)
	}
	return text.String()
}
