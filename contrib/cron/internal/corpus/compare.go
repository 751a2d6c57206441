package corpus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/runtocompletion/batch/contrib/cron/internal/engine"
)

// tolerance is how far a time may be off: ideal times are rounded to 0.1 s.
const tolerance = 0.1 + 1e-6

// Compare lists the differences between what c wants and what was seen. No
// difference gives nil.
func Compare(c *Case, got *Outcome) []string {
	d := differ{slack: tolerance}
	if c.Ideal == nil {
		d.slack += 4 // the delays of the recorded controllers add up
	}
	if scenario, err := json.Marshal(c.Scenario); err != nil || bytes.Contains(scenario, []byte("activeDeadlineSeconds")) {
		d.slack++ // the recorded controllers count deadlines from the second of the start
	}
	want := c.Want()
	d.equal("accepted", got.Accepted, want.Accepted)
	d.fieldErrors("errors", got.Errors, want.Errors)
	if got.Update != nil || want.Update != nil {
		d.update(got.Update, want.Update)
	}
	if !want.Accepted || !got.Accepted || c.Scenario.ValidateOnly {
		return d.list
	}
	d.optionalTime("goneAt", got.GoneAt, want.GoneAt, d.slack)
	d.equal("active", fmt.Sprint(d.lasting(got)), fmt.Sprint(d.lasting(want)))
	d.optionalTime("lastScheduleTime", got.LastSchedule, want.LastSchedule, 1e-6)
	d.equal("lastSuccessfulTime", lastSuccess(got), lastSuccess(&c.Outcome))
	d.actions(got.Actions, want.Actions)
	d.jobs(got.Jobs, want.Jobs)
	d.events(stretches(got), stretches(want)) // their times are those of the jobs
	return d.list
}

// Want returns what an implementation without delays is to answer: the recorded
// outcome with the ideal times, where there are any.
func (c *Case) Want() *Outcome {
	want := c.Outcome
	if c.Ideal == nil {
		return &want
	}
	want.GoneAt = c.Ideal.GoneAt
	want.Jobs = slices.Clone(want.Jobs)
	for i, times := range c.Ideal.Jobs {
		j := &want.Jobs[i]
		j.At, j.End, j.DeletedAt = times[0], optional(times[1]), optional(times[2])
	}
	if len(c.Ideal.Events) == len(want.Events) {
		want.Events = slices.Clone(want.Events)
		for i, at := range c.Ideal.Events {
			want.Events[i].At = at
		}
	}
	return &want
}

func optional(s Seconds) *Seconds {
	if s < 0 {
		return nil
	}
	return &s
}

type differ struct {
	list  []string
	slack Seconds // how far a time may be off
}

func (d *differ) add(path, format string, args ...any) {
	d.list = append(d.list, path+": "+fmt.Sprintf(format, args...))
}

func (d *differ) equal(path string, got, want any) {
	if got != want {
		d.add(path, "got %v, want %v", got, want)
	}
}

func (d *differ) time(path string, got, want, slack Seconds) {
	if math.Abs(float64(got-want)) > float64(slack) {
		d.add(path, "got %v, want %v", got, want)
	}
}

func (d *differ) optionalTime(path string, got, want *Seconds, slack Seconds) {
	if got == nil || want == nil {
		d.equal(path, text(got), text(want))
		return
	}
	d.time(path, *got, *want, slack)
}

func text(s *Seconds) string {
	if s == nil {
		return "none"
	}
	return fmt.Sprint(*s)
}

func (d *differ) update(got, want *Result) {
	if got == nil || want == nil {
		d.equal("update", got != nil, want != nil)
		return
	}
	d.equal("update.accepted", got.Accepted, want.Accepted)
	d.fieldErrors("update.errors", got.Errors, want.Errors)
}

func (d *differ) actions(got, want []Result) {
	if len(got) != len(want) {
		d.add("actions", "got %d, want %d", len(got), len(want))
		return
	}
	for i, w := range want {
		path := fmt.Sprintf("actions[%d].", i)
		d.equal(path+"accepted", got[i].Accepted, w.Accepted)
		d.fieldErrors(path+"errors", got[i].Errors, w.Errors)
	}
}

