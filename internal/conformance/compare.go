package conformance

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// tolerance is how far a time may be off: the ideal times are rounded to 0.1 s
// and have a batching of 1 ms in each step.
const tolerance = 0.1 + 1e-6

// Compare lists the differences between what c wants, with ideal times, and
// what was seen. Each begins with the path of the field, a colon and a space,
// such as "conditions[1].reason: got "x", want "y"". No difference gives nil.
//
// Pods of Indexed jobs are matched by index and attempt, others by ordinal. The
// order and the times of events do not matter.
func Compare(c *Case, got *Observation) []string {
	var d differ
	want := c.Want()
	d.equal("accepted", got.Accepted, want.Accepted)
	d.fieldErrors("errors", got.Errors, want.Errors)
	if !want.Accepted || !got.Accepted || c.Scenario.ValidateOnly {
		return d.list
	}
	got = renumbered(got, want)
	d.equal("unfinished", got.Unfinished, want.Unfinished)
	d.optionalTime("finishedAt", got.FinishedAt, want.FinishedAt)
	d.optionalTime("goneAt", got.GoneAt, want.GoneAt)
	d.status(&got.Status, &want.Status)
	d.actions(got.Actions, want.Actions)
	d.pods(got.Pods, want.Pods)
	if got.Events != nil {
		d.events(got.Events, want.Events)
	}
	return d.list
}

// A differ collects differences.
type differ struct{ list []string }

func (d *differ) add(path, format string, args ...any) {
	d.list = append(d.list, path+": "+fmt.Sprintf(format, args...))
}

func (d *differ) equal(path string, got, want any) {
	if got != want {
		d.add(path, "got %#v, want %#v", got, want)
	}
}

func (d *differ) time(path string, got, want Seconds) {
	if math.Abs(float64(got-want)) > tolerance {
		d.add(path, "got %v, want %v", got, want)
	}
}

func (d *differ) optionalTime(path string, got, want *Seconds) {
	if got == nil || want == nil {
		d.equal(path, text(got), text(want))
		return
	}
	d.time(path, *got, *want)
}

// text is what p points to, as text, or "none".
func text[T any](p *T) string {
	if p == nil {
		return "none"
	}
	return fmt.Sprint(*p)
}

func (d *differ) status(got, want *Status) {
	d.conditions(got.Conditions, want.Conditions)
	d.equal("active", got.Active, want.Active)
	d.equal("ready", got.Ready, want.Ready)
	d.equal("succeeded", got.Succeeded, want.Succeeded)
	d.equal("failed", got.Failed, want.Failed)
	d.equal("terminating", got.Terminating, want.Terminating)
	d.equal("completedIndexes", got.CompletedIndexes, want.CompletedIndexes)
	d.equal("failedIndexes", text(got.FailedIndexes), text(want.FailedIndexes))
	d.optionalTime("startTime", got.StartTime, want.StartTime)
	d.optionalTime("completionTime", got.CompletionTime, want.CompletionTime)
}

func (d *differ) conditions(got, want []Condition) {
	if len(got) != len(want) {
		d.add("conditions", "got %v, want %v", conditionTypes(got), conditionTypes(want))
		return
	}
	for i, w := range want {
		path, g := fmt.Sprintf("conditions[%d].", i), got[i]
		d.equal(path+"type", g.Type, w.Type)
		d.equal(path+"status", g.Status, w.Status)
		d.equal(path+"reason", g.Reason, w.Reason)
		d.equal(path+"message", g.Message, w.Message)
		d.time(path+"at", g.At, w.At)
	}
}

func conditionTypes(conditions []Condition) []string {
	types := []string{}
	for _, c := range conditions {
		types = append(types, c.Type+"="+c.Status+"/"+c.Reason)
	}
	return types
}

func (d *differ) actions(got, want []ActionResult) {
	if len(got) != len(want) {
		d.add("actions", "got %d done, want %d", len(got), len(want))
		return
	}
	for i, w := range want {
		path, g := fmt.Sprintf("actions[%d].", i), got[i]
		d.time(path+"at", g.At, w.At)
		d.equal(path+"accepted", g.Accepted, w.Accepted)
		d.fieldErrors(path+"errors", g.Errors, w.Errors)
	}
}

