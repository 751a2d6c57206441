package runner

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runtocompletion/batch/internal/clock"
	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/journal"
)

// The records of the store as a whole.
const (
	formatKey    = "format" // how all others are written
	format       = "batch/2"
	clockKey     = "clock" // a savedClock
	extensionKey = "x/"    // and the key that an extension has given; see SaveRecord
)

// A savedClock says where the next process goes on.
type savedClock struct {
	Clock    clock.State
	Revision uint64 // none that was given out is higher
	Fence    int64  // see Attempt.Fence
}

// Open takes over a store that is claimed: its jobs wait to be declared.
func (r *Runner) Open(ctx context.Context, claim Claim) error {
	written := journal.Record{Key: formatKey, Value: []byte(format)}
	j := journal.New(claim.Context, claim.Commit, r.storeTrouble, written)
	r.journal, r.last = j, claim.Last
	stop := context.AfterFunc(claim.Context, func() { r.Lose(context.Cause(claim.Context)) })
	r.release = sync.OnceFunc(func() {
		stop()
		claim.Release()
	})
	jobs, doubles, err := r.load(ctx, claim.Load)
	if err != nil {
		_ = r.giveUp(ctx, err)
		return err
	}
	first := slices.Concat(doubles, claim.First, r.subscribed.loaded(r), []journal.Record{written, r.clockRecord(),
		{Key: dirsKey, Value: []byte(r.dirsID)}})
	if err := j.Put(ctx, first, nil, func() {}); err != nil {
		return r.giveUp(ctx, err)
	}
	used := make(map[string]bool)
	for _, l := range jobs {
		if l.finished == 0 {
			l.job.findDirs(used)
		}
	}
	r.removeLeftDirs(used)
	for _, l := range jobs {
		r.enroll(l.job)
		if l.finished == 0 {
			l.job.recover()
		} else {
			r.alarm.Set(&l.job.alarm, int64(l.due))
		}
	}
	for _, l := range jobs {
		if l.finished == 0 {
			l.job.lookAround()
		}
	}
	r.keepAllFinished(jobs)
	if err := j.Sync(ctx); err != nil {
		return r.giveUp(ctx, err)
	}
	if len(jobs) > 0 {
		r.undeclared = time.AfterFunc(declarationTime, r.reportUndeclared)
	}
	return nil
}

// declarationTime is how long after the start a service has its jobs declared.
const declarationTime = time.Minute

// reportUndeclared logs which stored jobs have not been declared: their code may have
// been renamed or removed.
func (r *Runner) reportUndeclared() {
	if !r.visit() {
		return
	}
	r.launch(func() {
		defer r.leave()
		var waiting []string
		for _, j := range r.Everything() {
			if j.isUndeclared() {
				waiting = append(waiting, j.id.Job)
			}
		}
		slices.Sort(waiting)
		const most = 20
		if n := len(waiting); n > 0 {
			r.Log(slog.LevelWarn, "stored jobs wait to be declared",
				slog.Int("count", n), slog.Any("jobs", waiting[:min(n, most)]))
		}
	})
}

func (j *Job) isUndeclared() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.body != nil && j.holds&undeclaredHold != 0 && j.engine.FinishedAt == 0
}

// giveUp lets go of a store that cannot be written to.
func (r *Runner) giveUp(ctx context.Context, err error) error {
	r.alarm.Stop()
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_ = r.journal.Close(ended) // there is nothing to be stored
	r.release()
	return r.storeError(ctx, err)
}

// continueClock has time and revisions go on from where an earlier process was.
func (r *Runner) continueClock(saved *savedClock, jobs []*loadedJob) {
	floor := engine.Time(0)
	for _, l := range jobs {
		floor = max(floor, l.latest)
	}
	revision := uint64(0)
	if saved != nil {
		r.clock.Continue(saved.Clock, int64(floor))
		revision = saved.Revision
	} else if floor > 0 {
		r.clock.Continue(clock.State{At: r.clock.Now(), Wall: r.start.UnixNano()}, int64(floor))
	}
	const perMicrosecond = 1000
	r.feed.Begin(max(revision+1, uint64(r.clock.Now()/perMicrosecond)))
}

