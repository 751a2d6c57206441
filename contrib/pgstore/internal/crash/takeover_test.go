//go:build unix

package crash

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTakeOver measures how long it takes until another process works, from the death of
// the one that worked, and from the end of its shutdown.
func TestTakeOver(t *testing.T) {
	r := &round{host: &here, folder: t.TempDir(), lease: *takeOverLease, patience: time.Minute, endless: true}
	require.NoError(t, r.start())
	defer r.close()
	ledger := &follower{reader: reader{path: r.ledger()}}
	for range r.replica {
		ledger.await(t, up)
	}
	ledger.await(t, began)
	for name, c := range map[string]struct {
		signal syscall.Signal
		within time.Duration
	}{
		"a kill":     {syscall.SIGKILL, 2 * r.lease},
		"a shutdown": {syscall.SIGTERM, r.lease / 2}, // not when the lease ends
	} {
		var times []time.Duration
		for range *takeOvers {
			times = append(times, ledger.takeOver(t, r, c.signal))
		}
		slices.Sort(times)
		t.Logf("another process works %v (p50), %v (p99) after %s, with a lease of %v", quantile(times, 0.5),
			quantile(times, 0.99), name, r.lease)
		require.Less(t, quantile(times, 0.99), c.within, name)
	}
}

// quantile of sorted times.
func quantile(list []time.Duration, q float64) time.Duration {
	return list[min(len(list)-1, int(q*float64(len(list))))].Round(100 * time.Microsecond)
}

// A follower reads a ledger line by line.
type follower struct {
	reader
	lines []line
}

// next returns the next line, and waits for it.
func (f *follower) next(t *testing.T) line {
	t.Helper()
	for len(f.lines) == 0 {
		var err error
		f.lines, err = f.reader.next()
		require.NoError(t, err)
		require.NoError(t, t.Context().Err())
		time.Sleep(time.Millisecond) // other processes write it
	}
	l := f.lines[0]
	f.lines = f.lines[1:]
	require.NotEqual(t, wrong, l.Kind, l.Text)
	return l
}

// await skips all lines but the next one of a kind.
func (f *follower) await(t *testing.T, kind string) line {
	t.Helper()
	for {
		if l := f.next(t); l.Kind == kind {
			return l
		}
	}
}

// latest skips all lines that there are, and returns the next one of an executor.
func (f *follower) latest(t *testing.T) line {
	t.Helper()
	f.lines = nil
	_, err := f.reader.next()
	require.NoError(t, err)
	return f.await(t, began)
}

// takeOver ends the process that works, and starts it again when another one does. Those
// that wait have had time to prepare themselves.
func (f *follower) takeOver(t *testing.T, r *round, signal syscall.Signal) time.Duration {
	t.Helper()
	time.Sleep(time.Second)
	works := f.latest(t)
	p, over := r.replica[works.Process-1], time.Now()
	p.signal(signal)
	<-p.over
	next := f.next(t)
	for next.Fence <= works.Fence {
		if next.Kind == left {
			over = next.At
		}
		next = f.next(t)
	}
	require.NoError(t, p.start())
	f.await(t, up)
	return max(next.At.Sub(over), 0)
}
