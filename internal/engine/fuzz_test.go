package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runtocompletion/batch/internal/indexset"
)

// A codec writes specs and events as bytes, or reads them: any bytes make
// sense when read. What cannot be written exactly is written roughly.
type codec struct {
	data    []byte
	writing bool
}

func (c *codec) byte(b *byte) {
	switch {
	case c.writing:
		c.data = append(c.data, *b)
	case len(c.data) == 0:
		*b = 0
	default:
		*b = c.data[0]
		c.data = c.data[1:]
	}
}

// number is a number below 40, or None.
func (c *codec) number(n *int) {
	b := byte(min(max(*n, None)+1, 40))
	c.byte(&b)
	*n = int(b%41) - 1
}

func (c *codec) count(n *int) {
	c.number(n)
	*n = max(*n, 0)
}

var codedTimes = []time.Duration{0, 1, settleTime / 2, settleTime, 5 * time.Millisecond, time.Second, 2 * time.Second,
	5 * time.Second,
	10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute, 10 * time.Minute, time.Hour}

// duration is one of codedTimes, or None.
func (c *codec) duration(d *time.Duration) {
	b := byte(0)
	for i, t := range codedTimes {
		if t <= *d {
			b = byte(i + 1)
		}
	}
	c.byte(&b)
	*d = None
	if i := int(b) % (len(codedTimes) + 1); i > 0 {
		*d = codedTimes[i-1]
	}
}

func (c *codec) flags(flags ...*bool) {
	var b byte
	for i, f := range flags {
		if *f {
			b |= 1 << i
		}
	}
	c.byte(&b)
	for i, f := range flags {
		*f = b&(1<<i) != 0
	}
}

func (c *codec) spec(s *Spec) {
	c.flags(&s.Indexed, &s.OnFailure, &s.Suspend, &s.ReplaceFailed, &s.Unmanaged)
	c.flags(&s.HoldsPending, &s.QueuesStarts, &s.CustomDelay, &s.CustomRestartDelay)
	c.number(&s.Completions)
	c.count(&s.Parallelism)
	c.count(&s.BackoffLimit)
	c.number(&s.BackoffLimitPerIndex)
	c.number(&s.MaxFailedIndexes)
	c.duration(&s.ActiveDeadline)
	c.duration(&s.AttemptTimeout)
	c.duration(&s.ProgressDeadline)
	c.duration(&s.Grace)
	c.duration(&s.TTL)
	c.count(&s.History)
	c.rules(s)
	s.Grace, s.ProgressDeadline = max(s.Grace, 0), max(s.ProgressDeadline, 0)
	if !s.Indexed {
		s.BackoffLimitPerIndex, s.MaxFailedIndexes, s.SuccessRules = None, None, nil
	} else {
		s.Completions = max(s.Completions, 0)
	}
	if !s.perIndex() {
		s.MaxFailedIndexes = None
	}
}

func (c *codec) rules(s *Spec) {
	failures, successes := len(s.FailureRules), len(s.SuccessRules)
	c.count(&failures)
	c.count(&successes)
	s.FailureRules = resize(s.FailureRules, min(failures, 3))
	s.SuccessRules = resize(s.SuccessRules, min(successes, 2))
	for i := range s.FailureRules {
		c.failureRule(&s.FailureRules[i], s.perIndex())
	}
	for i := range s.SuccessRules {
		c.successRule(&s.SuccessRules[i])
	}
}

func resize[T any](list []T, n int) []T { return append(list, make([]T, 3)...)[:n:n] }

func (c *codec) failureRule(r *FailureRule, perIndex bool) {
	action, byCode := byte(r.Action), len(r.Codes) > 0
	c.byte(&action)
	c.flags(&r.NotIn, &byCode)
	code := 1
	if byCode && c.writing {
		code = r.Codes[0]
	}
	c.count(&code)
	r.Action = FailureAction(action % 4)
	if r.Action == FailIndex && !perIndex {
		r.Action = Count
	}
	if r.Codes, r.Conditions = []int{code}, nil; !byCode {
		r.Codes, r.Conditions = nil, []Condition{{Type: DisruptionTarget, Status: True}}
	}
}

func (c *codec) successRule(r *SuccessRule) {
	first, last, all := 0, 0, r.Indexes == nil
	if !all {
		first, _ = r.Indexes.Min()
		last, _ = r.Indexes.Max()
	}
	c.number(&first)
	c.number(&last)
	c.number(&r.Count)
	c.flags(&all)
	if r.Indexes = nil; !all || r.Count == None {
		r.Indexes = new(indexset.Set)
		r.Indexes.AddRange(first, last)
	}
}

// Changes of a spec, as events with an argument.
const (
	setParallelism = iota
	setCompletions // and parallelism
	setBackoffLimit
	setMaxFailed
	setDeadline
	setTimeout
	setGrace
	setTTL
	setHistory
	setSuspend
	setReplace
	setCustomDelay
	setCustomRestart
	numSettings
)

