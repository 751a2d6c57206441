package main

import "fmt"

// allocsPerCompletion is how many objects a completion allocates once a job
// has got going: what twice as many completions allocate more, exactly.
func allocsPerCompletion(l library, n, p, fails int) (float64, error) {
	var mallocs [2]uint64
	for i := range mallocs {
		w := &work{n: n * (i + 1), p: p, do: nothing, fails: fails}
		s, err := measure(func() error { return l.run(w) })
		if err != nil {
			return 0, err
		}
		mallocs[i] = s.mallocs
	}
	return (float64(mallocs[1]) - float64(mallocs[0])) / float64(n), nil
}

// steady are the jobs whose completions have to be free of allocations.
var steady = []struct {
	name string
	library
	fails int
}{
	{"NonIndexed", library{}, 0},
	{"Indexed", library{indexed: true}, 0},
	{"Indexed, limit per index", library{indexed: true, perIndex: true}, 0},
	{"Indexed, limit per index, fails twice", library{indexed: true, perIndex: true}, 2},
}

// allocLimit is what may be allocated for a completion now and then, such as a
// node of an index set for some thousands of them.
const allocLimit = 0.005

func (s *suite) allocs() error {
	n := s.pick(1_000_000, 50_000)
	t := newTable(fmt.Sprintf("ALLOCATIONS per completion in steady state: of %s, less of %s", count(2*n), count(n)),
		"", "p=1", "p=2", "p=64")
	for _, job := range steady {
		cells := []string{job.name}
		for _, p := range []int{1, 2, 64} {
			size := n
			if job.fails > 0 {
				size /= 10
			}
			allocs, err := allocsPerCompletion(job.library, size, p, job.fails)
			if err != nil {
				return err
			}
			cells = append(cells, fraction(allocs))
			if job.fails == 0 {
				s.atMost(fmt.Sprintf("allocations per completion, %s, p=%d", job.name, p), allocs, allocLimit, fraction)
			}
		}
		t.add(cells...)
	}
	t.print(s.out)
	return nil
}

func fraction(x float64) string { return fmt.Sprintf("%.6f", x) }