// fieldErrors compares field and type. What is not about a field is an error all
// the same.
func (d *differ) fieldErrors(path string, got, want []FieldError) {
	if g, w := fieldErrorSet(got), fieldErrorSet(want); !slices.Equal(g, w) {
		d.add(path, "got %q, want %q", g, w)
	}
}

func fieldErrorSet(errs []FieldError) []string {
	set := []string{}
	for _, e := range errs {
		if e.Field != "" {
			set = append(set, e.Field+" "+strings.TrimPrefix(e.Type, "FieldValue"))
		}
	}
	slices.Sort(set)
	return slices.Compact(set)
}

func (d *differ) jobs(got, want []Job) {
	for i := range max(len(got), len(want)) {
		path := fmt.Sprintf("jobs[%d]", i)
		switch {
		case i >= len(got):
			d.add(path, "missing, want %s at %v", want[i].Name, want[i].At)
		case i >= len(want):
			d.add(path, "got %s at %v, want none", got[i].Name, got[i].At)
		default:
			d.job(path+".", got[i], want[i])
		}
	}
}

func (d *differ) job(path string, got, want Job) {
	d.equal(path+"name", got.Name, want.Name)
	d.equal(path+"by", got.By, want.By)
	d.equal(path+"scheduled", got.Scheduled, want.Scheduled)
	d.equal(path+"owned", got.Owned, want.Owned)
	d.equal(path+"labels", fmt.Sprint(got.Labels), fmt.Sprint(want.ownLabels()))
	d.equal(path+"annotations", fmt.Sprint(got.Annotations), fmt.Sprint(want.Annotations))
	d.equal(path+"result", got.Result, want.Result)
	d.equal(path+"reason", got.Reason, want.Reason)
	d.equal(path+"deletedBy", got.DeletedBy, want.DeletedBy)
	d.time(path+"at", got.At, want.At, d.slack)
	d.optionalTime(path+"end", got.End, want.End, d.slack)
	d.optionalTime(path+"deletedAt", got.DeletedAt, want.DeletedAt, d.slack)
}

// ownLabels are those of the job, without the four that a job without any shows of
// its pod template: those are set where it is shown to kubectl.
func (j *Job) ownLabels() map[string]string {
	own := maps.Clone(j.Labels)
	maps.DeleteFunc(own, func(key, value string) bool {
		switch strings.TrimPrefix(key, "batch.kubernetes.io/") {
		case "job-name":
			return value == j.Name
		case "controller-uid":
			return value == "{uid}"
		}
		return false
	})
	return own
}

// lastSuccess names the job whose end is the last successful time: the time itself
// adds up all delays of the recorded controllers.
func lastSuccess(o *Outcome) string {
	if o.LastSuccess == nil {
		return "none"
	}
	name := "unknown"
	for _, j := range o.Jobs {
		if j.End != nil && j.Result == "Complete" && math.Abs(float64(*j.End-*o.LastSuccess)) < 1 {
			name = j.Name
		}
	}
	return name
}

// lasting are the active jobs of an outcome. Of a CronJob that was deleted in the
// foreground those are left out that went with it: how many of them the controller
// still saw is chance.
func (d *differ) lasting(o *Outcome) []string {
	if o.GoneAt == nil {
		return o.Active
	}
	gone := make(map[string]bool)
	for _, j := range o.Jobs {
		gone[j.Name] = j.GoneAt != nil && j.DeletedBy == "gc"
	}
	return slices.DeleteFunc(slices.Clone(o.Active), func(name string) bool { return gone[name] })
}

// A stretch is what is told at each look between two other events. How often, and
// within a moment whether before an event or after it, is a matter of the looks.
type stretch struct {
	told  []Event
	again []bool // for each, that it was told a moment ago
	then  Event  // the other event; none at the end
}

