// Package world replays recorded cases to the bare engine of CronJobs, without a
// clock or a goroutine. It can also put defects of the real controller back around
// the engine, to show that a difference comes from them and from nothing else.
package world

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron/internal/corpus"
	"github.com/runtocompletion/batch/contrib/cron/internal/engine"
	"github.com/runtocompletion/batch/internal/conformance"
)

// A world is what surrounds the bare engine in a replay: a clock that is a number,
// the user's actions, and jobs. What a job does by itself is taken from the
// recording, counted from its creation; when jobs are created and deleted is the
// engine's business.
type world struct {
	c       *corpus.Case
	defects Defects
	now     time.Time
	skew    time.Duration
	queue   []errand // by time
	added   int

	spec    json.RawMessage // of the CronJob there is
	cron    *engine.CronJob // nil if there is none
	number  int             // of the incarnation
	down    bool
	jobsToo bool        // the controller of jobs is down as well
	overdue []func()    // what it will learn of when it is back
	wake    time.Time   // when the engine's timer fires; zero for never
	armed   engine.Time // for what
	jobs    []*job
	used    map[int]bool // recorded jobs that have been played
	got     corpus.Outcome
}

type errand struct {
	at   time.Time
	rank int // at one instant: the controllers, then pods, then the user
	seq  int
	do   func()
}

// A job of the world, as it is and as it was seen.
type job struct {
	engine.Job
	seen  int // in got.Jobs
	owner int // incarnation; 0 if it has none
	gone  bool
}

// reaction is how late each of the recorded controllers is, in the ideal recording.
// It decides what comes first where two things fall together.
const reaction = time.Millisecond

const (
	ofPods = iota + 1
	ofUser
)

// Replay plays a case to an engine and returns what was seen.
func Replay(c *corpus.Case, d Defects) *corpus.Outcome {
	w := &world{c: c, defects: d, now: c.Scenario.Start, used: make(map[int]bool)}
	w.skew = c.Scenario.Skew.Duration()
	w.got.Accepted = true
	for _, a := range c.Scenario.Actions {
		w.at(a.At, ofUser, func() { w.act(a) })
	}
	w.create(c.Scenario.Spec)
	w.run()
	w.conclude()
	return &w.got
}

func (w *world) at(s corpus.Seconds, rank int, do func()) {
	w.later(w.c.Scenario.Start.Add(s.Duration()), rank, do)
}

func (w *world) later(at time.Time, rank int, do func()) {
	w.added++
	e := errand{at, rank, w.added, do}
	i, _ := slices.BinarySearchFunc(w.queue, e, func(a, b errand) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.rank, b.rank), cmp.Compare(a.seq, b.seq))
	})
	w.queue = slices.Insert(w.queue, i, e)
}

// run does what comes next until the end.
func (w *world) run() {
	end := w.c.Scenario.Start.Add(w.c.Scenario.Horizon.Duration())
	for {
		next, timer := end, false
		if len(w.queue) > 0 && w.queue[0].at.Before(next) {
			next = w.queue[0].at
		}
		if !w.wake.IsZero() && !w.wake.After(next) && w.wake.Before(end) {
			next, timer = w.wake, true
		}
		if !next.Before(end) {
			return
		}
		w.now = next
		if timer {
			w.tick()
			continue
		}
		do := w.queue[0].do
		w.queue = w.queue[1:]
		do()
	}
}

// clock is the time of the engine.
func (w *world) clock() engine.Time { return w.now.Add(w.skew).UnixNano() }

func (w *world) since(t time.Time) corpus.Seconds {
	return corpus.Seconds(t.Sub(w.c.Scenario.Start).Seconds())
}

// step lets the engine record an input, and does what it wants.
func (w *world) step(in engine.Input) {
	if w.cron == nil || w.down {
		return
	}
	in.At = w.clock()
	s := w.cron.Step(in)
	w.report()
	for _, a := range s.Actions {
		w.do(a)
		if w.cron == nil {
			return
		}
	}
	w.setTimer()
}

