package main

import (
	"fmt"
	"slices"
	"time"
)

// A comparison is the same work done by several contenders.
type comparison struct {
	work       *work
	contenders []contender
	rounds     int
	results    map[string]series
}

// compare lets contenders do work in turns, and prints a table of ratios to
// the contenders of that name.
func (s *suite) compare(title string, w *work, contenders []contender, refs ...string) (*comparison, error) {
	c := &comparison{work: w, contenders: contenders, rounds: s.rounds, results: make(map[string]series)}
	if err := c.measure(); err != nil {
		return nil, err
	}
	c.table(title, refs).print(s.out)
	return c, nil
}

func (c *comparison) measure() error {
	runs := make([]func() error, len(c.contenders))
	for i, contender := range c.contenders {
		runs[i] = func() error {
			if err := contender.run(c.work); err != nil {
				return fmt.Errorf("%s: %w", contender.name, err)
			}
			return nil
		}
	}
	all, err := interleave(c.rounds, runs)
	for i := range all {
		c.results[c.contenders[i].name] = all[i]
	}
	return err
}

func (c *comparison) table(title string, refs []string) *table {
	header := []string{"", "per task", "min – max"}
	for _, ref := range refs {
		header = append(header, "× "+ref)
	}
	t := newTable(title, append(header, "min – max", "CPU per task", "allocs per task")...)
	for _, contender := range c.contenders {
		s := c.results[contender.name]
		wall := s.perOp(c.work.n)
		cells := []string{contender.name, nanos(wall.median), wall.between(nanos)}
		var last spread
		for _, ref := range refs {
			last = s.ratio(c.results[ref])
			cells = append(cells, times(last.median))
		}
		t.add(append(cells, last.between(times), nanos(s.cpuPerOp(c.work.n).median),
			fmt.Sprintf("%.2f", s.allocsPerOp(c.work.n).median))...)
	}
	return t
}

// ratio is how many times longer one contender takes than another.
func (c *comparison) ratio(name, other string) spread { return c.results[name].ratio(c.results[other]) }

// modes are the ways in which the library does work that does not fail.
var modes = []contender{
	{"batch, Indexed", library{indexed: true}.run},
	{"batch, Indexed, limit per index", library{indexed: true, perIndex: true}.run},
}

// noop compares what a completion costs when there is nothing to do.
func (s *suite) noop() error {
	for _, p := range []int{2, 64} {
		w := &work{n: s.pick(400_000, 40_000), p: p, do: nothing}
		c, err := s.compare(fmt.Sprintf("NO-OP, parallelism %d, %s tasks", p, count(w.n)), w,
			slices.Concat(pools, modes, []contender{{
				"goroutines + atomic counter + clock", runRawClock,
			}}), nameBatch, nameErrgroup)
		if err != nil {
			return err
		}
		s.atMostRatio(fmt.Sprintf("no-op, p=%d: batch / errgroup", p), c.ratio(nameBatch, nameErrgroup), 0.25)
		s.atMostRatio(fmt.Sprintf("no-op, p=%d: batch / channel-fed pool", p), c.ratio(nameBatch, nameChannel), 1)
		for _, mode := range modes {
			s.atMostRatio(fmt.Sprintf("no-op, p=%d: %s / errgroup", p, mode.name), c.ratio(mode.name, nameErrgroup), 0.25)
		}
	}
	return nil
}

// cpu compares tasks that keep a core busy for 10 µs. The ratio of interest is
// so near to 1 that it takes many rounds of these two alone to see it. CPU time
// is compared too: what else runs on the machine does not add to it.
func (s *suite) cpu() error {
	w := &work{n: s.pick(20_000, 4_000), p: 2, do: burn(10 * time.Microsecond)}
	_, err := s.compare(fmt.Sprintf("10 µs OF CPU, parallelism %d, %s tasks", w.p, count(w.n)), w,
		pools, nameBatch, nameErrgroup, nameRaw)
	if err != nil {
		return err
	}
	duel := &comparison{work: w, contenders: pools[:2], rounds: s.pick(50, 10), results: make(map[string]series)}
	if err := duel.measure(); err != nil {
		return err
	}
	duel.table(
		fmt.Sprintf("10 µs OF CPU, these two alone, %s tasks, %d rounds", count(duel.work.n), duel.rounds),
		[]string{nameRaw},
	).print(s.out)
	s.atMostRatio("10 µs of CPU: batch / goroutines + counter", duel.ratio(nameBatch, nameRaw), 1.02)
	s.atMostRatio("10 µs of CPU: the same, CPU time", duel.results[nameBatch].cpuRatio(duel.results[nameRaw]), 1.02)
	return nil
}

// wait compares tasks that wait, a thousand at a time.
func (s *suite) wait() error {
	w := &work{n: s.pick(100_000, 10_000), p: 1_000, do: sleep}
	_, err := s.compare(fmt.Sprintf("1 ms OF WAITING, parallelism %s, %s tasks", count(w.p), count(w.n)), w,
		slices.Concat(pools, modes), nameBatch, nameErrgroup)
	return err
}

// retry compares tasks that fail twice before they succeed.
func (s *suite) retry() error {
	w := &work{n: s.pick(50_000, 8_000), p: 2, do: nothing, fails: 2}
	c, err := s.compare(fmt.Sprintf("FAILS TWICE, THEN SUCCEEDS, no delay, parallelism %d, %s tasks", w.p, count(w.n)), w,
		retriers, nameBatch, nameBackoff)
	if err != nil {
		return err
	}
	s.atMostRatio("failing twice: batch / errgroup + backoff", c.ratio(nameBatch, nameBackoff), 0.5)
	return nil
}

// features compares the library with itself while others look on. A goroutine
// that never rests takes its share of the cores whatever it does: the rows with
// spinners, which do not touch the job, show how much of a ratio is that.
func (s *suite) features() error {
	const both, spinner = "with a watcher and a status reader", "beside a spinning goroutine"
	contenders := []contender{
		{nameBatch, library{}.run},
		{"with a watcher", library{watched: true}.run},
		{"with a status reader", library{polled: true}.run},
		{both, library{watched: true, polled: true}.run},
		{spinner, library{spinners: 1}.run},
		{"beside two spinning goroutines", library{spinners: 2}.run},
	}
	for _, p := range []int{2, 64} {
		w := &work{n: s.pick(400_000, 40_000), p: p, do: nothing}
		c, err := s.compare(
			fmt.Sprintf("LOOKING ON, no-op, parallelism %d, %s tasks", p, count(w.n)), w, contenders, nameBatch,
		)
		if err != nil {
			return err
		}
		s.atMostRatio(fmt.Sprintf("no-op, p=%d: %s / without", p, both), c.ratio(both, nameBatch), 1.5)
	}
	return nil
}
