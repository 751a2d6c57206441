package runner

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/runtocompletion/batch/internal/engine"
)

// Failures are the indexes of a job that have failed and not succeeded since, each with
// its last failure; nil has none. They do not depend on the history, and are stored.
type failures struct {
	isStored bool
	of       map[int]indexFailure
	rested   []failedIndex // instead of that, since the job has rested and until they change
	changed  map[int]bool  // since the latest commit, if they are stored: whether there is a record
}

// An indexFailure is the last failure of an index.
type indexFailure struct {
	seq     int64 // of the attempt; noAttempt if the index was cancelled
	at      engine.Time
	inARow  int
	code    int // -1: none
	err     error
	text    string // of err, which is user code
	overdue error  // ErrAttemptTimeout or ErrNoProgress, if it failed for that
	isLoss  bool   // the attempt was asked to stop, or lost: what its executor returns may follow
	isSaved bool   // there is a record of the index
	name    string // of the attempt, if it does not follow from seq
}

// A failedIndex is one that has failed.
type failedIndex struct {
	index int
	last  indexFailure
}

func (f failedIndex) compare(index int) int { return cmp.Compare(f.index, index) }

// has reports whether an index has failed.
func (f *failures) has(index int) bool {
	if f == nil || len(f.of)+len(f.rested) == 0 {
		return false
	}
	_, ok := f.get(index)
	return ok
}

// get returns the last failure of an index, and whether it has failed.
func (f *failures) get(index int) (last indexFailure, ok bool) {
	if f == nil {
		return last, false
	}
	if len(f.rested) > 0 {
		if i, ok := slices.BinarySearchFunc(f.rested, index, failedIndex.compare); ok {
			return f.rested[i].last, true
		}
	}
	if len(f.of) > 0 {
		last, ok = f.of[index]
	}
	return last, ok
}

// all iterates over the indexes that have failed, in any order.
func (f *failures) all() iter.Seq2[int, indexFailure] {
	return func(yield func(int, indexFailure) bool) {
		if f == nil {
			return
		}
		for _, r := range f.rested {
			if !yield(r.index, r.last) {
				return
			}
		}
		for index, last := range f.of {
			if !yield(index, last) {
				return
			}
		}
	}
}

// rest returns all that has failed, in order, in little memory.
func (f *failures) rest() []failedIndex {
	if f == nil {
		return nil
	}
	if len(f.of) == 0 {
		return f.rested
	}
	list := make([]failedIndex, 0, len(f.of))
	for index, last := range f.of {
		list = append(list, failedIndex{index, last})
	}
	slices.SortFunc(list, func(a, b failedIndex) int { return cmp.Compare(a.index, b.index) })
	return list
}

// set sets the last failure of an index.
func (f *failures) set(index int, last indexFailure) {
	if f.of == nil {
		f.of = make(map[int]indexFailure)
	}
	f.of[index] = last
}

// unpack undoes rest.
func (f *failures) unpack() {
	for _, r := range f.rested {
		f.set(r.index, r.last)
	}
	f.rested = nil
}

// note records a failure of an index.
func (f *failures) note(index int, last indexFailure) {
	f.unpack()
	before, ok := f.of[index]
	if ok && before.seq == noAttempt {
		return // what its attempts do after that counts for nothing
	}
	last.inARow, last.isSaved = before.inARow, before.isSaved
	if last.seq != noAttempt && (!ok || !before.isLoss || before.seq != last.seq) {
		last.inARow++
	}
	f.set(index, last)
	f.change(index, last.isSaved)
}

// forget forgets the failures of an index that has succeeded, or was cut off.
func (f *failures) forget(index int) {
	last, ok := f.get(index)
	if !ok {
		return
	}
	f.unpack()
	delete(f.of, index)
	f.change(index, last.isSaved)
}

// clear forgets all failures.
func (f *failures) clear() { f.cutOff(0) }

