package conformance

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/engine"
)

// A bench plays a scenario to the bare engine: it is the kubelet, the user and
// the clock.
type bench struct {
	t      *testing.T
	c      *Case
	job    *engine.Job
	now    engine.Time
	spec   json.RawMessage
	ties   tieOrder
	queue  []benchErrand // what is still to happen, in order
	added  int
	pods   []*benchPod
	byName map[*engine.Attempt]*benchPod
	got    Observation
	last   Status // strictly before now
	lastAt engine.Time
	seen   Status
	orphan bool
	reacts bool // what happens is a reaction to what happened to a pod
}

// A benchErrand is something that happens at a time; see errand.
type benchErrand struct {
	at    engine.Time
	rank  int
	added int
	do    func()
}

type benchPod struct {
	a       *engine.Attempt
	plan    Plan
	stopped bool
	record  Pod
}

const benchStart = engine.Time(1_000_000_000 * 1_000_000_000)

func (b *bench) at(s Seconds) engine.Time { return benchStart.Add(s.Duration()) }

func (b *bench) since(t engine.Time) Seconds { return InSeconds(time.Duration(t - benchStart)) }

func (b *bench) later(s Seconds, rank int, do func()) { b.schedule(b.now.Add(s.Duration()), rank, do) }

func (b *bench) schedule(at engine.Time, rank int, do func()) {
	b.added++
	e := benchErrand{at, rank, b.added, do}
	i, _ := slices.BinarySearchFunc(b.queue, e, func(a, b benchErrand) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.rank, b.rank), cmp.Compare(a.added, b.added))
	})
	b.queue = slices.Insert(b.queue, i, e)
}

// playEngine runs a case and returns what was seen: nothing if the case is only
// about what is accepted, in which the engine has no say.
func playEngine(t *testing.T, c *Case, ties tieOrder) (*Observation, []string) {
	job, err := c.Scenario.Job()
	if err != nil || !c.Outcome.Accepted || c.Scenario.ValidateOnly {
		return nil, nil
	}
	b := &bench{t: t, c: c, ties: ties, now: benchStart, byName: map[*engine.Attempt]*benchPod{}}
	b.spec = Default(c.Scenario.Spec)
	b.got.Accepted = true
	id := engine.Identity{Job: "job", UID: [16]byte{1, 2, 3}}
	b.job = engine.New(id, new(engineSpec(b.convert(b.spec), job.RestartPolicy)))
	for _, a := range c.Scenario.Actions {
		b.schedule(b.at(a.At), ties.ofUser(), func() { b.act(a) })
	}
	b.step(engine.Event{Kind: engine.Created})
	for range 100_000 {
		if !b.next() {
			b.finish()
			return &b.got, nil
		}
	}
	t.Fatalf("%s: the engine makes no progress at %v, due %v", c.Name, b.since(b.now), b.since(b.job.Due()))
	return nil, nil
}

func (b *bench) convert(spec json.RawMessage) batch.Job {
	job, err := Convert(spec, b.c.Scenario.RestartPolicy)
	if err != nil {
		b.t.Fatal(err)
	}
	return job
}

// next lets the next thing happen, the engine's own first; it reports false
// when the run is over.
func (b *bench) next() bool {
	due := b.job.Due()
	at := due
	if len(b.queue) > 0 {
		at = min(at, b.queue[0].at)
	}
	if b.over() || at > b.at(b.c.Scenario.Horizon) {
		return false
	}
	b.now = max(b.now, at)
	if due <= at {
		b.step(engine.Event{Kind: engine.Tick})
		return true
	}
	do := b.queue[0].do
	b.queue = b.queue[1:]
	do()
	return true
}

// over is when a recording stops.
func (b *bench) over() bool {
	if b.job.IsGone() {
		return len(b.job.Live()) == 0
	}
	more := slices.ContainsFunc(b.c.Scenario.Actions, func(a Action) bool {
		return a.AfterFinish() && b.at(a.At) >= b.now
	})
	return b.job.FinishedAt != 0 && b.job.Spec.TTL < 0 && !more
}

