package engine

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	simSeed   = flag.Uint64("sim.seed", 0, "run the simulation of this seed only")
	simEvents = flag.Int("sim", 150_000, "how many `events` to simulate")
)

// A simulation is a world with executors of random behavior and a user of
// random wishes.
type simulation struct {
	*world
	r      *rand.Rand
	todo   []errand // in order of time
	events int
	user   bool   // the user still interferes
	awaits bool   // it is to start after another job
	after  func() // called after each event, if not nil
}

// An errand is something that happens at a time.
type errand struct {
	at Time
	do func()
}

func newSimulation(seed uint64) *simulation {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &simulation{r: r, user: true, awaits: seed%8 == 0}
	spec := randomSpec(r)
	exact := s.chance(0.5)
	if exact {
		spec.History = 1 << 20
	}
	s.world = newWorld(spec, exact)
	s.renews = s.chance(0.5)
	return s
}

func (s *simulation) chance(p float64) bool { return s.r.Float64() < p }

func pick[T any](r *rand.Rand, choices ...T) T { return choices[r.IntN(len(choices))] }

func randomSpec(r *rand.Rand) Spec {
	half := func() bool { return r.IntN(2) == 0 }
	rare := func() bool { return r.IntN(6) == 0 }
	s := Spec{
		Completions:          pick(r, 0, 1, 2, 3, 5, 8, 20),
		Parallelism:          pick(r, 0, 1, 1, 2, 3, 5, 9),
		BackoffLimit:         pick(r, 0, 1, 2, 6, 6, 100),
		BackoffLimitPerIndex: None, MaxFailedIndexes: None, ActiveDeadline: None, AttemptTimeout: None, TTL: None,
		Grace:        pick(r, 0, time.Second, 30*time.Second),
		Suspend:      rare(),
		HoldsPending: rare(), QueuesStarts: rare(), CustomDelay: rare(), CustomRestartDelay: rare(),
		OnFailure: rare(), ReplaceFailed: half(),
		History:   pick(r, 0, 1, 5, 1000),
		Container: "main", Namespace: "default",
	}
	if rare() {
		s.ActiveDeadline = pick(r, 0, time.Second, time.Minute, time.Hour)
	}
	if rare() {
		s.AttemptTimeout = pick(r, 0, time.Second, time.Minute)
	}
	if rare() {
		s.ProgressDeadline = pick(r, 1, time.Second, time.Minute)
	}
	if rare() {
		s.TTL = pick(r, 0, time.Minute)
	}
	if half() {
		s.Indexed = true
		randomIndexedSpec(r, &s)
	} else if rare() {
		s.Completions = None
	}
	if r.IntN(3) == 0 {
		s.ReplaceFailed = true
		s.FailureRules = randomRules(r, s.perIndex())
	}
	return s
}

func randomIndexedSpec(r *rand.Rand, s *Spec) {
	if r.IntN(2) == 0 {
		s.BackoffLimitPerIndex = pick(r, 0, 1, 2)
		if r.IntN(2) == 0 {
			s.BackoffLimit = 1 << 31
		}
		if r.IntN(2) == 0 {
			s.MaxFailedIndexes = r.IntN(s.Completions + 1)
		}
	}
	if r.IntN(3) == 0 {
		for range 1 + r.IntN(2) {
			s.addSuccess(pick(r, "all/1", "all/3", "0", "1-3/2", "4-7", "all/0"))
		}
	}
}

func randomRules(r *rand.Rand, perIndex bool) []FailureRule {
	var s Spec
	rules := []string{
		"Ignore:DisruptionTarget", "Ignore:3", "Count:4", "FailJob:5", "Count:!1,3,4,5,6", "FailJob:error", "Ignore:Marked",
	}
	if perIndex {
		rules = append(rules, "FailIndex:6")
	}
	for range r.IntN(4) {
		s.addRule(pick(r, rules...))
	}
	return s.FailureRules
}

// later schedules something.
func (s *simulation) later(d time.Duration, do func()) {
	e := errand{s.now.Add(d), do}
	i, _ := slices.BinarySearchFunc(s.todo, e, func(a, b errand) int {
		if a.at <= b.at {
			return -1
		}
		return 1
	})
	s.todo = slices.Insert(s.todo, i, e)
}

// delay is a random time, often the same one, sometimes within the settling
// time, sometimes long.
func (s *simulation) delay() time.Duration {
	switch s.r.IntN(8) {
	case 0:
		return 0
	case 1:
		return time.Duration(s.r.Int64N(int64(settleTime)))
	case 2:
		return settleTime
	case 3:
		return 10 * time.Second
	case 4:
		return time.Duration(s.r.Int64N(int64(10 * time.Minute)))
	}
	return time.Duration(s.r.Int64N(int64(10 * time.Second)))
}