// setTimer waits for what is due. As timers do not know that the clock was set, it is
// read again now and then; the real controller does not.
func (w *world) setTimer() {
	switch due := w.cron.Due; {
	case due == engine.Never:
		w.wake, w.armed = time.Time{}, 0
	case due != w.armed || w.wake.IsZero():
		w.armed = due
		wait := time.Duration(max(0, due-w.clock())) + reaction
		if w.defects&Patience == 0 {
			wait = min(wait, recheck)
		}
		w.wake = w.now.Add(wait)
	}
}

// recheck is how often the library reads the clock at least.
const recheck = time.Minute

// tick is when the timer fires.
func (w *world) tick() {
	w.wake = time.Time{}
	if w.cron != nil && w.clock() < w.cron.Due {
		w.setTimer()
		return
	}
	w.step(engine.Input{Kind: engine.Look})
}

// report writes down the engine's new events.
func (w *world) report() {
	for _, e := range w.cron.Events { // the world empties them
		for range e.Count {
			kind := "Normal"
			if e.IsWarning() {
				kind = "Warning"
			}
			w.got.Events = append(w.got.Events, corpus.Event{
				At: w.since(w.now), Type: kind, Reason: e.Reason(), Message: e.Message(),
			})
		}
	}
	w.cron.Events = nil
}

func (w *world) do(a engine.Action) {
	switch a.Do {
	case engine.Create:
		w.step(w.createOwned(a))
	case engine.Delete:
		w.deleteFor(a)
	case engine.Release:
		for _, j := range w.jobs {
			if j.UID == a.Job.UID {
				j.owner = 0
				w.got.Jobs[j.seen].Owned = false
			}
		}
		w.step(engine.Input{Kind: engine.Done, Job: engine.Job{Ref: a.Job}})
	case engine.Remove:
		w.got.GoneAt = new(w.since(w.now))
		w.note()
		w.cron, w.wake = nil, time.Time{}
	}
}

// note writes down the status.
func (w *world) note() {
	w.got.Active, w.got.LastSchedule, w.got.LastSuccess = nil, nil, nil
	for _, r := range w.cron.Active {
		w.got.Active = append(w.got.Active, r.Name)
	}
	if t := w.cron.LastSchedule; t != 0 {
		w.got.LastSchedule = new(w.since(time.Unix(t, 0)))
	}
	if t := w.cron.LastSuccess; t != 0 {
		w.got.LastSuccess = new(w.since(time.Unix(0, t)))
	}
}

func (w *world) conclude() {
	if w.cron != nil {
		w.got.GoneAt = nil
		w.note()
	}
}

// find returns the job there is of that name.
func (w *world) find(name string) *job {
	for _, j := range w.jobs {
		if j.Name == name && !j.gone {
			return j
		}
	}
	return nil
}

// createOwned creates a job for the engine, and returns the answer.
func (w *world) createOwned(a engine.Action) engine.Input {
	if w.find(a.Job.Name) != nil {
		return engine.Input{Kind: engine.Taken, Job: engine.Job{Ref: a.Job}}
	}
	if err := w.invalid(a.Job.Name); err != "" {
		return engine.Input{Kind: engine.Refused, Text: err}
	}
	zone, _ := location(w.spec)
	labels, annotations := w.templateMeta()
	seen := corpus.Job{
		Name: a.Job.Name, By: "controller", Owned: true, Labels: labels, Annotations: annotations,
		Scheduled: time.Unix(a.Time, 0).In(zone).Format(time.RFC3339),
	}
	j := w.addJob(seen, w.script("controller", a.Job.Name))
	j.Scheduled = a.Time
	return engine.Input{Kind: engine.Created, Job: j.Job}
}

// templateMeta is what a job that is made now has of its template.
func (w *world) templateMeta() (labels, annotations map[string]string) {
	spec, err := corpus.ParseSpec(w.spec)
	if err != nil {
		panic(err)
	}
	return spec.JobTemplate.Metadata.Labels, spec.JobTemplate.Metadata.Annotations
}