// change reads or writes one field of a spec that may change.
func (c *codec) change(s *Spec, field byte) {
	switch field % numSettings {
	case setParallelism:
		c.count(&s.Parallelism)
	case setCompletions:
		c.number(&s.Completions)
		s.Completions = max(s.Completions, 0)
		s.Parallelism = s.Completions
	case setBackoffLimit:
		c.count(&s.BackoffLimit)
	case setMaxFailed:
		c.number(&s.MaxFailedIndexes)
	case setDeadline:
		c.duration(&s.ActiveDeadline)
	case setTimeout:
		c.duration(&s.AttemptTimeout)
	case setGrace:
		c.duration(&s.Grace)
		s.Grace = max(s.Grace, 0)
	case setTTL:
		c.duration(&s.TTL)
	case setHistory:
		c.count(&s.History)
	case setSuspend:
		c.flags(&s.Suspend)
	case setReplace:
		c.flags(&s.ReplaceFailed)
	case setCustomDelay:
		c.flags(&s.CustomDelay)
	case setCustomRestart:
		c.flags(&s.CustomRestartDelay)
	}
}

// allowed reports whether validation lets the field change.
func allowed(s *Spec, field byte) bool {
	switch field % numSettings {
	case setCompletions:
		return s.Indexed
	case setMaxFailed:
		return s.perIndex()
	}
	return true
}

// The kinds of lines in a fuzzed script: those of events, and some that give
// the kinds' usual order a better chance.
const (
	opBegin  = byte(Interrupted) + 1 + iota // a queued attempt gets its slot
	opReturn                                // an executor that runs returns
	opAnswer                                // a question is answered
	opCancel                                // the job, or an index, is cancelled
	opAgain                                 // the job is run again
	opSign                                  // an attempt gives a sign of life
	numOps
)

// An op is a line of a script: what happens, to which attempt, and after how
// long.
type op struct {
	kind, attempt byte
	after         time.Duration
	untilDue      bool
	code          int
	reason        byte
	delay         time.Duration
	index, n      int
	flag, other   bool
	field         byte
}

func (c *codec) op(o *op, spec *Spec) {
	c.byte(&o.kind)
	c.duration(&o.after)
	o.after = max(o.after, 0)
	switch o.kind %= numOps; o.kind {
	case byte(Ended), opReturn:
		c.byte(&o.attempt)
		c.number(&o.code)
		c.flags(&o.flag, &o.other)
		c.duration(&o.delay)
	case opCancel:
		c.number(&o.index)
	case opAgain:
		c.flags(&o.flag)
	case byte(Started), byte(AttemptDeleted), opBegin, opSign:
		c.byte(&o.attempt)
	case byte(ReadyChanged), byte(ConditionSet):
		c.byte(&o.attempt)
		c.flags(&o.flag)
	case byte(Disrupted):
		c.byte(&o.attempt)
		c.byte(&o.reason)
	case byte(RestartDelayKnown), opAnswer:
		c.byte(&o.attempt)
		c.duration(&o.delay)
	case byte(DelayKnown):
		c.number(&o.index)
		c.count(&o.n)
		c.duration(&o.delay)
	case byte(Deleted):
		c.flags(&o.flag, &o.other)
	case byte(Updated):
		c.byte(&o.field)
		c.change(spec, o.field)
	case byte(Tick):
		c.flags(&o.untilDue)
	}
}

// A fuzzer gives a world the events of a script, in whatever order.
type fuzzer struct {
	*world
	known []known // every attempt that was ever started
}

type known struct {
	a   *Attempt
	seq int64
}

func (f *fuzzer) apply(o op, spec Spec) {
	if o.untilDue && f.job.Due() != Never {
		f.runUntil(f.job.Due())
	}
	f.runUntil(f.now.Add(o.after))
	for _, a := range f.job.live {
		if k := (known{a, a.Seq}); !slices.Contains(f.known, k) {
			f.known = append(f.known, k)
		}
	}
	ev := Event{Kind: EventKind(o.kind)}
	switch o.kind {
	case opReturn:
		if seqs := slices.Sorted(maps.Keys(f.executing)); len(seqs) > 0 {
			f.end(seqs[int(o.attempt)%len(seqs)], o.result())
		}
		return
	case opBegin:
		if seqs := slices.Sorted(maps.Keys(f.line)); len(seqs) > 0 {
			f.begin(seqs[int(o.attempt)%len(seqs)])
		}
		return
	case opAnswer:
		if n := len(f.asked); n > 0 {
			f.answer(int(o.attempt)%n, Event{Delay: o.delay})
		}
		return
	case opCancel:
		ev = Event{Kind: Cancelled, Reason: "why"}
		if o.index >= 0 {
			ev.Indexes = []int{o.index}
		}
		f.step(ev)
		return
	case opAgain:
		f.step(Event{Kind: Rerun, Keep: o.flag})
		return
	case opSign:
		f.signs[int64(o.attempt)] = f.now
		return
	case byte(Started), byte(Ended), byte(ReadyChanged), byte(ConditionSet), byte(AttemptDeleted), byte(Disrupted),
		byte(RestartDelayKnown):
		if len(f.known) == 0 {
			return
		}
		k := f.known[int(o.attempt)%len(f.known)]
		if k.a.Seq != k.seq {
			return // the record is another attempt's now
		}
		if ev.Attempt = k.a; ev.Kind == Ended && !o.flag && f.executing[k.seq] == k.a {
			f.end(k.seq, o.result())
			return
		}
	case byte(Updated):
		ev.Spec = &spec
	}
	f.step(o.event(ev))
}