// cutOff forgets the failures of all indexes from that one on.
func (f *failures) cutOff(from int) {
	for index := range f.all() {
		if index >= from {
			f.forget(index)
		}
	}
}

func (f *failures) change(index int, isSaved bool) {
	if !f.isStored {
		return
	}
	if f.changed == nil {
		f.changed = make(map[int]bool)
	}
	f.changed[index] = f.changed[index] || isSaved
}

// indexes are those that have failed and not succeeded, and those that were given up, in
// order.
func (f *failures) indexes(e *engine.Job) []int {
	indexes := slices.Collect(e.GivenUp.All())
	for index := range f.all() {
		if !e.Completed.Contains(index) {
			indexes = append(indexes, index)
		}
	}
	slices.Sort(indexes)
	return slices.Compact(indexes)
}

// A savedIndexFailure is what is stored of an indexFailure.
type savedIndexFailure struct {
	Attempt  int64
	ExitCode int
	Text     string
	Reason   string      `json:",omitzero"` // that it was overdue for
	At       engine.Time `json:",omitzero"`
	Before   int         `json:",omitzero"` // how many failures in a row came before
	IsLoss   bool        `json:",omitzero"`
	Name     string      `json:",omitzero"`
}

func (f *indexFailure) saved() savedIndexFailure {
	return savedIndexFailure{f.seq, f.code, f.text, reasonOf(f.overdue), f.at, f.inARow - 1, f.isLoss, f.name}
}

// indexFailureKey, and the index, is the key of such a record.
const indexFailureKey = "failure/"

// save puts the records that have changed.
func (f *failures) save(put func(key string, value []byte)) {
	if f == nil {
		return
	}
	for index, isSaved := range f.changed {
		key := indexFailureKey + strconv.Itoa(index)
		if last, ok := f.of[index]; ok {
			last.isSaved = true
			f.of[index] = last
			put(key, encode(last.saved()))
		} else if isSaved {
			put(key, nil)
		}
	}
	f.changed = nil
}

// loadFailures takes the records of failed indexes out of the records.
func (j *Job) loadFailures(records map[string][]byte) error {
	var f failures
	for key, data := range records {
		number, ok := strings.CutPrefix(key, indexFailureKey)
		if !ok {
			continue
		}
		delete(records, key)
		index, err := strconv.Atoi(number)
		var s savedIndexFailure
		if err = cmp.Or(err, json.Unmarshal(data, &s)); err != nil {
			return fmt.Errorf("record %q: %w", key, err)
		}
		f.set(index, indexFailure{seq: s.Attempt, at: s.At, inARow: s.Before + 1, code: s.ExitCode,
			err: errorOf(s.Text), text: s.Text, overdue: overdueNamed(s.Reason), isLoss: s.IsLoss, isSaved: true, name: s.Name})
	}
	if len(f.of) > 0 {
		f.isStored = true
		j.failures = &f
	}
	return nil
}

// errorOf is an error of that text: one of those that the runner gives, or another.
func errorOf(text string) error {
	for _, known := range []error{ErrAttemptTimeout, ErrNoProgress, ErrDeleted, ErrDisrupted} {
		if text == known.Error() {
			return known
		}
	}
	return errors.New(text)
}

// failureOf is what an attempt of an Indexed job has failed with; false if it was merely
// stopped, or its job has no indexes.
func (x *run) failureOf(cause error, err error, text string, code int) (f indexFailure, ok bool) {
	a := x.attempt
	switch {
	case a.Index < 0 || a.HasEnded(), isUncounted(cause):
		return f, false
	case a.DeletedBy == engine.DeletedByController && (code == exitTerminated || code == exitKilled):
		return f, false
	}
	return indexFailure{seq: a.Seq, at: x.job.r.now(), code: code, err: err, text: text, overdue: overdueOf(a)}, true
}

// lateFailure is what an attempt has failed with that has returned nil, if that is too
// late.
func (x *run) lateFailure() (f indexFailure, ok bool) {
	overdue := cmp.Or(overdueOf(x.attempt), ErrAttemptTimeout)
	return x.failureOf(nil, overdue, overdue.Error(), 0)
}

