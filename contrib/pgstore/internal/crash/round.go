//go:build unix

package crash

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/runtocompletion/batch/internal/pgtest"
)

// processes is how many have the store.
const processes = 3

// A round is one store, from the first process to the end of all jobs.
type round struct {
	server   *pgtest.Server
	folder   string
	seed     uint64
	faults   int // at most
	lease    time.Duration
	patience time.Duration // for what has to come without faults
	breakage string        // see breakages
	only     string        // the one kind of fault; any if empty

	rng     *rand.Rand
	replica [processes]*replica
	hits    []hit
	counts  map[string]int
}

// A hit is a fault that has met the process that worked.
type hit struct {
	kind string
	pid  int
	at   time.Time
}

func (r *round) ledger() string { return filepath.Join(r.folder, "ledger") }

// A replica is one of the places in which processes run, one after the other.
type replica struct {
	number int
	proxy  *pgtest.Proxy
	env    string

	mu      sync.Mutex // guards the fields below
	cmd     *exec.Cmd
	printed *bytes.Buffer
	over    chan struct{} // closed when it has ended
	code    int
}

func (r *round) newReplica(number int) (*replica, error) {
	proxy, err := pgtest.NewProxy(r.server.Port())
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(config{URL: r.server.URLAt(proxy.Port()),
		Name: fmt.Sprint("round-", r.breakage, r.seed), Ledger: r.ledger(), Seed: r.seed, Process: number, Lease: r.lease,
		Break: r.breakage})
	p := &replica{number: number, proxy: proxy, env: childVariable + "=" + string(text)}
	return p, errors.Join(err, p.start())
}

func (p *replica) start() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd, printed, over := exec.Command(program), new(bytes.Buffer), make(chan struct{})
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), p.env), printed, printed
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.printed, p.over = cmd, printed, over
	go func() {
		_ = cmd.Wait() // the exit code says it all
		p.mu.Lock()
		p.code = cmd.ProcessState.ExitCode()
		p.mu.Unlock()
		close(over)
	}()
	return nil
}

// hasEnded reports whether the process is over, and how.
func (p *replica) hasEnded() (code int, ended bool) {
	select {
	case <-p.over:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.code, true
	default:
		return 0, false
	}
}

func (p *replica) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) } // it fails if it has ended

// run runs the round, and returns what the judge has found, also with an error, which
// says what has kept the round from coming to its end.
func (r *round) run() (*judge, error) {
	r.rng, r.counts = rand.New(rand.NewPCG(r.seed, 2)), make(map[string]int)
	defer r.close()
	err := r.runProcesses()
	lines, readErr := readLedger(r.ledger())
	j := newJudge()
	j.read(lines)
	if err == nil {
		j.end(plan(r.seed))
	}
	return j, errors.Join(err, readErr)
}

func (r *round) runProcesses() error {
	for i := range r.replica {
		p, err := r.newReplica(i + 1)
		if err != nil {
			return err
		}
		r.replica[i] = p
	}
	for range r.faults {
		time.Sleep(time.Duration(r.rng.IntN(int(r.lease) / 2)))
		over, err := r.isOver()
		if err != nil {
			return err
		}
		if over {
			break
		}
		if err := r.fault(); err != nil {
			return err
		}
	}
	return r.finish()
}

func (r *round) close() {
	for _, p := range r.replica {
		if p == nil {
			continue
		}
		p.signal(syscall.SIGKILL)
		<-p.over
		p.proxy.Close()
	}
}

// isOver reports whether a process has seen the end of all jobs. One that could not do
// its work is an error.
func (r *round) isOver() (bool, error) {
	over := false
	for _, p := range r.replica {
		code, ended := p.hasEnded()
		switch {
		case !ended, code == exitHalted, code < 0:
		case code == exitDone:
			over = true
		default:
			return false, fmt.Errorf("process ends with exit code %d: %s", code, p.printed)
		}
	}
	return over, nil
}

// finish lets every process see the end of all jobs.
func (r *round) finish() error {
	deadline := time.After(r.patience)
	for _, p := range r.replica {
		for {
			code, ended := p.hasEnded()
			if ended && code == exitDone {
				break
			}
			if ended {
				if err := p.start(); err != nil {
					return err
				}
			}
			select {
			case <-p.over:
			case <-deadline:
				p.signal(syscall.SIGQUIT)
				<-p.over
				return fmt.Errorf("process %d has not ended within %v: %s", p.number, r.patience, p.printed)
			}
		}
	}
	return nil
}

// worker returns the replica that works, as far as the ledger says.
func (r *round) worker() (*replica, error) {
	lines, err := readLedger(r.ledger())
	if errors.Is(err, os.ErrNotExist) {
		return r.replica[0], nil
	}
	for i := len(lines) - 1; i >= 0; i-- {
		if lines[i].Kind == began {
			return r.replica[lines[i].Process-1], err
		}
	}
	return r.replica[0], err
}

// fault does something to a process, to its connections or to the server, and undoes it.
func (r *round) fault() error {
	works, err := r.worker()
	if err != nil {
		return err
	}
	p := works
	if r.rng.IntN(3) == 0 {
		p = r.replica[r.rng.IntN(processes)]
	}
	if _, ended := p.hasEnded(); ended {
		return p.start()
	}
	name, do := r.choose(p)
	for r.only != "" && name != r.only {
		name, do = r.choose(p)
	}
	r.counts[name]++
	if p == works || p == nil {
		r.hits = append(r.hits, hit{name, p.cmd.Process.Pid, time.Now()})
	}
	return do()
}

// choose returns a fault.
func (r *round) choose(p *replica) (name string, do func() error) {
	upTo := func(d time.Duration) time.Duration { return time.Duration(r.rng.Int64N(int64(d))) }
	switch n := r.rng.IntN(100); {
	case n < 30:
		return "SIGKILL", func() error {
			p.signal(syscall.SIGKILL)
			<-p.over
			time.Sleep(upTo(r.lease))
			return p.start()
		}
	case n < 50:
		return "SIGTERM", func() error {
			p.signal(syscall.SIGTERM)
			select {
			case <-p.over:
			case <-time.After(r.patience):
				return fmt.Errorf("process %d has not ended after SIGTERM", p.number)
			}
			return p.start()
		}
	case n < 70:
		return "SIGSTOP", func() error {
			p.signal(syscall.SIGSTOP)
			time.Sleep(upTo(3 * r.lease))
			p.signal(syscall.SIGCONT)
			return nil
		}
	case n < 82:
		return "cut", func() error { p.proxy.Cut(); return nil }
	case n < 94:
		return "hold", func() error {
			p.proxy.Hold(true)
			time.Sleep(upTo(3 * r.lease))
			p.proxy.Hold(false)
			return nil
		}
	case n < 97:
		return "fast restart", func() error { return r.restart("fast") }
	}
	return "immediate restart", func() error { return r.restart("immediate") }
}

func (r *round) restart(mode string) error {
	if err := r.server.Stop(mode); err != nil {
		return err
	}
	return r.server.Restart()
}
