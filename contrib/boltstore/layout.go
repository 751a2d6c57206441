package boltstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"

	"go.etcd.io/bbolt"

	"github.com/runtocompletion/batch"
)

// The file has two buckets. In formatBucket the version of the format is under
// formatKey. In jobsBucket each job has a bucket, and in it a value under each
// key. A value longer than largeValue lies alone in a bucket of its own, so
// that it is not written again when its neighbours are: bbolt writes leaves as
// a whole.
//
// Each value has its checksum in front, over the job and the key as well. The
// sequence number of a job's bucket is the sum of its weights (see weight), and
// that of jobsBucket the sum of theirs: so a record that is missing, or an old
// one that has come back with its page, is found as well. The sequence number
// of the bucket of a large value is its checksum, and that of formatBucket the
// checksum of the meta page before this one: see verify.
const formatVersion = 1

const largeValue = 4096

const checksumSize = 4

var (
	formatBucket = []byte("batch/format") // comes first in the file, so that it is read first
	formatKey    = []byte("format")
	jobsBucket   = []byte("batch/jobs")
	largeKey     = []byte("value")
)

// bucketName returns the name of a job's bucket, which cannot be empty.
func bucketName(job string) []byte { return append([]byte{'/'}, job...) }

// jobOf is the reverse of bucketName.
func jobOf(name []byte) string { return string(name[1:]) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is that of a record. The lengths tell where a part of it ends. It
// uses the memory of buf, which may be nil, and returns it for the next one.
func checksum[K ~string | ~[]byte](buf []byte, job string, key K, value []byte) (uint32, []byte) {
	buf = binary.AppendUvarint(buf[:0], uint64(len(job)))
	buf = binary.AppendUvarint(buf, uint64(len(key)))
	buf = append(append(buf, job...), key...)
	return crc32.Update(crc32.Checksum(buf, castagnoli), castagnoli, value), buf
}

// weight is what a record adds to the sum of its job: never nothing.
func weight(sum uint32) uint64 { return 1<<32 | uint64(sum) }

// sealed appends a value with its checksum to buf.
func sealed(buf []byte, sum uint32, value []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(buf, sum), value...)
}

// sumIn is the checksum that a sealed value has.
func sumIn(raw []byte) uint32 { return binary.LittleEndian.Uint32(raw) }

// unseal checks a value against its checksum. It uses buf as checksum does.
func unseal(buf []byte, job string, key, raw []byte) (value, scratch []byte, err error) {
	if len(raw) < checksumSize {
		return nil, buf, fmt.Errorf("record %q of job %q is too short", key, job)
	}
	sum, buf := checksum(buf, job, key, raw[checksumSize:])
	if sum != sumIn(raw) {
		return nil, buf, fmt.Errorf("record %q of job %q does not have its checksum", key, job)
	}
	return raw[checksumSize:], buf, nil
}

// sealedFormat is what formatKey has in a file of the given version.
func sealedFormat(version int) []byte {
	value := strconv.AppendInt(nil, int64(version), 10)
	sum, _ := checksum(nil, "", formatKey, value)
	return sealed(nil, sum, value)
}

// parseFormat is the reverse of sealedFormat.
func parseFormat(raw []byte) (version int, err error) {
	value, _, err := unseal(nil, "", formatKey, raw)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(value))
}

// checkRecords returns an error if a record has no place in a file.
func checkRecords(records []batch.Record) error {
	const maxKey, maxValue = bbolt.MaxKeySize - 1, bbolt.MaxValueSize - checksumSize
	for _, r := range records {
		problem := ""
		switch {
		case r.Key == "" && r.Value != nil:
			problem = "a value needs a key"
		case len(r.Job) > maxKey:
			problem = fmt.Sprintf("the job's UID has %d bytes, and the limit is %d", len(r.Job), maxKey)
		case len(r.Key) > maxKey:
			problem = fmt.Sprintf("the key has %d bytes, and the limit is %d", len(r.Key), maxKey)
		case len(r.Value) > maxValue:
			problem = fmt.Sprintf("the value has %d bytes, and the limit is %d", len(r.Value), maxValue)
		}
		if problem != "" {
			return &RecordError{Job: shortened(r.Job), Key: shortened(r.Key), Problem: problem}
		}
	}
	return nil
}

func shortened(text string) string { return text[:min(len(text), 100)] }

// A change is a record as it will be in the file.
type change struct {
	job, key string
	raw      []byte // sealed; nil if the record, or the job, is removed
}

// changes returns copies of records. They are valid until the next call.
func (s *Store) changes(records []batch.Record) []change {
	const keep = 1 << 20 // bytes
	size := 0
	for _, r := range records {
		size += checksumSize + len(r.Value)
	}
	if cap(s.buf) < size || cap(s.buf) > keep {
		s.buf = make([]byte, 0, size)
	}
	buf := s.buf[:0]
	changes := make([]change, len(records))
	var scratch []byte
	for i, r := range records {
		changes[i] = change{job: r.Job, key: r.Key}
		if r.Value == nil {
			continue
		}
		var sum uint32
		sum, scratch = checksum(scratch, r.Job, r.Key, r.Value)
		start := len(buf)
		buf = sealed(buf, sum, r.Value)
		changes[i].raw = buf[start:len(buf):len(buf)]
	}
	return changes
}