// Exit codes of programs that were stopped.
const exitKilled, exitTerminated = 137, 143

// isUncounted reports whether attempts that are stopped with a cause count for nothing.
// The cause may be user code.
func isUncounted(cause error) bool {
	_, isOfParent := cause.(*parentCause)
	return isOfParent || cause == ErrShutdown || cause == ErrSuspended || cause == ErrScaledDown
}

// noteFailureLocked records a failure of an index.
func (j *Job) noteFailureLocked(index int, last indexFailure) {
	if j.failures == nil {
		j.failures = &failures{isStored: j.stored != nil}
	}
	j.failures.note(index, last)
}

// noteLossLocked notes that an attempt has failed, or will, for a reason that is not its
// executor's.
func (j *Job) noteLossLocked(seq int64, index int, err error) {
	if before, _ := j.failures.get(index); index < 0 || before.isLoss && before.seq == seq {
		return // the first reason is the one
	}
	code := -1
	if last := j.engine.LastFailure; last.At != 0 && last.Seq == seq {
		code = last.ExitCode
	}
	last := indexFailure{seq: seq, at: j.r.now(), code: code, err: err, text: err.Error(), isLoss: true}
	if err == ErrAttemptTimeout || err == ErrNoProgress {
		last.overdue = err
	}
	j.noteFailureLocked(index, last)
}

// noteLateLocked notes the failure of an attempt that has returned nil, if it was found
// to be too late only then. Before is what the job's latest failure was before that.
func (j *Job) noteLateLocked(late indexFailure, index int, before engine.Failure) {
	if last := j.engine.LastFailure; last != before && last.Seq == late.seq {
		late.overdue = late.err
		j.noteFailureLocked(index, late)
	}
}

// settleFailureLocked forgets the failures of an index that has succeeded.
func (j *Job) settleFailureLocked(index int) {
	if j.engine.Completed.Contains(index) {
		j.failures.forget(index)
	}
}

// Failures iterates over the indexes that have failed, each with its last failure as it is
// when the walk comes to it. One that has succeeded meanwhile is left out.
func (j *Job) Failures() iter.Seq[FailedAttempt] {
	j.lock()
	indexes := j.failures.indexes(j.engine)
	j.unlock()
	return func(yield func(FailedAttempt) bool) {
		for some := range slices.Chunk(indexes, 256) {
			for _, f := range j.failuresOf(some) {
				if !yield(f) {
					return
				}
			}
		}
	}
}

// nameLocked is the name of the attempt that has failed; empty if there is none.
func (j *Job) nameLocked(last *indexFailure, index int) string {
	if last.seq == noAttempt {
		return ""
	}
	if last.name != "" {
		return last.name
	}
	return j.id.Name(last.seq, index)
}

func (j *Job) failuresOf(indexes []int) []FailedAttempt {
	j.lock()
	defer j.unlock()
	list := make([]FailedAttempt, 0, len(indexes))
	for _, index := range indexes {
		last, ok := j.failures.get(index)
		switch {
		case ok:
			list = append(list, j.failedIndexLocked(index, &last))
		case j.engine.GivenUp.Contains(index): // by a version that has not stored why
			list = append(list, FailedAttempt{Index: index, ExitCode: -1, Text: ErrDisrupted.Error(), Err: ErrDisrupted})
		}
	}
	return list
}

// failedIndexLocked describes the last failure of an index.
func (j *Job) failedIndexLocked(index int, last *indexFailure) FailedAttempt {
	f := FailedAttempt{Name: j.nameLocked(last, index), Seq: last.seq, Index: index, Failures: last.inARow,
		ExitCode: last.code, Text: last.text, At: j.r.date(last.at), Err: last.err, Overdue: last.overdue}
	if last.overdue != nil && last.err != last.overdue {
		f.Text = last.overdue.Error() + ": " + f.Text
	}
	return f
}
