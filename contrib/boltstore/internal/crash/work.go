//go:build unix

package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
)

// A worker executes the attempts of one task, and writes down what it does.
type worker struct {
	*task
	ledger *ledger
	seed   uint64
}

// exitCode is the exit code that an execution fails with.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }
func (e exitCode) ExitCode() int { return int(e) }

// Execute does what the habits say.
func (w *worker) Execute(ctx context.Context, a batch.Attempt) error {
	x := w.begin(a)
	x.write(line{Kind: started})
	err := x.work(ctx)
	result := line{Kind: ended, N: batch.ExitCode(err)}
	if cause := context.Cause(ctx); cause != nil {
		result.Text = cause.Error()
	}
	x.write(result)
	return err
}

// An execution is one call of a worker.
type execution struct {
	*worker
	attempt batch.Attempt
	rng     *rand.Rand
	uid     string
	place   checkpoint
}

// begin makes what is random about an execution depend on its place in the plan
// alone.
func (w *worker) begin(a batch.Attempt) *execution {
	uid, _, _ := strings.Cut(a.Token(), "/")
	h := fnv.New64a()
	fmt.Fprint(h, a.Job, a.Index, a.Number, a.Restarts)
	return &execution{worker: w, attempt: a, uid: uid, rng: rand.New(rand.NewPCG(w.seed, h.Sum64()))}
}

func (x *execution) write(l line) {
	a := x.attempt
	l.Job, l.UID, l.Index, l.Number, l.Restarts = a.Job, x.uid, a.Index, a.Number, a.Restarts
	x.ledger.write(l)
}

func (x *execution) work(ctx context.Context) error {
	if err := x.setResult(); err != nil {
		return err
	}
	if x.saves {
		if err := x.resume(); err != nil {
			return err
		}
	}
	if x.items > 0 {
		if err := x.walk(ctx); err != nil {
			return err
		}
	}
	for range x.someSteps() {
		if err := x.step(ctx); err != nil {
			return err
		}
	}
	switch {
	case x.rng.Float64() < x.fatal:
		return exitCode(exitFatal)
	case x.rng.Float64() < x.failing:
		return exitCode(1 + x.rng.IntN(9))
	}
	return nil
}

func (x *execution) someSteps() int {
	if x.steps == 0 {
		return 0
	}
	return 1 + x.rng.IntN(x.steps)
}

// step takes its time and has a side effect.
func (x *execution) step(ctx context.Context) error {
	if x.pace > 0 {
		select {
		case <-time.After(time.Duration(x.rng.Int64N(int64(x.pace)))):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	x.write(line{Kind: effect})
	if x.saves {
		return x.save()
	}
	return nil
}

// A checkpoint says how far the attempts of an index have come.
type checkpoint struct {
	By      int // the number of the attempt that has saved it
	N       int // one more than that of the checkpoint that was found
	Padding []byte
}

func (x *execution) resume() error {
	data := x.attempt.Checkpoint()
	if data != nil {
		if err := json.Unmarshal(data, &x.place); err != nil {
			x.write(line{Kind: problem, Text: fmt.Sprintf("checkpoint %q: %v", data, err)})
		}
	}
	x.write(line{Kind: resumed, N: x.place.N, By: x.place.By, Sum: crc32.ChecksumIEEE(data)})
	return nil
}

func (x *execution) save() error {
	x.place = checkpoint{By: x.attempt.Number, N: x.place.N + 1, Padding: make([]byte, x.rng.IntN(1<<x.rng.IntN(15)))}
	data, err := json.Marshal(x.place)
	if err != nil {
		return err
	}
	place := line{Kind: saving, N: x.place.N, By: x.place.By, Sum: crc32.ChecksumIEEE(data)}
	x.write(place)
	err = x.attempt.SaveCheckpoint(context.Background(), data)
	if err == nil {
		place.Kind = saved
		x.write(place)
	}
	if errors.Is(err, batch.ErrAttemptEnded) { // so it was stopped
		return err
	}
	return x.check("save a checkpoint", err)
}

// check notes an error that there should not be.
func (x *execution) check(what string, err error) error {
	if err != nil {
		x.write(line{Kind: problem, Text: fmt.Sprintf("%s: %v", what, err)})
	}
	return err
}

// walk goes through the items with an [batch.Iteration]; some of them fail each
// time, and are skipped.
func (x *execution) walk(ctx context.Context) error {
	const badEvery = 17
	walk := batch.Iteration[int, int]{
		Items: func(_ context.Context, after int) iter.Seq2[int, error] {
			x.write(line{Kind: walking, N: after})
			return x.itemsAfter(after)
		},
		Cursor: func(n int) int { return n },
		Do: func(_ context.Context, n int) error {
			x.write(line{Kind: item, N: n})
			if n%badEvery == 0 {
				return exitCode(1)
			}
			return nil
		},
		ChunkSize: 3, Parallelism: 3, MaxSkipped: x.items, SaveEvery: -1,
	}
	done, err := walk.Run(ctx, x.attempt)
	if bad := x.items / badEvery; err == nil && (len(done.Skipped) != bad || done.Done != x.items-bad) {
		return x.check(
			"iterate",
			fmt.Errorf("%d items done, %d skipped, of %d, of which %d are bad", done.Done, len(done.Skipped), x.items, bad),
		)
	}
	if err != nil && ctx.Err() == nil {
		return x.check("iterate", err)
	}
	return err
}

// itemsAfter yields the numbers of the items behind one, and takes a short time
// for it.
func (x *execution) itemsAfter(after int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n := after + 1; n <= x.items; n++ {
			if !yield(n, nil) {
				return
			}
		}
	}
}