func (b *bench) step(ev engine.Event) {
	ev.At = b.now
	wasGone := b.job.IsGone()
	for _, act := range slices.Clone(b.job.Step(ev)) {
		switch act.Kind {
		case engine.Start:
			b.start(act.Attempt)
		case engine.Stop:
			b.stop(b.byName[act.Attempt])
		}
	}
	if err := b.job.Check(); err != nil {
		b.t.Fatalf("at %v after %+v: %v", b.since(b.now), ev, err)
	}
	if b.job.IsGone() && !wasGone {
		b.got.GoneAt = new(b.since(b.now))
	}
	b.observe()
}

func (b *bench) react(ev engine.Event) {
	b.reacts = true
	b.step(ev)
	b.reacts = false
}

func (b *bench) observe() {
	if b.job.IsGone() && b.job.FinishedAt == 0 {
		return
	}
	if b.now != b.lastAt {
		b.last = b.seen
		b.lastAt = b.now
	}
	b.seen = b.status()
}

func (b *bench) start(a *engine.Attempt) {
	p := b.byName[a]
	if p == nil {
		attempt := 0
		for _, other := range b.pods {
			if a.Index >= 0 && other.a.Index == a.Index {
				attempt++
			}
		}
		p = &benchPod{a: a, plan: b.c.Scenario.PlanFor(a.Index, attempt, len(b.pods))}
		p.record = Pod{Ordinal: len(b.pods), Index: a.Index, Attempt: attempt, Created: b.since(b.now)}
		b.pods = append(b.pods, p)
		b.byName[a] = p
		start := p.plan.Start
		if b.reacts {
			start += b.ties.lateness()
		}
		if start > 0 {
			b.later(start, b.ofRun(p), func() { b.run(p) })
			return
		}
	}
	b.run(p)
}

// run starts the pod's container.
func (b *bench) run(p *benchPod) {
	if p.a.HasEnded() || p.stopped {
		return
	}
	first := p.a.Phase() == engine.Pending
	p.a.Pinned, p.a.Notify = true, true // which keeps the record from being used again
	b.step(engine.Event{Kind: engine.Started, Attempt: p.a})
	run := p.plan.Run(p.a.Restarts)
	no := p.a.Restarts
	b.later(run.D, b.ofRun(p), func() {
		if !p.stopped && p.a.Restarts == no {
			b.exit(p, run.Exit)
		}
	})
	if d := p.plan.Disrupt; d != nil && first {
		b.later(d.At, b.ties.ofDisruption(p.order()), func() { b.disrupt(p, d.Kind) })
	}
}

// order is the place of a pod among those that do something at the same time.
func (p *benchPod) order() int {
	if p.a.Index >= 0 {
		return p.a.Index
	}
	return p.record.Ordinal
}

func (b *bench) ofRun(p *benchPod) int { return b.ties.ofRun(p.order()) }

func (b *bench) exit(p *benchPod, code int) {
	p.a.Pinned = false
	b.react(engine.Event{Kind: engine.Ended, Attempt: p.a, Result: engine.Result{Code: code, ErrorRule: engine.None}})
}

func (b *bench) disrupt(p *benchPod, kind DisruptionKind) {
	reason := disruptionReasons[kind]
	if !p.a.HasEnded() && p.a.DeletedAt == 0 {
		b.react(engine.Event{Kind: engine.Disrupted, Attempt: p.a, Reason: reason})
	}
}

func (b *bench) stop(p *benchPod) {
	p.stopped = true
	term := p.plan.Stop()
	b.later(term.After, b.ofRun(p), func() { b.exit(p, term.Exit) })
}

