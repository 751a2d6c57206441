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
	host     *host
	folder   string
	seed     uint64
	faults   int // at most
	lease    time.Duration
	patience time.Duration // for what has to come without faults
	breakage string        // see breakages
	only     string        // the one kind of fault; any if empty
	endless  bool          // the jobs do not end

	rng     *rand.Rand
	replica [processes]*replica
	counts  map[string]int

	// What follows is as far as the ledger was read.
	progress  reader
	executors int // that have begun
	last      int // the process that worked last
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
	proxy, err := pgtest.NewProxy(r.host.server.Port())
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(config{URL: r.host.server.URLAt(proxy.Port()),
		Name: fmt.Sprint("round-", r.breakage, r.seed), Ledger: r.ledger(), Seed: r.seed, Process: number,
		Endless: r.endless, Lease: r.lease, Break: r.breakage})
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
	defer r.close()
	err := r.runProcesses()
	lines, readErr := (&reader{path: r.ledger()}).next()
	j := newJudge()
	j.read(lines)
	if err == nil {
		j.end(newPlan(r.seed))
	}
	return j, errors.Join(err, readErr)
}

// start starts the processes.
func (r *round) start() error {
	r.rng, r.counts = rand.New(rand.NewPCG(r.seed, 2)), make(map[string]int)
	r.progress.path, r.last = r.ledger(), 1
	for i := range r.replica {
		p, err := r.newReplica(i + 1)
		if err != nil {
			return err
		}
		r.replica[i] = p
	}
	return nil
}

func (r *round) runProcesses() error {
	if err := r.start(); err != nil {
		return err
	}
	for range r.faults {
		if err := r.pause(); err != nil {
			return err
		}
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

// pause lets some time pass between two faults: most often until some process works,
// unless that takes longer than it should.
func (r *round) pause() error {
	time.Sleep(r.upTo(r.lease / 4))
	if r.rng.IntN(3) == 0 {
		return r.follow()
	}
	before := r.executors
	for end := time.Now().Add(3 * r.lease); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err := r.follow(); err != nil || r.executors > before {
			return err
		}
	}
	return nil
}

// follow reads what is new in the ledger.
func (r *round) follow() error {
	lines, err := r.progress.next()
	for _, l := range lines {
		if l.Fence > 0 {
			r.last = l.Process
			r.executors++
		}
	}
	return err
}