// fieldErrors compares field and type. That one field has several errors of one
// type is ignored.
func (d *differ) fieldErrors(path string, got, want []FieldError) {
	g, w := fieldErrorSet(got), fieldErrorSet(want)
	if !slices.Equal(g, w) {
		d.add(path, "got %q, want %q", g, w)
	}
}

func fieldErrorSet(errs []FieldError) []string {
	set := []string{}
	for _, e := range errs {
		set = append(set, strings.TrimSpace(e.Field+" "+strings.TrimPrefix(e.Type, "FieldValue")))
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// A podKey distinguishes the pods of a job.
type podKey struct{ index, number int }

func (p Pod) key() podKey {
	if p.Index < 0 {
		return podKey{-1, p.Ordinal}
	}
	return podKey{p.Index, p.Attempt}
}

func (k podKey) String() string {
	if k.index < 0 {
		return fmt.Sprintf("pods[%d]", k.number)
	}
	return fmt.Sprintf("pods[%d/%d]", k.index, k.number)
}

func (d *differ) pods(got, want []Pod) {
	unmatched := make(map[podKey]Pod)
	for _, g := range got {
		unmatched[g.key()] = g
	}
	for _, w := range want {
		g, ok := unmatched[w.key()]
		if !ok {
			d.add(w.key().String(), "missing, want one created at %v", w.Created)
			continue
		}
		delete(unmatched, w.key())
		d.pod(g, w)
	}
	for _, g := range got {
		if _, ok := unmatched[g.key()]; ok {
			d.add(g.key().String(), "got one created at %v, want none", g.Created)
		}
	}
}

func (d *differ) pod(got, want Pod) {
	path := want.key().String() + "."
	d.time(path+"created", got.Created, want.Created)
	d.optionalTime(path+"end", got.End, want.End)
	d.equal(path+"phase", got.Phase, want.Phase)
	d.equal(path+"exit", text(got.Exit), text(want.Exit))
	d.equal(path+"restarts", got.Restarts, want.Restarts)
	d.equal(path+"failures", got.Failures, want.Failures)
	d.equal(path+"ignored", got.Ignored, want.Ignored)
	d.equal(path+"disrupted", got.Disrupted, want.Disrupted)
	d.equal(path+"deletedBy", got.DeletedBy, want.DeletedBy)
}

func (d *differ) events(got, want []Event) {
	got, want = sortedEvents(got), sortedEvents(want)
	for len(got) > 0 || len(want) > 0 {
		switch {
		case len(want) == 0 || len(got) > 0 && compareEvents(got[0], want[0]) < 0:
			d.add("events", "got %q, want none such", got[0])
			got = got[1:]
		case len(got) == 0 || compareEvents(got[0], want[0]) > 0:
			d.add("events", "got none such, want %q", want[0])
			want = want[1:]
		default:
			got, want = got[1:], want[1:]
		}
	}
}

func sortedEvents(events []Event) []Event {
	return slices.SortedFunc(slices.Values(events), compareEvents)
}

func compareEvents(a, b Event) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Message, b.Message))
}

// renumbered returns got with the ordinals that want gives to its pods, in the
// texts too: the order of the pods that an Indexed job creates at one instant
// does not matter.
func renumbered(got, want *Observation) *Observation {
	wanted := make(map[podKey]int)
	for _, w := range want.Pods {
		wanted[w.key()] = w.Ordinal
	}
	ordinals := make(map[int]int)
	renamed := got.clone()
	for i, g := range got.Pods {
		if ordinal, ok := wanted[g.key()]; ok {
			ordinals[g.Ordinal] = ordinal
			renamed.Pods[i].Ordinal = ordinal
		}
	}
	for i := range renamed.Conditions {
		renamePods(&renamed.Conditions[i].Message, ordinals)
	}
	for i := range renamed.Events {
		renamePods(&renamed.Events[i].Message, ordinals)
	}
	return renamed
}

var podName = regexp.MustCompile(`\{pod-(\d+)\}`)

// PodName is what texts have in place of a pod's name.
func PodName(ordinal int) string { return "{pod-" + strconv.Itoa(ordinal) + "}" }

func renamePods(text *string, ordinals map[int]int) {
	*text = podName.ReplaceAllStringFunc(*text, func(name string) string {
		ordinal, _ := strconv.Atoi(podName.FindStringSubmatch(name)[1])
		if renamed, ok := ordinals[ordinal]; ok {
			return PodName(renamed)
		}
		return name
	})
}
