//go:build unix

package crash

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// A round is one store from its beginning until all jobs in it have ended, with
// as many processes as that takes.
type round struct {
	folder   string // an empty one
	seed     uint64
	kills    int           // the most; the process after them may go on to the end
	patience time.Duration // how long a process may take that is not killed
	breakage string        // see breakages; empty for none

	rng     *rand.Rand
	judge   *judge
	ledger  *reader
	summary summary
}

// A summary says what rounds have come to.
type summary struct {
	rounds, kills, traps, shutdowns int

	counts
	findings []finding
	torn     int
}

// add adds another one.
func (s *summary) add(other summary) {
	s.rounds += other.rounds
	s.kills += other.kills
	s.traps += other.traps
	s.shutdowns += other.shutdowns
	s.torn += other.torn
	s.findings = append(s.findings, other.findings...)
	a, b := &s.counts, other.counts
	a.jobs += b.jobs
	a.executions += b.executions
	a.effects += b.effects
	a.told += b.told
	a.repeated += b.repeated
	a.resumed += b.resumed
	a.disrupted += b.disrupted
	a.delivered += b.delivered
}

// String gives the summary in one line.
func (s *summary) String() string {
	return fmt.Sprintf("kills %d (%d at a commit), shutdowns %d, stores %d, jobs %d, executions %d, side effects %d, "+
		"disrupted %d, "+
		"repeated before anybody was told %d, resumed from a checkpoint %d, statuses told %d, "+
		"ends delivered %d, lost %d, duplicated "+
		"acknowledged %d, otherwise wrong %d",
		s.kills, s.traps, s.shutdowns, s.rounds, s.jobs, s.executions, s.effects, s.disrupted,
		s.repeated, s.resumed, s.told, s.delivered, s.count(lost), s.count(duplicated), s.count(wrong))
}

func (s *summary) count(f fault) (n int) {
	for _, finding := range s.findings {
		if finding.fault == f {
			n++
		}
	}
	return n
}

// run runs the round. The error says what has kept it from coming to its end;
// what was found is in the summary either way.
func (r *round) run() (summary, error) {
	r.rng = rand.New(rand.NewPCG(r.seed, 2))
	r.judge = newJudge(newPlan(r.seed))
	file, err := os.OpenFile(filepath.Join(r.folder, "ledger"), os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return summary{}, err
	}
	defer file.Close()
	r.ledger = &reader{file: file}
	r.summary.rounds = 1
	for process, isOver := 0, false; !isOver && err == nil; process++ {
		isOver, err = r.runProcess(process)
	}
	r.summary.counts, r.summary.findings, r.summary.torn = r.judge.counts, r.judge.findings, r.ledger.torn
	return r.summary, err
}

// runProcess runs one child to its end, and reports whether all jobs have ended.
func (r *round) runProcess(process int) (bool, error) {
	c := config{
		Folder: r.folder, Seed: r.seed, Process: process, Break: r.breakage, Gone: slices.Sorted(maps.Keys(r.judge.gone)),
	}
	end := ending{patience: r.patience}
	if r.summary.kills < r.kills {
		end = r.someEnding()
		c.Trap = end.trap
	}
	code, out, err := end.run(&c)
	if err != nil {
		return false, fmt.Errorf("process %d: %w: %s", process, err, out)
	}
	lines, err := r.ledger.next()
	if err != nil {
		return false, err
	}
	for _, l := range lines {
		r.judge.read(l)
	}
	r.judge.end(code == exitHalted)
	if code == exitDone {
		r.judge.over()
	}
	return code == exitDone, r.count(code, &end, out)
}

// count counts how a process has ended.
func (r *round) count(code int, end *ending, out string) error {
	switch code {
	case exitDone:
	case exitHalted:
		r.summary.shutdowns++
	case exitKilled:
		r.summary.kills++
		if !end.killed {
			r.summary.traps++
		}
	default:
		return fmt.Errorf("process %d ends with exit code %d: %s", r.judge.process, code, out)
	}
	return nil
}

// someEnding decides how a process is to end: at once, while it starts, or
// later; killed from outside, or at a certain commit, or shut down, or killed
// while it shuts down.
func (r *round) someEnding() ending {
	if r.breakage != "" { // it is to be found on a machine of any speed
		return ending{patience: r.patience, trap: trap{Commit: fewCommits + r.rng.IntN(25), When: "after"}}
	}
	milliseconds := func(n int) time.Duration { return time.Duration(r.rng.IntN(n*1000)) * time.Microsecond }
	end := ending{after: 5*time.Millisecond + milliseconds(300)}
	switch r.rng.IntN(10) {
	case 0, 1:
		end.after = time.Microsecond + milliseconds(40)
	case 2, 3, 4:
		when := []string{"before", "during", "during", "after", "after"}
		end.after = 600 * time.Millisecond // if there are not so many commits
		end.trap = trap{Commit: 1 + r.rng.IntN(30), When: when[r.rng.IntN(len(when))], Delay: milliseconds(3)}
	case 5:
		end.term = true
		end.grace = longShutdown
	case 6:
		end.term = true
		end.grace = milliseconds(30)
	}
	return end
}

// longShutdown is how long a shutdown may take that is not disturbed.
const longShutdown = 30 * time.Second

// An ending is how and when a process ends.
type ending struct {
	after    time.Duration // its start; zero leaves it alone
	trap     trap
	term     bool          // send it SIGTERM
	grace    time.Duration // and kill it that long after
	patience time.Duration // how long it may take if it is left alone
	killed   bool          // it was killed from outside
}

// exitKilled stands for a process that a signal has ended.
const exitKilled = -1

// run runs a child and returns its exit code, and what it has printed.
func (e *ending) run(c *config) (code int, out string, err error) {
	program, err := os.Executable()
	if err != nil {
		return 0, "", err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return 0, "", err
	}
	var printed bytes.Buffer
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := cmd.Start(); err != nil {
		return 0, "", err
	}
	over := make(chan struct{})
	killer := make(chan error, 1)
	go func() { killer <- e.end(cmd.Process, over) }()
	err = cmd.Wait()
	close(over)
	return cmd.ProcessState.ExitCode(), printed.String(), errors.Join(<-killer, unlessExit(err))
}

func unlessExit(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

// end ends a process, unless it is over before.
func (e *ending) end(process *os.Process, over <-chan struct{}) error {
	if !e.wait(cmp.Or(e.after, e.patience), over) {
		return nil
	}
	if e.term {
		e.killed = true                     // if it comes before the process can catch it
		_ = process.Signal(syscall.SIGTERM) // it fails if the process is over
		if !e.wait(e.grace, over) {
			return nil
		}
	}
	if e.after == 0 || e.grace == longShutdown {
		_ = process.Signal(syscall.SIGQUIT) // so that it prints its stacks
		return fmt.Errorf("it has not ended within %v", cmp.Or(e.grace, e.patience))
	}
	e.killed = true
	_ = process.Kill()
	return nil
}

func (e *ending) wait(d time.Duration, over <-chan struct{}) bool {
	select {
	case <-time.After(d):
		return true
	case <-over:
		return false
	}
}
