package batchtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runtocompletion/batch"
)

// TestStore tests what every [batch.Store] must do. Open returns the store that
// is kept in a folder of its own; each test begins with an empty one. A store
// that is an [io.Closer] is closed now and then, and opened again: what was
// committed must still be there. Of every store it is tested that it serves one
// controller at a time, of a [batch.Claimer] also its claims.
//
//	func TestStore(t *testing.T) {
//		batchtest.TestStore(t, func(dir string) (batch.Store, error) {
//			return boltstore.Open(filepath.Join(dir, "jobs.db"), boltstore.Options{})
//		})
//	}
func TestStore(t *testing.T, open func(dir string) (batch.Store, error)) {
	for _, c := range slices.Concat(storeCases, claimCases) {
		t.Run(c.name, func(t *testing.T) {
			if err := runStoreCase(t.Context(), t.TempDir(), open, c.check); err != nil {
				t.Error(err)
			}
		})
	}
}

// A storeCase returns an error that says what the store should have done.
type storeCase struct {
	name  string
	check func(s *storeUnderTest) error
}

func runStoreCase(ctx context.Context, dir string, open func(string) (batch.Store, error),
	check func(*storeUnderTest) error) error {
	store, err := open(dir)
	if err != nil {
		return fmt.Errorf("open an empty folder: %w", err)
	}
	s := &storeUnderTest{
		Store: store, ctx: ctx, open: func() (batch.Store, error) { return open(dir) }, want: storeModel{},
	}
	return errors.Join(check(s), s.close())
}

// A storeModel is what a store should hold: the values by job and key.
type storeModel map[storeKey]string

type storeKey struct{ job, key string }

func (k storeKey) String() string {
	return fmt.Sprintf("record %s of job %s", brief(k.key), brief(k.job))
}

