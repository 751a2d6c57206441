package runner

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runtocompletion/batch/internal/clock"
	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/journal"
)

// A Store keeps records.
type Store struct {
	Load   func(ctx context.Context) iter.Seq2[journal.Record, error]
	Commit func(ctx context.Context, records []journal.Record) error
	// Release is called when the runner does not use the store any more.
	Release func()
	// Decode returns what a definition, and its input if it has one, were stored as,
	// without its functions.
	Decode func(definition, input []byte) (SavedJob, error)
}

// A SavedJob is what [Definition.Encode] has written.
type SavedJob struct {
	UID        [16]byte
	Name       string
	Definition *Definition
	Generation int64
	Indexed    bool
}

// The records of the store as a whole.
const (
	formatKey    = "format" // how all others are written
	format       = "batch/1"
	clockKey     = "clock" // a savedClock
	extensionKey = "x/"    // and the key that an extension has given; see SaveRecord
)

// A savedClock says where the next process goes on.
type savedClock struct {
	Clock    clock.State
	Revision uint64 // none that was given out is higher
}

// Open takes over a store: its jobs wait to be declared.
func (r *Runner) Open(ctx context.Context, store Store) error {
	written := journal.Record{Key: formatKey, Value: []byte(format)}
	j := journal.New(store.Commit, r.storeTrouble, written)
	r.journal, r.release = j, sync.OnceFunc(store.Release)
	jobs, doubles, err := r.load(ctx, store)
	if err != nil {
		r.release()
		return err
	}
	first := append(doubles, written, r.clockRecord())
	if err := j.Put(ctx, first, nil, func() {}); err != nil {
		return r.giveUp(ctx, err)
	}
	for _, job := range jobs {
		r.enroll(job)
		job.goOnAfterLoad()
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

// reportUndeclared logs which stored jobs nobody has declared: their code may have
// been renamed or removed.
func (r *Runner) reportUndeclared() {
	if !r.visit() {
		return
	}
	r.launch(func() {
		defer r.leave()
		var waiting []string
		for _, j := range r.All() {
			if j.isUndeclared() {
				waiting = append(waiting, j.id.Job)
			}
		}
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
	return j.holds&undeclaredHold != 0 && j.engine.FinishedAt == 0
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

// A loading is what is read of a store.
type loading struct {
	format string
	other  string // the key of a record that is not known
	clock  *savedClock
	jobs   map[string]map[string][]byte // by UID
}

func (r *Runner) load(ctx context.Context, store Store) (jobs []*Job, doubles []journal.Record, err error) {
	l := loading{jobs: make(map[string]map[string][]byte)}
	for record, err := range store.Load(ctx) {
		if err == nil {
			err = r.take(&l, record)
		}
		if err != nil {
			return nil, nil, r.storeError(ctx, err)
		}
	}
	switch {
	case l.format != format && (l.format != "" || l.other != "" || len(l.jobs)+len(r.records) > 0):
		return nil, nil, fmt.Errorf("%w: %q, this version needs %q", ErrStoreFormat, l.format, format)
	case l.other != "":
		return nil, nil, r.storeError(ctx, fmt.Errorf("record %q: not known", l.other))
	}
	for uid, records := range l.jobs {
		j, err := r.loadJob(uid, records, store.Decode)
		if err != nil {
			return nil, nil, r.storeError(ctx, fmt.Errorf("job %s: %w", uid, err))
		}
		jobs = append(jobs, j)
	}
	r.continueClock(l.clock, jobs)
	jobs, doubles = r.withoutDoubles(jobs)
	return jobs, doubles, nil
}

func (r *Runner) take(l *loading, record journal.Record) error {
	switch {
	case record.Job != "":
		if l.jobs[record.Job] == nil {
			l.jobs[record.Job] = make(map[string][]byte)
		}
		l.jobs[record.Job][record.Key] = bytes.Clone(record.Value)
	case record.Key == formatKey:
		l.format = string(record.Value)
	case record.Key == clockKey:
		if err := json.Unmarshal(record.Value, &l.clock); err != nil {
			return fmt.Errorf("record %q: %w", clockKey, err)
		}
	case strings.HasPrefix(record.Key, extensionKey):
		r.records[record.Key] = bytes.Clone(record.Value)
	default:
		l.other = record.Key
	}
	return nil
}

// continueClock has time and revisions go on from where an earlier process was.
func (r *Runner) continueClock(saved *savedClock, jobs []*Job) {
	floor := engine.Time(0)
	for _, j := range jobs {
		floor = max(floor, j.engine.Latest())
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
func (r *Runner) withoutDoubles(jobs []*Job) (kept []*Job, removals []journal.Record) {
	slices.SortFunc(jobs, func(a, b *Job) int {
		return cmp.Or(strings.Compare(a.id.Job, b.id.Job), cmp.Compare(a.created, b.created), strings.Compare(a.uid, b.uid))
	})
	for _, j := range jobs {
		if len(kept) == 0 || kept[len(kept)-1].id.Job != j.id.Job {
			kept = append(kept, j)
			continue
		}
		r.Log(slog.LevelError, "two jobs in the store have one name: the younger one is removed",
			slog.String("job", j.id.Job), slog.String("kept", kept[len(kept)-1].uid), slog.String("removed", j.uid))
		removals = append(removals, journal.Record{Job: j.uid})
	}
	return kept, removals
}

// loadJob makes a job of its records.
func (r *Runner) loadJob(uid string, records map[string][]byte,
	decode func(definition, input []byte) (SavedJob, error)) (*Job, error) {
	saved, err := decode(records[definitionKey], records[inputRecord])
	if err != nil {
		return nil, fmt.Errorf("record %q: %w", definitionKey, err)
	}
	delete(records, definitionKey)
	delete(records, inputRecord)
	j := r.newJob(engine.Identity{Job: saved.Name, UID: saved.UID}, saved.Definition)
	if j.uid != uid {
		return nil, fmt.Errorf("record %q: it is of job %s", definitionKey, j.uid)
	}
	j.generation, j.holds = saved.Generation, undeclaredHold
	err = errors.Join(j.checkpoints.Load(records, saved.Indexed), j.results.Load(records),
		j.loadFailure(records), j.failures.load(records))
	if err != nil {
		return nil, err
	}
	j.engine, err = engine.Load(j.id, r.spec(saved.Definition), maps.All(records), describeAttempt, j.restoreRun)
	if err != nil {
		return nil, err
	}
	j.created = j.engine.CreatedAt
	j.stored.defChanged, j.stored.inputIsNew = false, false
	return j, nil
}

// goOnAfterLoad takes up a job where it was left, as far as that is possible
// without its functions.
func (j *Job) goOnAfterLoad() {
	if j.engine.FinishedAt == 0 {
		j.recover()
		return
	}
	j.lock()
	defer j.mu.Unlock()
	j.stored.told, j.hasEnded = j.presentLocked(), true
	j.closeIfClearedLocked()
	j.due = j.engine.Due()
	j.r.alarm.Set(&j.alarm, int64(j.due))
}

// recover lets the engine know that what ran does not run any more.
func (j *Job) recover() {
	var e effects
	j.lock()
	ran := make(map[int64]int)
	for _, a := range j.engine.Live() {
		ran[a.Seq] = a.Index
	}
	j.stepLocked(&e, engine.Event{Kind: engine.Recovered})
	for _, a := range j.engine.Live() {
		delete(ran, a.Seq)
	}
	for seq, index := range ran {
		j.noteLossLocked(seq, index, ErrDisrupted)
	}
	j.mu.Unlock()
	j.r.perform(&e)
}

// storeTrouble holds all jobs back while the store fails.
func (r *Runner) storeTrouble(err error) {
	if err != nil {
		r.Log(slog.LevelError, "store fails, jobs start nothing", slog.Any("error", err))
		r.trouble.Store(&Trouble{err, r.Now()})
		if errors.Is(err, fs.ErrClosed) {
			r.becomeCutOff.Do(func() {
				r.cutOffBy = err
				close(r.cutOff)
			})
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
	j.mu.Unlock()
	j.r.perform(&e)
}

// clockRecord is what the next process needs to know.
func (r *Runner) clockRecord() journal.Record {
	saved := savedClock{Clock: r.clock.State(), Revision: r.feed.Latest()}
	return journal.Record{Key: clockKey, Value: encode(saved)}
}

// saveClock has that stored, if there is a store.
func (r *Runner) saveClock(ctx context.Context) {
	err := r.journal.Put(ctx, []journal.Record{r.clockRecord()}, nil, func() {})
	if err != nil && !errors.Is(err, journal.ErrClosed) {
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
