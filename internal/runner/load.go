package runner

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/journal"
	"github.com/runtocompletion/batch/internal/results"
)

// A loading reads a store. Jobs are made of their records on all processors while
// further records come.
type loading struct {
	r       *Runner
	format  string
	other   string // the key of a record that is not known
	dirs    string // see Runner.dirsID
	clock   *savedClock
	part    []journal.Record // of whole jobs
	parts   chan []journal.Record
	group   errgroup.Group
	hasJobs bool
	// extensions are the records of SaveRecord.
	extensions map[string][]byte
	subscribed subscriptions
	// last are the sums of jobs by UID that need not be made again, if theirs is the
	// same; see sumOf.
	last map[string]uint64

	mu   sync.Mutex // guards the fields below
	jobs []*loadedJob
	left []journal.Record // to remove what jobs that are gone have left
}

// A loadedJob is a job with what matters of it before it goes on, as it may rest.
type loadedJob struct {
	job                            *Job // nil if it was not made again
	uid                            string
	sum                            uint64 // of the records
	created, finished, latest, due engine.Time
}

func (r *Runner) load(ctx context.Context, load func(context.Context) iter.Seq2[journal.Record, error]) (
	jobs []*loadedJob, doubles []journal.Record, err error) {
	l, err := r.read(ctx, load, nil)
	if err != nil {
		return nil, nil, err
	}
	r.records = l.extensions
	r.subscribed.byName, r.subscribed.latest = l.subscribed.byName, l.subscribed.latest
	r.dirsID = cmp.Or(l.dirs, newDirsID())
	r.continueClock(l.clock, l.jobs)
	r.fence = l.fence() + 1
	jobs, doubles = r.withoutDoubles(l.jobs)
	return jobs, append(doubles, l.left...), nil
}

// fence is that of the last controller that had the store.
func (l *loading) fence() int64 {
	if l.clock == nil {
		return 0
	}
	return l.clock.Fence
}

// read reads a store, except jobs whose records have a sum in last.
func (r *Runner) read(ctx context.Context, load func(context.Context) iter.Seq2[journal.Record, error],
	last map[string]uint64) (*loading, error) {
	l := &loading{r: r, parts: make(chan []journal.Record), extensions: make(map[string][]byte), last: last}
	l.subscribed.byName = make(map[string]*subscription)
	broken, err := l.read(ctx, load)
	switch {
	case err != nil:
		return nil, r.storeError(ctx, err)
	case l.format != format && (l.format != "" || l.other != "" || l.hasJobs || l.hasRecords()):
		return nil, fmt.Errorf("%w: %q, this version needs %q", ErrStoreFormat, l.format, format)
	case l.other != "":
		return nil, r.storeError(ctx, fmt.Errorf("record %q: not known", l.other))
	case l.dirs != "" && !isDirsID(l.dirs):
		return nil, r.storeError(ctx, fmt.Errorf("record %q: %q", dirsKey, l.dirs))
	case broken != nil:
		return nil, r.storeError(ctx, broken)
	}
	return l, nil
}

// hasRecords reports whether there are some that belong to no job, but to users of records.
func (l *loading) hasRecords() bool { return len(l.extensions)+len(l.subscribed.byName) > 0 }

// read reads all records. Broken is why a job cannot be made of its own, which does not
// matter if they are of another format.
func (l *loading) read(ctx context.Context, load func(context.Context) iter.Seq2[journal.Record, error]) (
	broken, err error) {
	for range runtime.GOMAXPROCS(0) {
		l.group.Go(l.makeJobs)
	}
	defer func() {
		close(l.parts)
		broken = l.group.Wait()
	}()
	for record, err := range load(ctx) {
		if err == nil {
			err = l.take(record)
		}
		if err != nil {
			return nil, err
		}
	}
	l.parts <- l.part
	return nil, nil
}

func (l *loading) take(record journal.Record) error {
	switch {
	case record.Job != "":
		l.takeOfJob(record)
	case record.Key == formatKey:
		l.format = string(record.Value)
	case record.Key == clockKey:
		if err := json.Unmarshal(record.Value, &l.clock); err != nil {
			return fmt.Errorf("record %q: %w", clockKey, err)
		}
	case record.Key == dirsKey:
		l.dirs = string(record.Value)
	case strings.HasPrefix(record.Key, extensionKey):
		l.extensions[record.Key] = record.Value
	case record.Key == claimKey: // of a store that has no claims itself
	default:
		ok, err := l.subscribed.take(record)
		if !ok {
			l.other = record.Key
		}
		return err
	}
	return nil
}

// takeOfJob hands on whole jobs, several at a time. The records of one come together.
func (l *loading) takeOfJob(record journal.Record) {
	const enough = 256
	if n := len(l.part); n >= enough && l.part[n-1].Job != record.Job {
		l.parts <- l.part
		l.part = nil
	}
	l.part = append(l.part, record)
	l.hasJobs = true
}

