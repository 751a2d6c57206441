package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/boltstore/internal/boltfile"
)

// verify reads a whole file, without bbolt, which trusts what it reads. It
// returns nil if the file holds exactly what was last committed to it: then
// bbolt may have it.
func verify(path string, r io.ReaderAt, size int64) error {
	return walk(path, r, size, nil)
}

// walk is verify, and visits the records while it is at it, unless visit is nil.
// Their values are valid during the visit only.
func walk(path string, r io.ReaderAt, size int64, visit func(batch.Record) error) error {
	err := walkFile(path, r, size, visit)
	if damage, ok := errors.AsType[*boltfile.Damage](err); ok {
		return &CorruptError{Path: path, Problem: damage.Error(), Err: damage}
	}
	if errors.Is(err, boltfile.ErrNotBolt) {
		return &ForeignError{Path: path, Problem: notBolt(size)}
	}
	return err
}

func notBolt(size int64) string {
	if size == 0 {
		return "empty (remove it to begin a new one)"
	}
	return "no file of bbolt, or one with pages of another size than 4096 bytes"
}

func walkFile(path string, r io.ReaderAt, size int64, visit func(batch.Record) error) error {
	file, err := boltfile.Open(r, size)
	if err != nil {
		return ioError("read", path, err)
	}
	v := &verifier{path: path, r: r, file: file, visit: visit}
	if err := file.Walk(file.Root(), v.top); err != nil {
		return ioError("read", path, err)
	}
	if err := v.end(); err != nil {
		return err
	}
	return ioError("read", path, file.CheckFreelist())
}

// A verifier iterates over the buckets of a file.
type verifier struct {
	path  string
	r     io.ReaderAt
	file  *boltfile.File
	visit func(batch.Record) error

	format bool     // whether there was a format, and it is known
	jobs   bool     // whether there were jobs
	others [][]byte // the names of buckets that no store has
	sum    uint64   // of the jobs so far
	jobSum uint64   // of the job that is visited

	scratch []byte
}

func (v *verifier) corrupt(format string, args ...any) error {
	return &CorruptError{Path: v.path, Problem: fmt.Sprintf(format, args...)}
}

// top visits the buckets that have all others in them.
func (v *verifier) top(e boltfile.Entry) error {
	switch {
	case e.Bucket == nil:
		return v.corrupt("there is a value %q among the buckets", e.Key)
	case bytes.Equal(e.Key, formatBucket):
		return v.checkFormat(*e.Bucket)
	case bytes.Equal(e.Key, jobsBucket):
		return v.checkJobs(*e.Bucket)
	}
	v.others = append(v.others, bytes.Clone(e.Key))
	return nil
}

// end looks at what can be told only when all was visited. A file that bbolt
// has made and nothing was written to is none of ours: we write to it before it
// gets its name.
func (v *verifier) end() error {
	newest, _ := v.file.Metas()
	switch ours := v.format || v.jobs; {
	case !ours && (len(v.others) > 0 || newest.Txid <= 1):
		return &ForeignError{Path: v.path, Problem: "a file of bbolt that another program has made"}
	case !v.format:
		return v.corrupt("it does not say which format it has")
	case !v.jobs:
		return v.corrupt("the jobs are missing")
	case len(v.others) > 0:
		return v.corrupt("there is an unknown bucket %q", v.others[0])
	}
	return nil
}

func (v *verifier) checkFormat(b boltfile.Bucket) error {
	err := v.file.Walk(b, func(e boltfile.Entry) error {
		if e.Bucket != nil || !bytes.Equal(e.Key, formatKey) {
			return nil
		}
		version, err := parseFormat(e.Value)
		if err != nil {
			return v.corrupt("it does not say which format it has: %v", err)
		}
		if version != formatVersion {
			return &FormatError{Path: v.path, Found: version, Known: formatVersion}
		}
		v.format = true
		return nil
	})
	if err != nil || !v.format {
		return err
	}
	return v.checkMetas(b.Sequence)
}

// checkMetas looks at the meta page that is not the newest whole one. Neither of
// the two may have the receipt of something newer. If it is
// not whole, it may be what is left of a write that was cut short: no caller was
// told of what it would have committed. Or its bytes have changed since: then it
// may be the last one that was committed. The difference is that a cut write has
// left the end of the page before it, whose checksum is known.
func (v *verifier) checkMetas(sumBefore uint64) error {
	newest, other := v.file.Metas()
	for slot := range 2 {
		receipt, err := readReceipt(v.r, slot)
		if err != nil {
			return ioError("read", v.path, err)
		}
		if receipt != nil && receipt.contradicts(newest) {
			return v.corrupt("page %d is not what was committed last", other.Slot)
		}
	}
	if !other.Valid && !other.TornOver(sumBefore) {
		return v.corrupt("page %d, which may be what was committed last, has changed", other.Slot)
	}
	return nil
}

func (v *verifier) checkJobs(b boltfile.Bucket) error {
	v.jobs = true
	if err := v.file.Walk(b, v.job); err != nil {
		return err
	}
	if v.sum != b.Sequence {
		return v.corrupt("records are missing, or are not those that were committed last")
	}
	return nil
}

func (v *verifier) job(e boltfile.Entry) error {
	if e.Bucket == nil || e.Key[0] != bucketName("")[0] {
		return v.corrupt("there is something called %q among the jobs", e.Key)
	}
	name := jobOf(e.Key)
	v.jobSum = 0
	if err := v.file.Walk(*e.Bucket, func(e boltfile.Entry) error { return v.record(name, e) }); err != nil {
		return err
	}
	if v.jobSum != e.Bucket.Sequence {
		return v.corrupt("records of job %q are missing, or are not those that were committed last", name)
	}
	v.sum += v.jobSum
	return nil
}

func (v *verifier) record(job string, e boltfile.Entry) error {
	if e.Bucket == nil {
		return v.value(job, e.Key, e.Value)
	}
	count := 0
	err := v.file.Walk(*e.Bucket, func(alone boltfile.Entry) error {
		count++
		if alone.Bucket != nil || !bytes.Equal(alone.Key, largeKey) ||
			len(alone.Value) < checksumSize || uint64(sumIn(alone.Value)) != e.Bucket.Sequence {
			return v.corrupt("there is something else in the place of value %q of job %q", e.Key, job)
		}
		return v.value(job, e.Key, alone.Value)
	})
	if err == nil && count != 1 {
		return v.corrupt("value %q of job %q is missing", e.Key, job)
	}
	return err
}

func (v *verifier) value(job string, key, raw []byte) error {
	value, scratch, err := unseal(v.scratch, job, key, raw)
	if err != nil {
		return v.corrupt("%v", err)
	}
	v.scratch = scratch
	v.jobSum += weight(sumIn(raw))
	if v.visit == nil {
		return nil
	}
	return v.visit(batch.Record{Job: job, Key: string(key), Value: value})
}

// ioError gives an error that is not one of this package's the type that says
// what was being done.
func ioError(op, path string, err error) error {
	if err == nil || isOurs(err) {
		return err
	}
	return &IOError{Op: op, Path: path, Err: err}
}

func isOurs(err error) bool {
	switch err.(type) {
	case *CorruptError, *ForeignError, *FormatError, *InUseError, *IOError, *RecordError, *boltfile.Damage:
		return true
	}
	return errors.Is(err, boltfile.ErrNotBolt)
}
