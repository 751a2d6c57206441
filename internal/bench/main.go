// Command bench measures what the accounting of package batch costs, beside
// the ways in which Go programs run the same work without it.
//
//	go run ./internal/bench                  # everything, about four minutes
//	go run ./internal/bench -quick           # smaller sizes, about half a minute
//	go run ./internal/bench -list            # the sections
//	go run ./internal/bench -only 'noop|retry' -rounds 11
//
// Times of one machine say little on another, and little on the same one an
// hour later. So contenders take turns within a run, and what is printed and
// held against the budgets is the ratio of two times of the same round: the
// median over all rounds, with the smallest and the largest.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"time"
)

func main() {
	if runIfChild(os.Stdout) {
		return
	}
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A suite is one run of the command.
type suite struct {
	out     io.Writer
	quick   bool
	rounds  int
	budgets []budget
}

// pick returns a size for this run.
func (s *suite) pick(full, quick int) int {
	if s.quick {
		return quick
	}
	return full
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "use smaller sizes: a smoke test, whose figures say little")
	only := flags.String("only", "", "run only the sections whose names match this `regexp`")
	rounds := flags.Int("rounds", 0, "interleaved rounds; 0 means 7, or 3 with -quick")
	list := flags.Bool("list", false, "list the sections")
	asJSON := flags.String("json", "", "also write the budgets as JSON to this `file`")
	strict := flags.Bool("strict", false, "exit with status 1 if a budget is not met")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	s := &suite{out: out, quick: *quick, rounds: *rounds}
	if s.rounds <= 0 {
		s.rounds = s.pick(7, 3)
	}
	if !*list {
		s.printMachine()
	}
	for _, section := range sections {
		switch {
		case !chosen.MatchString(section.name):
		case *list:
			fmt.Fprintln(out, section.name)
		default:
			if err := section.run(s); err != nil {
				return fmt.Errorf("%s: %w", section.name, err)
			}
		}
	}
	over := s.printBudgets()
	if *asJSON != "" {
		if err := s.writeJSON(*asJSON); err != nil {
			return err
		}
	}
	if *strict && over > 0 {
		return fmt.Errorf("%d budgets are not met", over)
	}
	return nil
}

// A section is one or more tables that belong together.
type section struct {
	name string
	run  func(*suite) error
}

var sections = []section{
	{"noop", (*suite).noop},
	{"cpu", (*suite).cpu},
	{"wait", (*suite).wait},
	{"retry", (*suite).retry},
	{"features", (*suite).features},
	{"allocs", (*suite).allocs},
	{"memory", (*suite).memory},
	{"blocked", (*suite).blocked},
	{"jobs", (*suite).jobs},
	{"reaction", (*suite).reaction},
	{"get", (*suite).get},
	{"growth/completions", (*suite).growCompletions},
	{"growth/fragments", (*suite).growFragments},
	{"growth/retained", (*suite).growRetained},
	{"growth/jobs", (*suite).growJobs},
	{"growth/parallelism", (*suite).growParallelism},
}

func (s *suite) printMachine() {
	fmt.Fprintf(s.out, "%s %s/%s, GOMAXPROCS %d, %d rounds, %s\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), s.rounds, time.Now().Format(time.DateOnly))
}

func (s *suite) writeJSON(name string) error {
	text, err := json.MarshalIndent(s.budgets, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}
