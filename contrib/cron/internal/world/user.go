package world

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/runtocompletion/batch/contrib/cron/internal/corpus"
	"github.com/runtocompletion/batch/contrib/cron/internal/engine"
	"github.com/runtocompletion/batch/contrib/cron/internal/schedule"
	"github.com/runtocompletion/batch/internal/conformance"
)

// atOf and endOf are when a recorded job was created and ended, without the delays
// of the recorded controllers as far as that is known.
func atOf(c *corpus.Case, r *corpus.Job) corpus.Seconds {
	if c.Ideal != nil && r.Name != "" {
		return c.Ideal.Jobs[r.Ordinal][0]
	}
	return r.At
}

func endOf(c *corpus.Case, r *corpus.Job) *corpus.Seconds {
	if c.Ideal == nil || r.Name == "" || r.End == nil {
		return r.End
	}
	if end := c.Ideal.Jobs[r.Ordinal][1]; end >= 0 {
		return &end
	}
	return nil
}

// tell tells the engine that a job has changed.
func (w *world) tell(j *job) {
	if !j.gone && j.owner == w.number {
		w.step(engine.Input{Kind: engine.Changed, Job: j.Job})
	}
}

func (w *world) finish(j *job, r *corpus.Job) {
	seen := &w.got.Jobs[j.seen]
	switch {
	case j.gone || seen.DeletedAt != nil:
		return
	case w.jobsToo:
		w.overdue = append(w.overdue, func() { w.finish(j, r) })
		return
	}
	j.Phase, j.Finished, j.Reason = engine.Complete, w.now.UnixNano(), r.Reason
	if r.Result == "Failed" {
		j.Phase = engine.Failed
	}
	seen.End, seen.Result, seen.Reason = new(w.since(w.now)), r.Result, r.Reason
	w.tell(j)
	if r.DeletedBy == "ttl-controller" {
		w.later(w.now.Add((*r.DeletedAt - *r.End).Duration()), ofPods, func() { w.remove(j, "ttl-controller", "Background") })
	}
}

// remove deletes a job.
func (w *world) remove(j *job, by, how string) {
	seen := &w.got.Jobs[j.seen]
	if j.gone {
		return
	}
	if seen.DeletedAt == nil {
		seen.DeletedAt, seen.DeletedBy = new(w.since(w.now)), by
	}
	r := w.recording(seen)
	if how == "Foreground" && r != nil && r.GoneAt != nil && r.DeletedAt != nil && *r.GoneAt > *r.DeletedAt {
		w.tell(j)
		w.later(w.now.Add((*r.GoneAt - *r.DeletedAt).Duration()), ofPods, func() { w.vanish(j) })
		return
	}
	w.vanish(j)
}

func (w *world) recording(seen *corpus.Job) *corpus.Job {
	for i := range w.c.Outcome.Jobs {
		if r := &w.c.Outcome.Jobs[i]; r.Name == seen.Name && r.By == seen.By {
			return r
		}
	}
	return nil
}

func (w *world) vanish(j *job) {
	if j.gone {
		return
	}
	j.gone = true
	w.got.Jobs[j.seen].GoneAt = new(w.since(w.now))
	if j.owner == w.number {
		w.step(engine.Input{Kind: engine.Gone, Job: j.Job})
	}
}

// deleteFor deletes a job for the engine.
func (w *world) deleteFor(a engine.Action) {
	by := map[engine.Deletion]string{
		engine.ByHistory: "history", engine.ByReplacement: "replace", engine.ByOwner: "gc",
	}[a.Deletion]
	w.step(engine.Input{Kind: engine.Done, Job: engine.Job{Ref: a.Job}})
	for _, j := range w.jobs {
		if j.UID == a.Job.UID {
			how := "Background"
			if a.Linger {
				how = "Foreground"
			}
			w.remove(j, by, how)
		}
	}
}

func (w *world) act(a corpus.Action) {
	accepted := true
	switch {
	case a.Patch != nil:
		accepted = w.patch(a.Patch)
	case a.Delete != "":
		accepted = w.deleteCronJob(a.Delete)
	case a.Create != nil:
		accepted = w.cron == nil
		if accepted {
			w.create(a.Create)
		}
	case a.CreateJob != nil:
		accepted = w.createByHand(a)
	case a.DeleteJob != nil:
		if accepted = w.hasJob(*a.DeleteJob); accepted {
			w.remove(w.jobs[*a.DeleteJob], "user", a.Propagation)
		}
	case a.PatchJob != nil:
		if accepted = w.hasJob(*a.PatchJob); accepted {
			w.tell(w.jobs[*a.PatchJob])
		}
	case a.Stop != "":
		w.down, w.wake, w.jobsToo = true, time.Time{}, a.Stop == "all"
	case a.Start:
		w.restart()
	case a.Skew != nil:
		w.skew = a.Skew.Duration()
	}
	r := corpus.Result{At: w.since(w.now), Accepted: accepted}
	if !accepted {
		r.Errors = w.errorsOf(len(w.got.Actions))
	}
	w.got.Actions = append(w.got.Actions, r)
}

// errorsOf takes over which errors were recorded: what is valid is not for the
// engine to say.
func (w *world) errorsOf(action int) []corpus.FieldError {
	if action < len(w.c.Outcome.Actions) {
		return w.c.Outcome.Actions[action].Errors
	}
	return nil
}

func (w *world) hasJob(ordinal int) bool { return ordinal < len(w.jobs) && !w.jobs[ordinal].gone }