// invalid says what the API server finds wrong with a job.
func (w *world) invalid(name string) string {
	spec, err := corpus.ParseSpec(w.spec)
	if err != nil {
		panic(err)
	}
	job, err := conformance.Convert(orEmpty(spec.JobTemplate.Spec), w.c.Scenario.RestartPolicy)
	if err != nil {
		panic(err)
	}
	job.Name, job.Executor = name, batch.Command{Args: []string{"true"}}
	failed, ok := errors.AsType[*batch.ValidationError](job.Validate())
	if !ok {
		return ""
	}
	var texts []string
	for _, field := range failed.Fields {
		texts = append(texts, field.Error())
	}
	return fmt.Sprintf("Job.batch %q is invalid: %s", name, strings.Join(texts, "; "))
}

func orEmpty(text json.RawMessage) json.RawMessage {
	if len(text) == 0 {
		return json.RawMessage("{}")
	}
	return text
}

// script finds the recording of a job: the next one of that name that has not been
// played, if it is the same in the order of creation. Otherwise the job does what the
// scenario says.
func (w *world) script(by, name string) *corpus.Job {
	nth := 0
	for _, seen := range w.got.Jobs {
		if seen.By == by {
			nth++
		}
	}
	k := 0
	for i := range w.c.Outcome.Jobs {
		r := &w.c.Outcome.Jobs[i]
		if r.By != by {
			continue
		}
		if r.Name == name && !w.used[i] && k == nth {
			w.used[i] = true
			return r
		}
		k++
	}
	plan := w.c.Scenario.PlanOf(nth)
	return w.simulate(plan)
}

// simulate makes up a recording of a job with one pod after the other.
func (w *world) simulate(plan corpus.Plan) *corpus.Job {
	spec, err := corpus.ParseSpec(w.spec)
	if err != nil {
		panic(err)
	}
	var job struct {
		BackoffLimit          *int
		ActiveDeadlineSeconds *int64
	}
	if err := json.Unmarshal(orEmpty(spec.JobTemplate.Spec), &job); err != nil {
		panic(err)
	}
	limit := 6
	if job.BackoffLimit != nil {
		limit = *job.BackoffLimit
	}
	made := &corpus.Job{Result: "Failed", Reason: "BackoffLimitExceeded"}
	now, delay := w.now, 10*time.Second
	for n := range limit + 1 {
		run := plan.Run(n)
		started := now
		now = now.Add((plan.Start + run.D).Duration())
		made.Pods = append(made.Pods, corpus.Pod{
			At: corpus.Seconds(started.Sub(w.now).Seconds()), End: new(corpus.Seconds(now.Sub(w.now).Seconds())),
		})
		if run.Exit == 0 {
			made.Result, made.Reason = "Complete", "CompletionsReached"
			break
		}
		if n < limit {
			now = now.Truncate(time.Second).Add(delay)
			delay = min(2*delay, 10*time.Minute)
		}
	}
	end := corpus.Seconds(now.Sub(w.now).Seconds())
	if d := job.ActiveDeadlineSeconds; d != nil && end > corpus.Seconds(*d) {
		end, made.Result, made.Reason = corpus.Seconds(*d), "Failed", "DeadlineExceeded"
		if plan.Term != nil {
			end += min(plan.Term.After, 30) // the grace period
		}
	}
	made.End = &end
	return made
}

// addJob adds a job that does what was recorded.
func (w *world) addJob(seen corpus.Job, r *corpus.Job) *job {
	seen.At = w.since(w.now)
	w.got.Jobs = append(w.got.Jobs, seen)
	j := &job{seen: len(w.got.Jobs) - 1}
	j.Ref = engine.Ref{Name: seen.Name, UID: fmt.Sprint(len(w.got.Jobs))}
	if seen.Owned {
		j.owner = w.number
	}
	j.Started = w.now.UnixNano()
	if r.StartTime == nil && r.Name != "" {
		j.Started = 0
	}
	w.jobs = append(w.jobs, j)
	end := endOf(w.c, r)
	for _, pod := range r.Pods {
		for _, at := range []*corpus.Seconds{new(pod.At), pod.End} {
			if at == nil {
				continue
			}
			after := *at - r.At
			if end != nil {
				after = min(after, *end-atOf(w.c, r))
			}
			w.later(w.now.Add(after.Duration()+reaction), ofPods, func() { w.tell(j) })
		}
	}
	if end != nil {
		w.later(w.now.Add((*end-atOf(w.c, r)).Duration()+2*reaction), ofPods, func() { w.finish(j, r) })
	}
	return j
}
