package boltstore

import (
	"context"
	"iter"

	"go.etcd.io/bbolt"

	"github.com/runtocompletion/batch"
)

// stepSize is how many bytes of values are read at a time, if jobs are small.
const stepSize = 1 << 18

// Load iterates over every record, job by job. The values are the caller's. While
// the loop's body runs the store may be used: a job that is changed meanwhile
// is met as it was or as it is, as a whole. The errors are an [*IOError], a
// [*CorruptError], [ErrClosed], or the cause of a ctx that has ended, also while
// the disk hangs.
func (s *Store) Load(ctx context.Context) iter.Seq2[batch.Record, error] {
	return func(yield func(batch.Record, error) bool) {
		var after []byte // the bucket of the last job
		for {
			jobs, err := s.loadAfter(ctx, after)
			if err != nil {
				yield(batch.Record{}, err)
				return
			}
			for _, r := range jobs.records {
				if ctx.Err() != nil {
					yield(batch.Record{}, context.Cause(ctx))
					return
				}
				if !yield(r, nil) {
					return
				}
			}
			if jobs.last == nil {
				return
			}
			after = jobs.last
		}
	}
}

// loadedJobs are some jobs in a row.
type loadedJobs struct {
	records []batch.Record
	last    []byte // the bucket of the last one; nil if there is none behind it
}

// loadAfter returns the first jobs whose buckets come after one.
func (s *Store) loadAfter(ctx context.Context, after []byte) (*loadedJobs, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	step := &reading{path: s.path}
	err := s.run(ctx, func() error {
		if err := s.makeReady(); err != nil {
			return err
		}
		return s.call("read", func() error {
			return s.db.View(func(tx *bbolt.Tx) error { return step.read(tx.Bucket(jobsBucket), after) })
		})
	})
	if err != nil {
		return nil, err // and step may still be written to
	}
	return &step.loadedJobs, nil
}

// A reading is one step of a Load.
type reading struct {
	loadedJobs
	path    string
	size    int // of the values
	raw     []raw
	keys    []byte // of one job
	scratch []byte
}

// raw is a record as it is in the file.
type raw struct {
	keyEnd int // in the keys of the job
	value  []byte
}

func (l *reading) read(jobs *bbolt.Bucket, after []byte) error {
	c := jobs.Cursor()
	name, _ := c.Seek(after)
	if after != nil && string(name) == string(after) {
		name, _ = c.Next()
	}
	for ; name != nil; name, _ = c.Next() {
		if l.size >= stepSize {
			return nil
		}
		l.last = append(l.last[:0], name...)
		if err := l.readJob(jobs.Bucket(name), jobOf(name)); err != nil {
			return err
		}
	}
	l.last = nil
	return nil
}

// readJob adds copies of a job's records.
func (l *reading) readJob(b *bbolt.Bucket, job string) error {
	l.raw, l.keys = l.raw[:0], l.keys[:0]
	small := 0 // bytes of the values that need no memory of their own
	var sum uint64
	for c, k, v := first(b); k != nil; k, v = c.Next() {
		large := v == nil
		if large {
			v = b.Bucket(k).Get(largeKey)
		}
		value, err := l.unseal(job, k, v)
		if err != nil {
			return &CorruptError{Path: l.path, Problem: err.Error()}
		}
		sum += weight(sumIn(v))
		l.keys = append(l.keys, k...)
		l.raw = append(l.raw, raw{len(l.keys), value})
		if !large {
			small += len(value)
		}
	}
	if sum != b.Sequence() {
		return &CorruptError{Path: l.path, Problem: "records of a job are missing"}
	}
	l.copy(job, make([]byte, 0, small))
	return nil
}

func (l *reading) unseal(job string, key, raw []byte) (value []byte, err error) {
	value, l.scratch, err = unseal(l.scratch, job, key, raw)
	return value, err
}

// copy adds the records of a job, whose small values get their places in buf.
func (l *reading) copy(job string, buf []byte) {
	keys, start := string(l.keys), 0
	for _, r := range l.raw {
		into := buf
		if len(r.value) > largeValue {
			into = make([]byte, 0, len(r.value))
		}
		from := len(into)
		into = append(into, r.value...)
		l.records = append(l.records, batch.Record{
			Job: job, Key: keys[start:r.keyEnd], Value: into[from:len(into):len(into)],
		})
		if len(r.value) <= largeValue {
			buf = into
		}
		start, l.size = r.keyEnd, l.size+len(r.value)
	}
}