func (w *world) createByHand(a corpus.Action) bool {
	if w.find(a.CreateJob.Name) != nil || a.CreateJob.From && w.cron == nil {
		return false
	}
	seen := corpus.Job{Name: a.CreateJob.Name, By: "user", Owned: a.CreateJob.From}
	if a.CreateJob.From {
		seen.By = "kubectl"
		var annotations map[string]string
		seen.Labels, annotations = w.templateMeta()
		seen.Annotations = map[string]string{"cronjob.kubernetes.io/instantiate": "manual"}
		maps.Copy(seen.Annotations, annotations)
	}
	j := w.addJob(seen, w.script(seen.By, seen.Name))
	j.Manual = a.CreateJob.From
	w.tell(j)
	return true
}

// restart makes a new engine from what an old one has stored.
func (w *world) restart() {
	w.down, w.jobsToo = false, false
	for _, do := range w.overdue {
		w.later(w.now.Add(reaction), ofPods, do)
	}
	w.overdue = nil
	if w.cron == nil {
		return
	}
	state := w.cron.State
	w.cron = engine.New(w.engineSpec(), state, w.owned())
	w.step(engine.Input{Kind: engine.Look})
}

func (w *world) owned() (jobs []engine.Job) {
	for _, j := range w.jobs {
		if !j.gone && j.owner == w.number {
			jobs = append(jobs, j.Job)
		}
	}
	return jobs
}

func (w *world) create(spec json.RawMessage) {
	w.spec = spec
	w.number++
	w.cron = engine.New(w.engineSpec(), engine.State{Created: w.now.UnixNano()}, nil)
	w.step(engine.Input{Kind: engine.Look})
}

func (w *world) deleteCronJob(how string) bool {
	if w.cron == nil {
		return false
	}
	down := w.down
	w.down = false // the garbage collector goes on
	w.step(engine.Input{Kind: engine.Deleted, How: map[string]engine.Propagation{
		"Background": engine.Background, "Foreground": engine.Foreground, "Orphan": engine.Orphan}[how]})
	w.down = down
	return true
}

// patch changes the spec. A defective engine does not look at it then.
func (w *world) patch(patch json.RawMessage) bool {
	if w.cron == nil || !w.c.Outcome.Actions[len(w.got.Actions)].Accepted {
		return false
	}
	old := w.spec
	w.spec = conformance.MergePatch(old, patch)
	spec := w.engineSpec()
	var changes map[string]any
	if err := json.Unmarshal(patch, &changes); err != nil {
		panic(err)
	}
	_, schedule := changes["schedule"]
	_, zone := changes["timeZone"]
	if w.defects&Deafness == 0 || !schedule && !zone || w.down {
		w.step(engine.Input{Kind: engine.Respecified, Spec: &spec})
		w.setSpecWhileDown(spec)
		return true
	}
	w.cron.Spec = &spec
	if w.armed != 0 { // the timer of the old schedule stays
		w.later(w.now.Add(time.Duration(max(0, w.armed-w.clock()))+reaction), 0, func() {
			w.step(engine.Input{Kind: engine.Look})
		})
	}
	w.wake, w.armed = time.Time{}, 0
	if spec.Schedule != nil {
		base := w.cron.LastSchedule
		if base == 0 {
			base = w.c.Scenario.Start.Unix()
		}
		if next, ok := spec.Schedule.Next(base, w.clock()); ok {
			w.later(time.Unix(next, 0).Add(-w.skew), 0, func() { w.step(engine.Input{Kind: engine.Look}) })
		}
	}
	return true
}

func (w *world) setSpecWhileDown(spec engine.Spec) {
	if w.down {
		w.cron.Spec = &spec
	}
}

// location returns the zone of a spec.
func location(text json.RawMessage) (zone *time.Location, err error) {
	spec, err := corpus.ParseSpec(text)
	if err != nil || spec.TimeZone == nil {
		return time.UTC, err
	}
	zone, err = time.LoadLocation(*spec.TimeZone)
	if err != nil {
		return time.UTC, err
	}
	return zone, nil
}

// engineSpec is the present spec as the engine wants it.
func (w *world) engineSpec() engine.Spec {
	spec, err := corpus.ParseSpec(w.spec)
	if err != nil {
		panic(err)
	}
	s := engine.Spec{
		Name: w.c.Scenario.Name(), Text: spec.Schedule, HasZone: schedule.HasZone(spec.Schedule), Suspend: spec.Suspend,
		Deadline: schedule.NoDeadline, Successful: limit(spec.Successful, 3), Failed: limit(spec.Failed, 1),
		Policy: map[string]engine.Policy{"Forbid": engine.Forbid, "Replace": engine.Replace}[spec.ConcurrencyPolicy],
	}
	if spec.Deadline != nil {
		s.Deadline = time.Duration(min(*spec.Deadline, int64(schedule.NoDeadline/time.Second))) * time.Second
	}
	zone, err := location(w.spec)
	if err != nil {
		s.BadZone, s.Zone = true, *spec.TimeZone
	}
	parsed, err := schedule.Parse(spec.Schedule, zone, false)
	if err != nil {
		s.Unparsable = err.Error()
		return s
	}
	s.Schedule = parsed
	if w.defects&searching != 0 {
		s.Schedule = defectiveSearch(spec, zone, parsed, w.defects)
	}
	return s
}

func limit(n *int32, unset int) int {
	if n == nil {
		return unset
	}
	return int(*n)
}