// makeJobs makes jobs of records, until there are no more.
func (l *loading) makeJobs() (broken error) {
	records := make(map[string][]byte)
	for part := range l.parts {
		var jobs []*loadedJob
		for i, record := range part {
			records[record.Key] = record.Value
			if i+1 < len(part) && part[i+1].Job == record.Job {
				continue
			}
			if hasOnlyEnds(records) { // the job was removed when another one ended
				l.addLeft(record.Job)
				clear(records)
				continue
			}
			job := &loadedJob{uid: record.Job}
			if err := l.loadJob(job, records); err != nil {
				broken = cmp.Or(broken, fmt.Errorf("job %s: %w", job.uid, err))
			}
			jobs = append(jobs, job)
			clear(records)
		}
		l.mu.Lock()
		l.jobs = append(l.jobs, jobs...)
		l.mu.Unlock()
	}
	return broken
}

// loadJob makes a job of its records, unless it is as it was.
func (l *loading) loadJob(job *loadedJob, records map[string][]byte) error {
	if l.last == nil {
		return l.r.loadJob(job, records)
	}
	sum := sumOf(records)
	if last, ok := l.last[job.uid]; !ok || last != sum {
		if err := l.r.loadJob(job, records); err != nil {
			return err
		}
	}
	job.sum = sum
	return nil
}

var sumSeed = maphash.MakeSeed()

// sumOf distinguishes the records of a job from what they were before.
func sumOf(records map[string][]byte) (sum uint64) {
	for key, value := range records {
		sum += maphash.String(sumSeed, key) ^ maphash.Bytes(sumSeed, value)*0x9E3779B97F4A7C15
	}
	return sum
}

func (l *loading) addLeft(uid string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = append(l.left, journal.Record{Job: uid})
}

// loadJob makes a job of its records.
func (r *Runner) loadJob(l *loadedJob, records map[string][]byte) error {
	ends := endsIn(records)
	definition, input := records[definitionKey], records[inputRecord]
	if input != nil && !json.Valid(input) {
		return fmt.Errorf("record %q: no JSON", inputRecord)
	}
	saved, err := r.decode(definition, input, nil)
	if err != nil {
		return fmt.Errorf("record %q: %w", definitionKey, err)
	}
	delete(records, definitionKey)
	delete(records, inputRecord)
	uid, err := parseUID(l.uid)
	if err != nil {
		return err
	}
	id := engine.Identity{Job: saved.Name, UID: uid}
	var book results.Book
	if err := book.Load(records); err != nil {
		return err
	}
	reported, err := loadMirror(records)
	if err != nil {
		return err
	}
	if rest, latest, ok := engine.LoadRest(records); ok && reported == nil {
		*l = r.loadRest(id, &saved, rest, latest, definition)
		l.job.resting.leave(leavings{}, byIndex{results: book.Rest()})
		return nil
	}
	j := r.newJob(id, saved.Definition)
	j.generation, j.holds, j.results = saved.Generation, undeclaredHold, book.Rest().Wake(true)
	j.stored.defChanged, j.stored.inputIsNew = false, false
	err = errors.Join(j.checkpoints.Load(records, saved.Indexed), j.loadFailure(records), j.loadFailures(records))
	if err != nil {
		return err
	}
	j.engine, err = engine.Load(j.id, r.spec(saved.Definition), maps.All(records), describeAttempt, j.restoreRun)
	if err != nil {
		return err
	}
	j.created = j.engine.CreatedAt
	j.takeMirror(reported)
	if j.engine.FinishedAt == 0 && j.engine.Run() == 1 { // another run waits for no other job
		j.loadEnds(saved.Definition.After, ends)
	}
	*l = loadedJob{j, l.uid, 0, j.created, j.engine.FinishedAt, j.engine.Latest(), j.engine.Due()}
	if l.finished != 0 {
		j.restAfterLoad(records, definition)
	}
	return nil
}

// loadRest makes a job that rests.
func (r *Runner) loadRest(id engine.Identity, s *SavedJob, e engine.Rest, latest engine.Time,
	definition []byte) loadedJob {
	j := &Job{r: r, id: id, input: newInput(s.Definition.Input), holds: undeclaredHold}
	j.entry.Item, j.alarm.Item = j, j
	spec := r.spec(s.Definition)
	j.resting = j.r.newRest(e, spec, s.Definition, s.Generation, definition)
	o := e.Outcome()
	return loadedJob{j, id.String(), 0, o.CreatedAt, o.FinishedAt, latest, o.Due(spec.TTL)}
}

// restAfterLoad takes up a job that has finished.
func (j *Job) restAfterLoad(records map[string][]byte, definition []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.resting = j.newRestLocked(j.engine.RestAfterLoad(records), definition)
	j.fallAsleepLocked()
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
