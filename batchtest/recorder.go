package batchtest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/runtocompletion/batch"
)

// ErrNoReturn is the error of an [Execution] that ended with a panic or with
// [runtime.Goexit].
var ErrNoReturn = errors.New("batchtest: the executor did not return")

// A Recorder is an executor that has another one do the work and remembers
// every execution. The zero Recorder remembers executions that succeed at
// once. Its methods may be called by several goroutines at once. It needs
// memory for every execution.
type Recorder struct {
	executor batch.Executor // nil succeeds

	mu         sync.Mutex   // guards the fields below; not held while executor runs
	executions []*Execution // in order of their start
	running    map[place]int
	total      int // of running
}

// A place is what executions of one completion have in common.
type place struct {
	job   string
	index int
}

// Record returns a recorder of what e does. Nil succeeds at once.
func Record(e batch.Executor) *Recorder { return &Recorder{executor: e} }

// An Execution is one call of an executor. An attempt has one, and one more
// for each restart in place.
type Execution struct {
	Job      string // the name of the job
	Attempt  string // the name of the attempt
	UID      string // of the attempt; restarts keep it
	Index    int    // -1 if the job is not Indexed
	Number   int    // see [batch.Attempt]
	Restarts int    // see [batch.Attempt]

	// Start and End are when the executor was called and when it returned; End
	// is zero while it runs.
	Start, End time.Time
	// Err is what the executor returned, and [ErrNoReturn] if it did not.
	Err error
	// Cause is why the context had ended when the executor returned, such as
	// [batch.ErrSuspended]; nil if it had not.
	Cause error

	// Active is how many executions ran when this one had started, itself
	// included, and ActiveIndex how many of these were of its job and index.
	Active, ActiveIndex int
}

// Running reports whether the execution has not ended.
func (x Execution) Running() bool { return x.End.IsZero() }

// Execute has the recorder's executor do the attempt.
func (r *Recorder) Execute(ctx context.Context, a batch.Attempt) error {
	x := r.start(a)
	err := ErrNoReturn
	defer func() { r.end(ctx, x, err) }()
	err = r.execute(ctx, a)
	return err
}

// HoldsPending is that of the recorder's executor, if it is a
// [batch.PendingExecutor], and otherwise false.
func (r *Recorder) HoldsPending() bool {
	e, ok := r.executor.(batch.PendingExecutor)
	return ok && e.HoldsPending()
}

func (r *Recorder) execute(ctx context.Context, a batch.Attempt) error {
	if r.executor == nil {
		return nil
	}
	return r.executor.Execute(ctx, a)
}

func (r *Recorder) start(a batch.Attempt) *Execution {
	x := &Execution{
		Job:      a.Job,
		Attempt:  a.Name(),
		UID:      a.UID(),
		Index:    a.Index,
		Number:   a.Number,
		Restarts: a.Restarts,
	}
	p := place{a.Job, a.Index}

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		r.running = make(map[place]int)
	}
	r.total++
	r.running[p]++
	x.Start, x.Active, x.ActiveIndex = time.Now(), r.total, r.running[p]
	r.executions = append(r.executions, x)
	return x
}

func (r *Recorder) end(ctx context.Context, x *Execution, err error) {
	p := place{x.Job, x.Index}

	r.mu.Lock()
	defer r.mu.Unlock()
	r.total--
	if r.running[p]--; r.running[p] == 0 {
		delete(r.running, p)
	}
	x.End, x.Err, x.Cause = time.Now(), err, context.Cause(ctx)
}

// Executions returns what was executed, in order of start; those that started
// at the same instant of virtual time are in order of index and number. They
// are copies.
func (r *Recorder) Executions() []Execution {
	return r.filter(func(*Execution) bool { return true })
}

// Of returns the executions of one index, like [Recorder.Executions].
func (r *Recorder) Of(index int) []Execution {
	return r.filter(func(x *Execution) bool { return x.Index == index })
}

func (r *Recorder) filter(keep func(*Execution) bool) []Execution {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []Execution
	for _, x := range r.executions {
		if keep(x) {
			found = append(found, *x)
		}
	}
	slices.SortStableFunc(found, func(x, y Execution) int {
		return cmp.Or(
			x.Start.Compare(y.Start),
			cmp.Compare(x.Job, y.Job),
			cmp.Compare(x.Index, y.Index),
			cmp.Compare(x.Number, y.Number),
			cmp.Compare(x.Restarts, y.Restarts),
		)
	})
	return found
}

// Len returns the number of executions, those that still run included.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.executions)
}

// Running returns how many executions run at the moment.
func (r *Recorder) Running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// MaxActive returns how many executions have run at the same time at most.
func (r *Recorder) MaxActive() int {
	return r.most(func(x *Execution) int { return x.Active })
}

// MaxActivePerIndex returns how many executions of the same index of a job
// have run at the same time at most.
func (r *Recorder) MaxActivePerIndex() int {
	return r.most(func(x *Execution) int { return x.ActiveIndex })
}

func (r *Recorder) most(of func(*Execution) int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	most := 0
	for _, x := range r.executions {
		most = max(most, of(x))
	}
	return most
}

// String is a table of the executions: when each started, counted from the
// first, how long it took, and how it ended. It has the form that
// [WantExecutions] reads.
func (r *Recorder) String() string {
	executions := r.Executions()
	columns := executionColumns(executions)
	return render(executions, columns).String()
}