// moment is longer than what the recorded controllers are late.
const moment = 1.2

// stretches divides the events of an outcome. That a job went missing at the very
// end of its CronJob is left out: see lasting.
func stretches(o *Outcome) []stretch {
	var others []Event
	for _, e := range o.Events {
		atEnd := o.GoneAt != nil && math.Abs(float64(e.At-*o.GoneAt)) < moment
		if !engine.PerLook(e.Reason) && !(e.Reason == "MissingJob" && atEnd) {
			others = append(others, e)
		}
	}
	sortRuns(others)
	list := make([]stretch, 1, len(others)+1)
	last := make(map[[2]string]Seconds)
	for _, e := range o.Events {
		now := &list[len(list)-1]
		key := [2]string{e.Reason, e.Message}
		switch {
		case engine.PerLook(e.Reason):
			before, ok := last[key]
			last[key] = e.At
			again := ok && e.At-before < moment || toldUntil(list[:len(list)-1], e)
			now.told, now.again = append(now.told, e), append(now.again, again)
		case len(list) <= len(others) && others[len(list)-1].Reason == e.Reason:
			now.then = others[len(list)-1]
			list = append(list, stretch{})
		}
	}
	return list
}

// toldUntil reports whether e was told in one of the stretches that ended a moment
// ago: what is told once in a stretch may have been true until its end.
func toldUntil(list []stretch, e Event) bool {
	for _, s := range slices.Backward(list) {
		if e.At-s.then.At >= moment {
			return false
		}
		if slices.ContainsFunc(s.told, func(o Event) bool { return o.Reason == e.Reason && o.Message == e.Message }) {
			return true
		}
	}
	return false
}

// lacks returns what is told for sure in s, but not in other.
func (s stretch) lacks(other stretch) (missing []string) {
	for i, e := range s.told {
		if !s.again[i] && !slices.ContainsFunc(other.told,
			func(o Event) bool { return o.Reason == e.Reason && o.Message == e.Message }) {
			missing = append(missing, fmt.Sprint(e))
		}
	}
	return missing
}

// sortRuns sorts events of one reason that follow each other at one instant.
func sortRuns(events []Event) {
	for from := 0; from < len(events); {
		to := from + 1
		for to < len(events) && events[to].Reason == events[from].Reason && math.Abs(
			float64(events[to].At-events[from].At),
		) < 0.05 {
			to++
		}
		slices.SortFunc(events[from:to], func(a, b Event) int { return strings.Compare(a.Message, b.Message) })
		from = to
	}
}

func (d *differ) events(got, want []stretch) {
	for i := range max(len(got), len(want)) {
		path := fmt.Sprintf("events[%d]", i)
		if i >= len(got) || i >= len(want) {
			d.add(path, "got %d events, want %d", len(got), len(want))
			return
		}
		if missing, more := want[i].lacks(got[i]), got[i].lacks(want[i]); len(missing)+len(more) > 0 {
			d.add(path, "missing %v, not wanted %v", missing, more)
		}
		g, w := got[i].then, want[i].then
		if g.Reason != w.Reason || g.Message != w.Message || g.Type != w.Type {
			d.add(path, "got %v, want %v", g, w)
			return
		}
	}
}

// WithoutHiddenEnds returns the events without the ends of jobs that the history
// deleted the moment they had ended: Kubernetes does not report those.
func WithoutHiddenEnds(o *Outcome) []Event {
	isHidden := func(e Event) bool {
		name, _, _ := strings.Cut(strings.TrimPrefix(e.Message, "Saw completed job: "), ",")
		return e.Reason == "SawCompletedJob" && slices.ContainsFunc(o.Jobs, func(j Job) bool {
			return j.Name == name && j.DeletedBy == "history" && j.End != nil && math.Abs(float64(*j.End-e.At)) < tolerance &&
				math.Abs(float64(*j.End-*j.DeletedAt)) < tolerance
		})
	}
	return slices.DeleteFunc(slices.Clone(o.Events), isHidden)
}