// tell gives the job an event, and plans what follows from it.
func (s *simulation) tell(do func()) {
	s.events++
	before := len(s.did)
	do()
	for _, text := range s.did[before:] {
		var seq, n int64
		switch {
		case scan(text, "start:%d", &seq):
			s.plan(seq)
		case scan(text, "stop:%d(", &seq):
			s.planStop(seq)
		case scan(text, "ask:%d/%d", &seq, &n), scan(text, "ask-restart:%d/%d", &seq, &n):
			s.later(s.delay(), s.answerOne)
		}
	}
	s.did = s.did[:before]
	if s.err == nil {
		s.err = s.stuck()
	}
	if s.err == nil && s.after != nil {
		s.after()
	}
}

func scan(text, format string, values ...any) bool {
	n, err := fmt.Sscanf(text, format, values...)
	return n == len(values) || err == nil
}

// plan plans what an attempt's executor does.
func (s *simulation) plan(seq int64) {
	spec := s.job.Spec
	d := s.delay()
	if spec.QueuesStarts {
		s.later(s.delay(), func() {
			s.tell(func() { s.begin(seq) })
			if s.executing[seq] != nil && s.job.Spec.QueuesStarts {
				s.later(d, func() { s.tell(func() { s.end(seq, s.result()) }) })
			}
		})
	} else {
		s.later(d, func() { s.tell(func() { s.end(seq, s.result()) }) })
	}
	event := func(ev Event) {
		s.later(s.delay(), func() {
			if ev.Attempt = s.attempt(seq); ev.Attempt != nil && (ev.Attempt.Pinned || ev.Kind >= AttemptDeleted) {
				s.tell(func() { s.step(ev) })
			}
		})
	}
	if spec.HoldsPending {
		event(Event{Kind: Started})
	}
	if s.chance(0.1) {
		event(Event{Kind: ReadyChanged, Ready: s.chance(0.5)})
	}
	if s.chance(0.05) {
		event(Event{Kind: ConditionSet, Cond: Condition{Type: "Marked", Status: pick(s.r, True, False)}})
	}
	if s.user && s.chance(0.08) {
		event(Event{Kind: AttemptDeleted})
	}
	if s.user && s.chance(0.08) {
		event(Event{Kind: Disrupted, Reason: pick(s.r, ByKubelet, ByPodGC, "EvictionByEvictionAPI")})
	}
}

// planStop lets an executor that was asked to stop do so, in most cases soon.
func (s *simulation) planStop(seq int64) {
	d := pick(s.r, 0, settleTime/2, 5*time.Millisecond, time.Second, time.Minute)
	s.later(d, func() { s.tell(func() { s.end(seq, s.result()) }) })
}

func (s *simulation) result() Result {
	r := Result{ErrorRule: None}
	if s.chance(0.5) || !s.user && s.chance(0.5) {
		return r
	}
	r.Code = pick(s.r, 1, 1, 1, 2, 3, 4, 5, 6, 137, 143)
	if n := len(s.job.Spec.FailureRules); n > 0 && s.chance(0.1) {
		r.ErrorRule = s.r.IntN(n)
	}
	r.Permanent = s.chance(0.02)
	if s.chance(0.1) {
		r.RetryAfter, r.Snooze = pick(s.r, 1, time.Second, time.Minute), s.chance(0.5)
	}
	return r
}

func (s *simulation) answerOne() {
	if len(s.asked) > 0 {
		i := s.r.IntN(len(s.asked))
		d := pick(s.r, 0, time.Millisecond, time.Second, time.Minute, time.Minute, -1)
		s.tell(func() { s.answer(i, Event{Delay: d}) })
	}
}

// interfere lets the user want something else.
func (s *simulation) interfere() {
	spec := *s.job.Spec
	switch s.r.IntN(18) {
	case 0, 1:
		spec.Parallelism = pick(s.r, 0, 1, 2, 5, 9)
	case 2, 3, 4:
		if spec.Indexed {
			n := pick(s.r, 0, 1, 2, 3, 5, 8, 12)
			spec.Completions, spec.Parallelism = n, n
		}
	case 5, 6:
		spec.Suspend = !spec.Suspend
	case 7:
		spec.ReplaceFailed = len(spec.FailureRules) > 0 || !spec.ReplaceFailed
	case 8:
		spec.BackoffLimit = pick(s.r, 0, 1, 6, 20)
	case 9:
		spec.ActiveDeadline = pick(s.r, None, time.Second, time.Hour)
	case 10:
		if spec.perIndex() {
			spec.MaxFailedIndexes = pick(s.r, None, 0, 1, 5)
		}
	case 11:
		spec.TTL = pick(s.r, None, 0, time.Hour)
	case 12:
		spec.AttemptTimeout, spec.Grace = pick(s.r, None, time.Second, time.Hour), pick(s.r, 0, time.Second)
	case 13:
		if !s.checker.exact {
			spec.History = pick(s.r, 0, 2, 1000)
		}
	case 14:
		spec.CustomDelay, spec.CustomRestartDelay = s.chance(0.3), s.chance(0.3)
	case 15:
		s.endIt()
		return
	case 16:
		s.cancel()
		return
	case 17:
		s.step(Event{Kind: Rerun, Keep: s.chance(0.5)})
		return
	}
	s.step(Event{Kind: Updated, Spec: new(spec)})
}

