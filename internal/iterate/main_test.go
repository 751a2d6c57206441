package iterate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// A memo is a checkpoint in memory.
type memo struct {
	save func(ctx context.Context, data []byte) error // before it is saved; may be nil

	mu   sync.Mutex // guards the fields below
	data []byte
	all  []string // what was saved
}

func (m *memo) Load() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.data), nil
}

func (m *memo) Save(ctx context.Context, data []byte) error {
	if m.save != nil {
		if err := m.save(ctx, data); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data = slices.Clone(data)
	m.all = append(m.all, string(data))
	return nil
}

var (
	errBad   = errors.New("bad item")
	errFinal = errors.New("hopeless")
	errGone  = errors.New("goexit")
)

// A panicked is the error that the tests make of a panic.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// testHooks take errFinal for final, and do not listen.
func testHooks[C any]() Hooks[C] {
	return Hooks[C]{
		Final: func(err error) bool { return errors.Is(err, errFinal) },
		Recovered: func(value any, stack []byte) error {
			if value == nil {
				return errGone
			}
			return &panicked{value, stack}
		},
		Skipped:  func(C, error) {},
		Progress: func(int) {},
	}
}

// count yields the numbers after one, up to n.
func count(n int) func(context.Context, int) iter.Seq2[int, error] {
	return func(_ context.Context, after int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := after + 1; i <= n && yield(i, nil); i++ {
			}
		}
	}
}

func itself(item int) int { return item }

// A journal is what was done. Its methods may be called by several goroutines.
type journal struct {
	mu    sync.Mutex // guards calls
	calls []string
}

func (j *journal) add(call any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calls = append(j.calls, fmt.Sprint(call))
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.calls, " ")
}