// brief quotes a text that may be long.
func brief(text string) string {
	const enough = 40
	if len(text) <= enough {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%q... (%d bytes)", text[:enough], len(text))
}

func (m storeModel) apply(records []batch.Record) {
	for _, r := range records {
		switch {
		case r.Value != nil:
			m[storeKey{r.Job, r.Key}] = string(r.Value)
		case r.Key != "":
			delete(m, storeKey{r.Job, r.Key})
		default:
			maps.DeleteFunc(m, func(k storeKey, _ string) bool { return k.job == r.Job })
		}
	}
}

// differs returns an error that names the first difference.
func (m storeModel) differs(got storeModel) error {
	for _, k := range m.keys() {
		value, ok := got[k]
		if !ok {
			return fmt.Errorf("%v is missing, it was committed as %s", k, brief(m[k]))
		}
		if value != m[k] {
			return fmt.Errorf("%v:\n got: %s\nwant: %s", k, brief(value), brief(m[k]))
		}
	}
	for _, k := range got.keys() {
		if _, ok := m[k]; !ok {
			return fmt.Errorf("%v is there, and should not be: %s", k, brief(got[k]))
		}
	}
	return nil
}

func (m storeModel) keys() []storeKey {
	return slices.SortedFunc(maps.Keys(m), func(a, b storeKey) int {
		return cmp.Or(strings.Compare(a.job, b.job), strings.Compare(a.key, b.key))
	})
}

// A storeUnderTest is a store with what should be in it.
type storeUnderTest struct {
	batch.Store
	ctx  context.Context
	open func() (batch.Store, error)
	want storeModel
}

// commit commits records, which must not be retained, and looks at what is there then.
func (s *storeUnderTest) commit(records ...batch.Record) error {
	lent := cloneRecords(records)
	if err := s.Commit(s.ctx, lent); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	s.want.apply(records)
	for i, r := range lent {
		if r.Job != records[i].Job || r.Key != records[i].Key || !bytes.Equal(r.Value, records[i].Value) {
			return fmt.Errorf("the store has changed record %d of a commit, which it was only lent", i)
		}
		for at := range r.Value { // the controller uses its memory again
			r.Value[at] ^= 0xFF
		}
	}
	clear(lent)
	return s.check()
}

func cloneRecords(records []batch.Record) []batch.Record {
	clones := slices.Clone(records)
	for i, r := range clones {
		clones[i].Value = bytes.Clone(r.Value)
	}
	return clones
}

// check looks at what is there.
func (s *storeUnderTest) check() error {
	got, err := s.load(s.ctx)
	if err != nil {
		return err
	}
	return s.want.differs(got)
}

// load returns what is there. It requires that records come job by job, and
// once.
func (s *storeUnderTest) load(ctx context.Context) (storeModel, error) {
	var records []batch.Record // and not the model at once: values must stay
	for r, err := range s.Load(ctx) {
		if err != nil {
			return nil, fmt.Errorf("load: %w", err)
		}
		records = append(records, r)
	}
	got, last, done := storeModel{}, "", map[string]bool{}
	for i, r := range records {
		k := storeKey{r.Job, r.Key}
		if i > 0 && r.Job != last {
			done[last] = true
		}
		last = r.Job
		if _, twice := got[k]; twice {
			return nil, fmt.Errorf("load: %v comes twice", k)
		}
		if done[r.Job] {
			return nil, fmt.Errorf("load: %v comes after records of another job: they must come job by job", k)
		}
		if r.Value == nil {
			return nil, fmt.Errorf("load: %v has a nil value, which no record has; an empty one is []byte{}", k)
		}
		got[k] = string(r.Value)
	}
	return got, nil
}

// reopen closes the store and opens it again, if it can be closed, and looks at
// what is there.
func (s *storeUnderTest) reopen() error {
	if _, ok := s.Store.(io.Closer); !ok {
		return nil
	}
	if err := s.close(); err != nil {
		return err
	}
	store, err := s.open()
	if err != nil {
		return fmt.Errorf("open again after the close: %w", err)
	}
	s.Store = store
	if err := s.check(); err != nil {
		return fmt.Errorf("after closing the store and opening it again: %w", err)
	}
	return nil
}

func (s *storeUnderTest) close() error {
	closer, ok := s.Store.(io.Closer)
	if !ok {
		return nil
	}
	if err := closer.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// all commits one list of records after the other, and opens the store again at
// the end.
func (s *storeUnderTest) all(commits ...[]batch.Record) error {
	for i, records := range commits {
		if err := s.commit(records...); err != nil {
			return fmt.Errorf("commit %d of %d: %w", i+1, len(commits), err)
		}
	}
	return s.reopen()
}

func put(job, key, value string) batch.Record {
	return batch.Record{Job: job, Key: key, Value: []byte(value)}
}

func remove(job, key string) batch.Record { return batch.Record{Job: job, Key: key} }

func removeJob(job string) batch.Record { return batch.Record{Job: job} }

var storeCases = []storeCase{
	{"an empty store holds nothing", func(s *storeUnderTest) error {
		return errors.Join(s.check(), s.reopen())
	}},
	{"what is committed is loaded", func(s *storeUnderTest) error {
		return s.all(
			[]batch.Record{put("a", "spec", "1"), put("a", "state", "2"), put("b", "spec", "3"), put("", "format", "4")},
			[]batch.Record{put("c", "spec", "5"), put("a", "attempt", "6")},
		)
	}},
	{"a later value replaces an earlier one", func(s *storeUnderTest) error {
		return s.all(
			[]batch.Record{put("a", "k", "first"), put("b", "k", "other")}, []batch.Record{put("a", "k", "a longer second")},
			[]batch.Record{put("a", "k", "3")},
		)
	}},
	{"the records of a commit apply in their order", func(s *storeUnderTest) error {
		return s.all(
			[]batch.Record{
				put("a", "k", "1"), put("a", "k", "2"), put("b", "k", "1"), remove("b", "k"), put("c", "k", "1"), removeJob("c"),
				put("c", "other", "2"),
			},
			[]batch.Record{
				remove("a", "k"), put("a", "k", "3"), removeJob("c"), put("c", "k", "4"), put("b", "x", "5"), removeJob("b"),
			},
		)
	}},
	{"a nil value removes a record", func(s *storeUnderTest) error {
		return s.all(
			[]batch.Record{put("a", "k", "1"), put("a", "l", "2"), put("b", "k", "3")}, []batch.Record{remove("a", "k")},
			[]batch.Record{remove("a", "l"), remove("b", "k")},
		)
	}},
	{"removing what is not there changes nothing", func(s *storeUnderTest) error {
		return s.all(
			[]batch.Record{remove("a", "k"), removeJob("a"), removeJob("")}, []batch.Record{put("a", "k", "1")},
			[]batch.Record{remove("a", "l"), remove("b", "k"), removeJob("b"), removeJob("")},
		)
	}},
	{"a nil value without a key removes that job, and no other", func(s *storeUnderTest) error {
		names := []string{"", "a", "aa", "ab", "b", "a/", "a\x00", "a\xff"}
		var records []batch.Record
		for _, name := range names {
			records = append(records, put(name, "k", "1"), put(name, "l", "2"), put(name, "big", strings.Repeat("x", 9000)))
		}
		commits := [][]batch.Record{records}
		for _, name := range names {
			commits = append(commits, []batch.Record{removeJob(name)})
		}
		return s.all(commits...)
	}},
	{"an empty value is a value", func(s *storeUnderTest) error {
		return s.all(
			[]batch.Record{{Job: "a", Key: "k", Value: []byte{}}, put("a", "l", "1")},
			[]batch.Record{{Job: "a", Key: "l", Value: []byte{}}},
		)
	}},
	{"jobs, keys and values are any bytes", func(s *storeUnderTest) error {
		odd := []string{
			"\x00", "\x00\x00", "\xff", "\xff\xfe\xfd", "a\nb", " ", ".", "..", "../x", "a/b", "ä", "%s", "value", "jobs",
			strings.Repeat("k", 100), strings.Repeat("\x00", 100),
		}
		var records []batch.Record
		for _, job := range append(odd, "") {
			for _, key := range odd {
				records = append(records, put(job, key, job+"\x00"+key))
			}
		}
		return s.all(records)
	}},
	{"values may be long", func(s *storeUnderTest) error {
		long := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
		return s.all(
			[]batch.Record{put("a", "k", long), put("a", "l", "short"), put("b", "k", long[:1<<20+1])},
			[]batch.Record{put("a", "k", "short"), put("a", "l", long[1:])},
			[]batch.Record{put("a", "k", long[:5000]), put("b", "k", long[7:1<<20]), remove("a", "l")},
		)
	}},
	{"there may be many jobs", func(s *storeUnderTest) error {
		var records, removed []batch.Record
		for i := range 2000 {
			name := fmt.Sprint("job-", i)
			records = append(records, put(name, "spec", name), put(name, "state", strings.Repeat("s", i%300)))
			if i%3 > 0 {
				removed = append(removed, removeJob(name))
			}
		}
		return s.all(records, removed)
	}},
	{"a job may have many records", func(s *storeUnderTest) error {
		var records, removed []batch.Record
		for i := range 5000 {
			records = append(records, put("a", fmt.Sprint("index-", i), fmt.Sprint(i*i)))
			if i%3 > 0 {
				removed = append(removed, remove("a", fmt.Sprint("index-", i)))
			}
		}
		return s.all(records, removed, []batch.Record{removeJob("a")})
	}},
	{"a commit of nothing is one", func(s *storeUnderTest) error {
		return s.all(nil, []batch.Record{put("a", "k", "1")}, []batch.Record{})
	}},
	{"any commits", checkRandomCommits},
	{"loaded values are the caller's", checkLoadedValues},
	{"a load may be left", checkLeavingLoad},
	{"a load ends with its context", checkLoadContext},
	{"several may load at once", checkConcurrentLoads},
	{"nothing is committed for a context that has ended", checkCommitContext},
	{"a commit that is cancelled is done as a whole, or not at all", checkCancelledCommits},
}

func checkRandomCommits(s *storeUnderTest) error {
	random := rand.New(rand.NewPCG(1, 2))
	record := func() batch.Record {
		job, key := fmt.Sprint("job-", random.IntN(8)), fmt.Sprint("key-", random.IntN(8))
		switch random.IntN(12) {
		case 0:
			return removeJob(job)
		case 1, 2:
			return remove(job, key)
		case 3:
			return put(job, key, strings.Repeat("long", random.IntN(5000)))
		}
		return put(job, key, strings.Repeat("x", random.IntN(200)))
	}
	for i := range 60 {
		records := make([]batch.Record, random.IntN(20))
		for i := range records {
			records[i] = record()
		}
		if err := s.commit(records...); err != nil {
			return fmt.Errorf("commit %d: %w", i+1, err)
		}
		if i%20 == 19 {
			if err := s.reopen(); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkLoadedValues(s *storeUnderTest) error {
	if err := s.commit(put("a", "k", "value"), put("a", "l", strings.Repeat("long", 5000))); err != nil {
		return err
	}
	for r, err := range s.Load(s.ctx) {
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
		for at := range r.Value {
			r.Value[at] ^= 0xFF
		}
		_ = append(r.Value, "and more"...)
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("after values that a load gave out were written to: %w", err)
	}
	return s.reopen()
}

// manyJobs commits records of many jobs.
func (s *storeUnderTest) manyJobs() error {
	var records []batch.Record
	for i := range 300 {
		records = append(records, put(fmt.Sprint("job-", i), "k", "1"), put(fmt.Sprint("job-", i), "l", "2"))
	}
	return s.commit(records...)
}

func checkLeavingLoad(s *storeUnderTest) error {
	if err := s.manyJobs(); err != nil {
		return err
	}
	for _, stop := range []int{1, 2, 3, 599} {
		count := 0
		for _, err := range s.Load(s.ctx) {
			if err != nil {
				return fmt.Errorf("load: %w", err)
			}
			if count++; count == stop {
				break
			}
		}
		if err := s.commit(put("left", "at", fmt.Sprint(stop))); err != nil {
			return fmt.Errorf("after leaving a load at record %d: %w", stop, err)
		}
	}
	return s.reopen()
}

func checkLoadContext(s *storeUnderTest) error {
	if err := s.manyJobs(); err != nil {
		return err
	}
	for name, early := range map[string]bool{"before": true, "during": false} {
		ctx, cancel := context.WithCancel(s.ctx)
		if early {
			cancel()
		}
		var last error
		for _, err := range s.Load(ctx) {
			cancel()
			last = err
		}
		cancel()
		if !errors.Is(last, context.Canceled) {
			return fmt.Errorf(
				"the context was cancelled %s a load: it must end with the context's error, and not with %v", name, last,
			)
		}
	}
	return s.check()
}

func checkConcurrentLoads(s *storeUnderTest) error {
	if err := s.manyJobs(); err != nil {
		return err
	}
	errs := make([]error, 4)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = s.check() })
	}
	all.Wait()
	return errors.Join(errs...)
}

func checkCommitContext(s *storeUnderTest) error {
	if err := s.commit(put("a", "k", "1")); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	err := s.Commit(ctx, []batch.Record{put("a", "k", "2"), put("b", "k", "3")})
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("a commit with a context that was cancelled must return its error, and not %v", err)
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("after a commit with a context that was cancelled before: %w", err)
	}
	return s.all([]batch.Record{put("a", "k", "4")})
}

func checkCancelledCommits(s *storeUnderTest) error {
	for i := range 30 {
		records := []batch.Record{removeJob(fmt.Sprint("job-", i-1))}
		for k := range 200 {
			records = append(records, put(fmt.Sprint("job-", i), fmt.Sprint("key-", k), "value"))
		}
		ctx, cancel := context.WithCancel(s.ctx)
		timer := time.AfterFunc(time.Duration(i)*50*time.Microsecond, cancel)
		err := s.Commit(ctx, cloneRecords(records))
		timer.Stop()
		cancel()
		next := maps.Clone(s.want)
		next.apply(records)
		got, loadErr := s.load(s.ctx)
		if loadErr != nil {
			return loadErr
		}
		if err != nil && s.want.differs(got) == nil {
			continue // not at all
		}
		if differs := next.differs(got); differs != nil {
			return fmt.Errorf("commit %d returned %v, and is there in part: %w", i+1, err, differs)
		}
		s.want = next
	}
	return s.reopen()
}