// cancel cancels some indexes, or now and then the job.
func (s *simulation) cancel() {
	ev := Event{Kind: Cancelled, Reason: "why"}
	for range s.r.IntN(4) {
		ev.Indexes = append(ev.Indexes, s.r.IntN(8))
	}
	s.step(ev)
}

// endIt ends a job now and then, before its time.
func (s *simulation) endIt() {
	switch s.r.IntN(12) {
	case 0:
		s.step(Event{Kind: Deleted, Orphan: s.chance(0.3), Linger: s.chance(0.5)})
	case 1:
		s.step(Event{Kind: Halted})
	case 2:
		s.step(Event{Kind: Interrupted})
	}
}

// next lets the next thing happen. It reports false when nothing is left.
func (s *simulation) next() bool {
	at := Never
	if len(s.todo) > 0 {
		at = s.todo[0].at
	}
	if due := s.job.Due(); due <= at && due != Never {
		if due < s.now {
			s.err = fmt.Errorf("due at %v, and it is %v", s.since(due), s.since(s.now))
		}
		s.now = max(s.now, due)
		s.tell(func() { s.step(Event{Kind: Tick}) })
		return true
	}
	if len(s.todo) == 0 {
		return false
	}
	s.now = max(s.now, at)
	do := s.todo[0].do
	s.todo = s.todo[1:]
	do()
	return true
}

// run runs a job to its end, and returns the fault if there is one.
func (s *simulation) run() error {
	s.tell(func() { s.step(Event{Kind: Created, Await: s.awaits}) })
	if s.awaits {
		s.awaitEnd()
	}
	for range s.r.IntN(30) {
		s.later(time.Duration(s.r.Int64N(int64(20*time.Minute))), func() { s.tell(s.interfere) })
	}
	s.later(30*time.Minute, s.letGo)
	for s.err == nil && s.next() {
		if s.events > 20_000 {
			return fmt.Errorf("does not come to an end")
		}
	}
	if s.err != nil {
		return s.err
	}
	j := s.job
	if j.FinishedAt == 0 && !j.gone && !j.halted {
		return fmt.Errorf("all is quiet, and the job is not finished")
	}
	if len(j.live) != 0 && !j.halted {
		return fmt.Errorf("%d attempts are left", len(j.live))
	}
	return nil
}

// awaitEnd has what the job awaits complete, or fail, some time later.
func (s *simulation) awaitEnd() {
	ended := Event{Kind: DependenciesMet}
	if s.chance(0.25) {
		ended = Event{Kind: DependencyFailed, Reason: "Job first, after which this one was to start, has failed"}
	}
	s.later(time.Duration(s.r.Int64N(int64(20*time.Minute))), func() {
		s.awaits = false
		s.tell(func() { s.step(ended) })
	})
}

// letGo lets the user want only that the job ends.
func (s *simulation) letGo() {
	s.user = false
	spec := *s.job.Spec
	if s.job.FinishedAt != 0 || spec.Parallelism > 0 && !spec.Suspend {
		return
	}
	spec.Parallelism, spec.Suspend = max(1, spec.Parallelism), false
	s.tell(func() { s.step(Event{Kind: Updated, Spec: new(spec)}) })
}

// TestSimulation runs random jobs to their ends. To repeat what it reports,
// run it with -sim.seed.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		s := newSimulation(*simSeed)
		if err := s.run(); err != nil {
			t.Fatalf("%+v\n%s\n%v", s.job.Spec, strings.Join(s.trace, "\n"), err)
		}
		return
	}
	events, seed := 0, uint64(0)
	outcomes := make(map[string]int)
	for events < *simEvents {
		seed++
		s := newSimulation(seed)
		if err := s.run(); err != nil {
			t.Errorf("go test -run TestSimulation -sim.seed=%d: %v", seed, err)
			if seed > 1e6 || outcomes["faults"] > 4 {
				return
			}
			outcomes["faults"]++
		}
		events += s.events
		outcomes[s.outcome()]++
		if s.job.Run() > 1 {
			outcomes["again"]++
		}
	}
	t.Logf("%d events of %d jobs: %v", events, seed, outcomes)
	for _, reason := range []string{"CompletionsReached", "SuccessPolicy", "BackoffLimitExceeded", "DeadlineExceeded",
		"MaxFailedIndexesExceeded", "FailedIndexes", "PodFailurePolicy", "Cancelled", "DependencyFailed", "again", "gone",
		"halted"} {
		require.NotZero(t, outcomes[reason], "no job has ended with %s", reason)
	}
}

func (s *simulation) outcome() string {
	switch j := s.job; {
	case j.FinishedAt != 0:
		return j.Conditions[len(j.Conditions)-1].Reason
	case j.gone:
		return "gone"
	}
	return "halted"
}

// TestDeterminism does the same twice.
func TestDeterminism(t *testing.T) {
	for seed := uint64(1); seed <= 300; seed++ {
		one, two := newSimulation(seed), newSimulation(seed)
		require.NoError(t, one.run())
		require.NoError(t, two.run())
		require.Equal(t, one.trace, two.trace, "seed %d", seed)
		require.Equal(t, one.dump(), two.dump(), "seed %d", seed)
	}
}