func (o op) result() Result {
	return Result{Code: max(o.code, 0), ErrorRule: None, Permanent: o.flag && o.code > 0,
		RetryAfter: max(o.delay, 0), Snooze: o.other}
}

func (o op) event(ev Event) Event {
	switch ev.Kind {
	case Ended:
		if ev.Result = o.result(); !o.flag {
			ev.Attempt.Pinned = false
		}
	case ReadyChanged:
		ev.Ready = o.flag
	case ConditionSet:
		ev.Cond = Condition{Type: DisruptionTarget, Status: False}
		if o.flag {
			ev.Cond.Status = True
		}
	case Disrupted:
		ev.Reason = []string{ByKubelet, ByPodGC, "EvictionByEvictionAPI"}[o.reason%3]
	case RestartDelayKnown:
		ev.Delay = o.delay
	case DelayKnown:
		ev.Delay, ev.Index, ev.N = o.delay, o.index, o.n
	case Deleted:
		ev.Orphan, ev.Linger = o.flag, o.other
	}
	return ev
}

func fuzz(data []byte) error {
	c := codec{data: data}
	var spec Spec
	exact, renews := false, false
	c.flags(&exact, &renews)
	c.spec(&spec)
	if exact {
		spec.History = 1 << 20
	}
	f := fuzzer{world: newWorld(spec, exact)}
	f.renews = renews
	f.step(Event{Kind: Created})
	for n := 0; len(c.data) > 0 && f.err == nil && n < 300; n++ {
		var o op
		spec := *f.job.Spec
		c.op(&o, &spec)
		if o.kind == byte(Updated) && (!allowed(&spec, o.field) || exact && o.field%numSettings == setHistory) {
			continue
		}
		f.apply(o, spec)
	}
	if f.err == nil {
		f.runUntil(f.now.Add(time.Hour))
	}
	if f.err != nil {
		return fmt.Errorf("%+v\n%s\n%w", spec, strings.Join(f.trace, "\n"), f.err)
	}
	return nil
}

// encode writes down what happened in a world as input for the fuzzer.
func encode(first Spec, events []Event) []byte {
	c := codec{writing: true}
	renews := true
	c.flags(new(bool), &renews)
	c.spec(&first)
	last := epoch
	for _, ev := range events {
		o := op{kind: byte(ev.Kind), after: time.Duration(ev.At - last), code: ev.Result.Code,
			flag:  ev.Result.Permanent || ev.Ready || ev.Orphan,
			other: ev.Linger || ev.Result.Snooze, delay: ev.Delay + ev.Result.RetryAfter, index: ev.Index, n: ev.N}
		if ev.Attempt != nil {
			o.attempt = byte(ev.Attempt.Seq)
		}
		last = ev.At
		switch ev.Kind {
		case Cancelled:
			o.kind, o.index = opCancel, None
			if len(ev.Indexes) > 0 {
				o.index = ev.Indexes[0]
			}
			c.op(&o, nil)
		case Rerun:
			o.kind, o.flag = opAgain, ev.Keep
			c.op(&o, nil)
		case SignKnown: // the fuzzer answers by itself
		case Created, Tick:
			last = ev.At - Time(o.after) // the fuzzer ticks by itself
		case Updated:
			for field := range byte(numSettings) {
				o.field = field
				c.op(&o, new(*ev.Spec))
				o.after = 0
			}
		default:
			c.op(&o, nil)
		}
	}
	return c.data
}

func FuzzEngine(f *testing.F) {
	for _, plays := range []map[string]play{vectorPlays, eventPlays, accountPlays, mixesPlays, restartPlays, decidePlays,
		indexPlays, attemptPlays,
		cancelPlays, againPlays, duePlays} {
		for _, name := range slices.Sorted(maps.Keys(plays)) {
			f.Add(plays[name].encode(f))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := fuzz(data); err != nil {
			t.Fatal(err)
		}
	})
}
