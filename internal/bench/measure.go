package main

import (
	"runtime"
	"slices"
	"time"
)

// A sample is what one run of some work took.
type sample struct {
	wall, cpu time.Duration // cpu is user and system time of the whole process
	mallocs   uint64
}

// measure runs f on a clean heap.
func measure(f func() error) (sample, error) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := cpuTime(), time.Now()
	err := f()
	s := sample{wall: time.Since(start), cpu: cpuTime() - cpu}
	runtime.ReadMemStats(&after)
	s.mallocs = after.Mallocs - before.Mallocs
	return s, err
}

// A series is the samples of one contender, one for each round.
type series []sample

// interleave lets every contender run once a round. Every other round goes
// backwards, so that none always follows the same one.
func interleave(rounds int, contenders []func() error) ([]series, error) {
	all := make([]series, len(contenders))
	for i, run := range contenders { // once for caches and calibration
		if rounds < 3 {
			break
		}
		if err := run(); err != nil {
			return nil, err
		}
		all[i] = make(series, 0, rounds)
	}
	order := make([]int, len(contenders))
	for i := range order {
		order[i] = i
	}
	for range rounds {
		for _, i := range order {
			s, err := measure(contenders[i])
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], s)
		}
		slices.Reverse(order)
	}
	return all, nil
}

// A spread is the median of some values, with the smallest and the largest.
type spread struct{ median, min, max float64 }

func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	middle := v[len(v)/2]
	if len(v)%2 == 0 {
		middle = (middle + v[len(v)/2-1]) / 2
	}
	return spread{middle, v[0], v[len(v)-1]}
}

// each is the spread of what f makes of the samples.
func (s series) each(f func(sample) float64) spread {
	values := make([]float64, len(s))
	for i := range s {
		values[i] = f(s[i])
	}
	return spreadOf(values)
}

// perOp is the time for one of n operations, in nanoseconds.
func (s series) perOp(n int) spread {
	return s.each(func(x sample) float64 { return float64(x.wall) / float64(n) })
}

// cpuPerOp is the CPU time for one of n operations, in nanoseconds.
func (s series) cpuPerOp(n int) spread {
	return s.each(func(x sample) float64 { return float64(x.cpu) / float64(n) })
}

// allocsPerOp is how many objects one of n operations allocates.
func (s series) allocsPerOp(n int) spread {
	return s.each(func(x sample) float64 { return float64(x.mallocs) / float64(n) })
}

// ratio is how many times longer s takes than other in the same round.
func (s series) ratio(other series) spread {
	return s.ratioOf(other, func(x sample) float64 { return float64(x.wall) })
}

// cpuRatio is how many times more CPU time s takes than other in the same round.
func (s series) cpuRatio(other series) spread {
	return s.ratioOf(other, func(x sample) float64 { return float64(x.cpu) })
}

func (s series) ratioOf(other series, f func(sample) float64) spread {
	values := make([]float64, len(s))
	for i := range s {
		values[i] = f(s[i]) / f(other[i])
	}
	return spreadOf(values)
}