// withoutDoubles returns the jobs in order of name. Of two with one name, which only
// a store has that two controllers have used, the older one stays.
func (r *Runner) withoutDoubles(jobs []*loadedJob) (kept []*loadedJob, removals []journal.Record) {
	slices.SortFunc(jobs, func(a, b *loadedJob) int {
		if order := strings.Compare(a.job.id.Job, b.job.id.Job); order != 0 {
			return order
		}
		return cmp.Or(cmp.Compare(a.created, b.created), strings.Compare(a.uid, b.uid))
	})
	for _, l := range jobs {
		name := l.job.id.Job
		if len(kept) == 0 || kept[len(kept)-1].job.id.Job != name {
			kept = append(kept, l)
			continue
		}
		r.Log(slog.LevelError, "two jobs in the store have one name: the younger one is removed",
			slog.String("job", name), slog.String("kept", kept[len(kept)-1].uid), slog.String("removed", l.uid))
		removals = append(removals, journal.Record{Job: l.uid})
	}
	return kept, removals
}

// newUID returns a random (version 4) UUID.
func newUID() (uid [16]byte) {
	rand.Read(uid[:]) // never fails
	uid[6] = uid[6]&0x0f | 0x40
	uid[8] = uid[8]&0x3f | 0x80
	return uid
}

// recover lets the engine know that what ran does not run any more.
func (j *Job) recover() {
	var e effects
	j.lock()
	ran := make(map[int64]int)
	for _, a := range j.engine.Live() {
		ran[a.Seq] = a.Index
	}
	j.stepLocked(&e, engine.Event{Kind: engine.Recovered, Await: len(j.awaits) > 0})
	for _, a := range j.engine.Live() {
		delete(ran, a.Seq)
	}
	for seq, index := range ran {
		j.noteLossLocked(seq, index, ErrDisrupted)
	}
	j.unlock()
	j.r.perform(&e)
}

// storeTrouble holds all jobs back while the store fails.
func (r *Runner) storeTrouble(err error) {
	if errors.Is(err, ErrStoreInUse) {
		r.Lose(err)
		return
	}
	if err != nil {
		r.Log(slog.LevelError, "store fails, jobs start nothing", slog.Any("error", err))
		r.trouble.Store(&Trouble{err, r.Now()})
		if errors.Is(err, fs.ErrClosed) {
			r.cutOffWith(failedStore(err))
		}
	} else {
		r.Log(slog.LevelInfo, "store works again")
		r.trouble.Store(nil)
	}
	for _, j := range r.Everything() {
		j.holdForStore(err != nil)
	}
}

func (j *Job) holdForStore(on bool) {
	var e effects
	j.lock()
	if j.engine.FinishedAt == 0 {
		j.holdLocked(&e, storeHold, on)
		if !j.hasLeft {
			j.r.feed.Changed(&j.entry)
		}
	}
	j.unlock()
	j.r.perform(&e)
}

// clockRecord is what the next process needs to know.
func (r *Runner) clockRecord() journal.Record {
	saved := savedClock{Clock: r.clock.State(), Revision: r.feed.Latest(), Fence: r.fence}
	return journal.Record{Key: clockKey, Value: encode(saved)}
}

// saveClock has that stored, and what else is to be, if there is a store.
func (r *Runner) saveClock(ctx context.Context, more ...journal.Record) {
	err := r.journal.Put(ctx, append([]journal.Record{r.clockRecord()}, more...), nil, func() {})
	if err != nil && !errors.Is(err, journal.ErrClosed) && r.lossError() == nil {
		r.Log(slog.LevelWarn, "clock not stored: times may differ after a restart", slog.Any("error", err))
	}
}

// lookAtClock notes when the wall clock was set, or the machine slept.
func (r *Runner) lookAtClock() {
	if r.clock.Look() && r.journal.Keeps() && r.visit() { // Shutdown stores it anyway
		r.launch(func() {
			defer r.leave()
			r.saveClock(context.Background())
		})
	}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
