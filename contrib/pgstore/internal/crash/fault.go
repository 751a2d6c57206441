//go:build unix

package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/runtocompletion/batch/internal/disktest"
	"github.com/runtocompletion/batch/internal/pgtest"
)

// A fault is something that is done to a process, to its connections or to the server,
// and undone.
type fault struct {
	name   string
	weight int // how often it is chosen
	do     func(r *round, p *replica) error
}

var faultKinds = []fault{
	{name: "SIGKILL", weight: 30, do: (*round).kill},
	{name: "SIGTERM", weight: 20, do: (*round).terminate},
	{name: "SIGSTOP", weight: 20, do: (*round).suspend},
	{name: "cut", weight: 12, do: func(_ *round, p *replica) error { p.proxy.Cut(); return nil }},
	{name: "hold", weight: 12, do: (*round).hold},
	{name: "fast restart", weight: 2, do: func(r *round, _ *replica) error { return r.host.restart("fast") }},
	{name: "immediate restart", weight: 2, do: func(r *round, _ *replica) error { return r.host.restart("immediate") }},
	{name: fullDisk, weight: 2, do: func(r *round, _ *replica) error { return r.host.fillDisk(r.upTo(3 * r.lease)) }},
}

const fullDisk = "full disk"

// kinds are the faults to choose from.
func (r *round) kinds() (kinds []fault) {
	for _, f := range faultKinds {
		if (r.only == "" || f.name == r.only) && (f.name != fullDisk || r.host.disk != nil) {
			kinds = append(kinds, f)
		}
	}
	return kinds
}

// fault makes one, most often to the process that works.
func (r *round) fault() error {
	p := r.replica[r.last-1]
	if r.rng.IntN(3) == 0 {
		p = r.replica[r.rng.IntN(processes)]
	}
	if _, ended := p.hasEnded(); ended {
		return p.start()
	}
	f, err := choose(r.rng, r.kinds())
	if err != nil {
		return fmt.Errorf("fault %q: %w", r.only, err)
	}
	r.counts[f.name]++
	return f.do(r, p)
}

func choose(rng *rand.Rand, kinds []fault) (fault, error) {
	sum := 0
	for _, f := range kinds {
		sum += f.weight
	}
	if sum == 0 {
		return fault{}, errors.New("there is none of that name here")
	}
	n := rng.IntN(sum)
	for _, f := range kinds {
		if n -= f.weight; n < 0 {
			return f, nil
		}
	}
	return fault{}, nil // n is less than the sum
}

// upTo returns a random time.
func (r *round) upTo(d time.Duration) time.Duration { return time.Duration(r.rng.Int64N(int64(d))) }

func (r *round) kill(p *replica) error {
	p.signal(syscall.SIGKILL)
	<-p.over
	time.Sleep(r.upTo(r.lease))
	return p.start()
}

func (r *round) terminate(p *replica) error {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.over:
	case <-time.After(r.patience):
		return fmt.Errorf("process %d has not ended after SIGTERM", p.number)
	}
	return p.start()
}

func (r *round) suspend(p *replica) error {
	p.signal(syscall.SIGSTOP)
	time.Sleep(r.upTo(3 * r.lease))
	p.signal(syscall.SIGCONT)
	return nil
}

func (r *round) hold(p *replica) error {
	p.proxy.Hold(true)
	time.Sleep(r.upTo(3 * r.lease))
	p.proxy.Hold(false)
	return nil
}

// A host is the server of all rounds that run at once, and its disk.
type host struct {
	server *pgtest.Server
	disk   *disktest.Disk // nil if there is no small one

	mu sync.Mutex // held during a fault
}

func (h *host) restart(mode string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.server.Stop(mode); err != nil {
		return err
	}
	return h.server.Restart()
}

// fillDisk lets nothing more be written for a while. The server may give up then.
func (h *host) fillDisk(d time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.disk.Fill(); err != nil {
		return err
	}
	time.Sleep(d)
	if err := h.disk.Free(); err != nil {
		return err
	}
	if h.server.IsRunning() {
		return nil
	}
	return h.server.Restart()
}
