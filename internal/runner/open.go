package runner

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

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
}

// A SavedJob is what [Definition.Encode] has written.
type SavedJob struct {
	Name       string
	Definition *Definition
	Generation int64
	Indexed    bool
}

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
	first = append(first, journal.Record{Key: dirsKey, Value: []byte(r.dirsID)})
	if err := j.Put(ctx, first, nil, func() {}); err != nil {
		return r.giveUp(ctx, err)
	}
	used := make(map[string]bool)
	for _, l := range jobs {
		if l.finished == 0 {
			l.job.addDirs(used)
		}
	}
	r.removeLeftDirs(used)
	for _, l := range jobs {
		r.enroll(l.job)
		if l.finished == 0 {
			l.job.do(engine.Event{Kind: engine.Recovered})
		} else {
			r.alarm.Set(&l.job.alarm, int64(l.due))
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

// reportUndeclared logs which stored jobs nobody has declared: their code may have
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

// A loading is what is read of a store.
type loading struct {
	format string
	other  string // the key of a record that is not known
	dirs   string // see Runner.dirsID
	clock  *savedClock
	jobs   map[string]map[string][]byte // by UID
}

// A loadedJob is a job with what matters of it before it goes on, as it may rest.
type loadedJob struct {
	job                            *Job
	uid                            string
	created, finished, latest, due engine.Time
}

func (r *Runner) load(ctx context.Context, store Store) (jobs []*loadedJob, doubles []journal.Record, err error) {
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
	r.dirsID = cmp.Or(l.dirs, newDirsID())
	if jobs, err = r.loadJobs(l.jobs); err != nil {
		return nil, nil, r.storeError(ctx, err)
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
		l.jobs[record.Job][record.Key] = record.Value
	case record.Key == formatKey:
		l.format = string(record.Value)
	case record.Key == clockKey:
		if err := json.Unmarshal(record.Value, &l.clock); err != nil {
			return fmt.Errorf("record %q: %w", clockKey, err)
		}
	case record.Key == dirsKey:
		if l.dirs = string(record.Value); !isDirsID(l.dirs) {
			return fmt.Errorf("record %q: %q", dirsKey, l.dirs)
		}
	case strings.HasPrefix(record.Key, extensionKey):
		r.records[record.Key] = record.Value
	default:
		l.other = record.Key
	}
	return nil
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

// loadJobs makes jobs of their records, on all processors.
func (r *Runner) loadJobs(records map[string]map[string][]byte) ([]*loadedJob, error) {
	jobs := make([]*loadedJob, 0, len(records))
	for uid := range records {
		jobs = append(jobs, &loadedJob{uid: uid})
	}
	var group errgroup.Group
	for part := range slices.Chunk(jobs, len(jobs)/runtime.GOMAXPROCS(0)+1) {
		group.Go(func() error {
			for _, l := range part {
				if err := r.loadJob(l, records[l.uid]); err != nil {
					return fmt.Errorf("job %s: %w", l.uid, err)
				}
			}
			return nil
		})
	}
	return jobs, group.Wait()
}

// loadJob makes a job of its records.
func (r *Runner) loadJob(l *loadedJob, records map[string][]byte) error {
	definition := records[definitionKey]
	saved, err := r.decode(definition, nil)
	if err != nil {
		return fmt.Errorf("record %q: %w", definitionKey, err)
	}
	delete(records, definitionKey)
	uid, err := parseUID(l.uid)
	if err != nil {
		return err
	}
	j := r.newJob(engine.Identity{Job: saved.Name, UID: uid}, saved.Definition)
	j.generation, j.holds, j.stored.defChanged = saved.Generation, undeclaredHold, false
	err = errors.Join(j.checkpoints.Load(records, saved.Indexed), j.loadFailure(records), j.loadIndexFailures(records))
	if err != nil {
		return err
	}
	j.engine, err = engine.Load(j.id, r.spec(saved.Definition), maps.All(records), describeAttempt, j.restoreRun)
	if err != nil {
		return err
	}
	j.created = j.engine.CreatedAt
	*l = loadedJob{j, l.uid, j.created, j.engine.FinishedAt, j.engine.Latest(), j.engine.Due()}
	if l.finished != 0 {
		j.restAfterLoad(records, definition)
	}
	return nil
}

// restAfterLoad takes up a job that has finished.
func (j *Job) restAfterLoad(records map[string][]byte, definition []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.resting = j.newRestLocked(j.engine.RestAfterLoad(records), definition)
	j.fallAsleepLocked()
}

// newUID returns a random (version 4) UUID.
func newUID() (uid [16]byte) {
	rand.Read(uid[:]) // never fails
	uid[6] = uid[6]&0x0f | 0x40
	uid[8] = uid[8]&0x3f | 0x80
	return uid
}

// parseUID undoes engine.Identity.String.
func parseUID(text string) (uid [16]byte, err error) {
	digits, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	copy(uid[:], digits)
	if err != nil || (engine.Identity{UID: uid}).String() != text {
		return uid, errors.New("no UID of a job")
	}
	return uid, nil
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
	j.unlock()
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