func (b *bench) act(a Action) {
	// Which actions are rejected is not the engine's to say.
	i := slices.IndexFunc(b.c.Outcome.Actions, func(r ActionResult) bool { return r.At == a.At })
	result := ActionResult{At: a.At, Accepted: true}
	if i >= 0 {
		result = b.c.Outcome.Actions[i]
	}
	gone := b.job.IsGone()
	if gone && i < 0 || b.job.FinishedAt != 0 && !a.AfterFinish() {
		return
	}
	b.got.Actions = append(b.got.Actions, result)
	switch {
	case gone:
	case !result.Accepted:
	case a.Delete != "":
		b.orphan = a.Delete == "Orphan"
		b.step(engine.Event{Kind: engine.Deleted, Orphan: b.orphan, Linger: a.Delete == "Foreground"})
	case a.DeletePod != nil:
		if *a.DeletePod >= len(b.pods) {
			return
		}
		p := b.pods[*a.DeletePod]
		if p.a.HasEnded() && p.record.DeletedBy == "" {
			p.record.DeletedBy = "user"
		}
		b.step(engine.Event{Kind: engine.AttemptDeleted, Attempt: p.a})
	default:
		b.spec = Default(MergePatch(b.spec, a.Patch))
		spec := engineSpec(b.convert(b.spec), string(b.c.Scenario.RestartPolicy))
		b.step(engine.Event{Kind: engine.Updated, Spec: &spec})
	}
}

func (b *bench) finish() {
	b.got.Status = b.seen
	if b.job.IsGone() && b.job.FinishedAt == 0 {
		if b.lastAt == b.at(*b.got.GoneAt) {
			b.got.Status = b.last
		}
		b.got.Status.Failed = b.job.Failed // counted once more before it went
	}
	if b.job.FinishedAt != 0 {
		b.got.FinishedAt = new(b.since(b.job.FinishedAt))
	}
	b.got.Unfinished = b.job.FinishedAt == 0 && !b.job.IsGone()
	for _, p := range b.pods {
		b.got.Pods = append(b.got.Pods, b.podRecord(p))
	}
	for _, e := range b.job.Events() {
		kind := "Normal"
		if e.Warning {
			kind = "Warning"
		}
		b.got.Events = append(b.got.Events, Event{kind, e.Reason, b.rename(e.Message)})
	}
}

// rename puts the ordinals of pods in place of their names.
func (b *bench) rename(text string) string {
	for i, p := range b.pods {
		text = strings.ReplaceAll(text, b.job.ID.Name(p.a.Seq, p.a.Index), PodName(i))
	}
	return text
}

func (b *bench) podRecord(p *benchPod) Pod {
	r, a := p.record, p.a
	r.Phase = []string{"Pending", "Running", "Succeeded", "Failed"}[a.Phase()]
	if a.FinishedAt != 0 {
		r.End = new(b.since(a.FinishedAt))
	}
	if a.HasExit && a.FinishedAt != 0 {
		r.Exit = new(a.ExitCode)
	}
	r.Restarts, r.Failures, r.Ignored = a.Restarts, a.Failures, a.Ignored
	r.Disrupted = slices.ContainsFunc(a.Conditions, func(c engine.Condition) bool {
		return c.Type == engine.DisruptionTarget
	})
	if r.DeletedBy == "" {
		r.DeletedBy = []string{"", "job-controller", "user", "eviction", "podgc", "gc", "timeout"}[a.DeletedBy]
	}
	if r.DeletedBy == "" && b.job.IsGone() && !b.orphan && r.End != nil && *r.End <= *b.got.GoneAt {
		r.DeletedBy = "gc"
	}
	return r
}

func (b *bench) status() Status {
	j := b.job
	s := Status{Active: j.Active, Ready: j.Ready, Succeeded: j.Succeeded, Failed: j.Failed, Terminating: j.Terminating,
		CompletedIndexes: j.Completed.String()}
	if j.Spec.BackoffLimitPerIndex >= 0 && !j.Spec.Unmanaged {
		s.FailedIndexes = new(j.GivenUp.String())
	}
	if j.StartTime != 0 {
		s.StartTime = new(b.since(j.StartTime))
	}
	for _, c := range j.Conditions {
		s.Conditions = append(s.Conditions, Condition{c.Type, c.Status, c.Reason, b.rename(c.Message), b.since(c.At)})
		if c.Type == engine.JobComplete {
			s.CompletionTime = new(b.since(c.At))
		}
	}
	return s
}