// apply makes the changes of a transaction that follows the one whose meta page
// has the checksum lastSum.
func apply(tx *bbolt.Tx, changes []change, lastSum uint64) error {
	w := writer{all: tx.Bucket(jobsBucket), jobs: map[string]*bbolt.Bucket{}}
	for _, c := range changes {
		if err := w.apply(c); err != nil {
			return err
		}
	}
	return tx.Bucket(formatBucket).SetSequence(lastSum)
}

// A writer makes the changes of one transaction.
type writer struct {
	all  *bbolt.Bucket
	jobs map[string]*bbolt.Bucket // those that were used, by UID
}

func (w *writer) apply(c change) error {
	switch {
	case c.raw != nil:
		return w.put(c)
	case c.key != "":
		return w.remove(c.job, c.key)
	}
	return w.removeJob(c.job)
}

// job returns the bucket of a job, or nil if it has none.
func (w *writer) job(uid string) *bbolt.Bucket {
	if w.jobs[uid] == nil {
		w.jobs[uid] = w.all.Bucket(bucketName(uid))
	}
	return w.jobs[uid]
}

func (w *writer) put(c change) error {
	job := w.job(c.job)
	if job == nil {
		var err error
		if job, err = w.all.CreateBucket(bucketName(c.job)); err != nil {
			return err
		}
		w.jobs[c.job] = job
	}
	key := []byte(c.key)
	was := find(job, key)
	if err := set(job, key, was, c.raw); err != nil {
		return err
	}
	return w.add(job, weight(sumIn(c.raw))-was.weight)
}

// set puts a sealed value in the place of what was found there.
func set(job *bbolt.Bucket, key []byte, was found, raw []byte) error {
	large := len(raw)-checksumSize > largeValue
	if was.there() && was.large != large {
		if err := was.delete(job, key); err != nil {
			return err
		}
	}
	if !large {
		return job.Put(key, raw)
	}
	alone, err := job.CreateBucketIfNotExists(key)
	if err != nil {
		return err
	}
	if err := alone.SetSequence(uint64(sumIn(raw))); err != nil {
		return err
	}
	return alone.Put(largeKey, raw)
}

func (w *writer) remove(uid, key string) error {
	job := w.job(uid)
	if job == nil {
		return nil
	}
	was := find(job, []byte(key))
	if !was.there() {
		return nil
	}
	if err := was.delete(job, []byte(key)); err != nil {
		return err
	}
	if err := w.add(job, -was.weight); err != nil || job.Sequence() != 0 {
		return err
	}
	return w.removeJob(uid) // it is empty
}

func (w *writer) removeJob(uid string) error {
	job := w.job(uid)
	if job == nil {
		return nil
	}
	// DeleteBucket passes over some of the buckets within if the transaction has
	// changed them, and loses their pages.
	for _, key := range largeKeys(job) {
		if err := job.DeleteBucket(key); err != nil {
			return err
		}
	}
	if err := w.add(job, -job.Sequence()); err != nil {
		return err
	}
	delete(w.jobs, uid)
	return w.all.DeleteBucket(bucketName(uid))
}

func largeKeys(job *bbolt.Bucket) [][]byte {
	var keys [][]byte
	for c, k, v := first(job); k != nil; k, v = c.Next() {
		if v == nil {
			keys = append(keys, bytes.Clone(k))
		}
	}
	return keys
}

func first(b *bbolt.Bucket) (c *bbolt.Cursor, key, value []byte) {
	c = b.Cursor()
	key, value = c.First()
	return c, key, value
}

// add adds to the sum of a job, and so to the sum of all.
func (w *writer) add(job *bbolt.Bucket, weight uint64) error {
	if err := job.SetSequence(job.Sequence() + weight); err != nil {
		return err
	}
	return w.all.SetSequence(w.all.Sequence() + weight)
}

// found is what a job has under a key.
type found struct {
	weight uint64 // 0 if there is nothing
	large  bool
}

func (f found) there() bool { return f.weight != 0 }

func find(job *bbolt.Bucket, key []byte) found {
	k, raw := job.Cursor().Seek(key)
	switch {
	case !bytes.Equal(k, key):
		return found{}
	case raw == nil:
		return found{weight: weight(uint32(job.Bucket(key).Sequence())), large: true}
	}
	return found{weight: weight(sumIn(raw))}
}

func (f found) delete(job *bbolt.Bucket, key []byte) error {
	if f.large {
		return job.DeleteBucket(key)
	}
	return job.Delete(key)
}
