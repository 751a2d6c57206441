package runner

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/indexset"
)

// Failures are the indexes of a job that have failed and not succeeded since, each with
// its last failure. They do not depend on the history, and are stored.
type failures struct {
	isStored bool
	of       map[int]indexFailure
	changed  map[int]struct{} // since the latest commit, if it is stored
	saved    map[int]struct{} // those with a record
}

// An indexFailure is the last failure of an index.
type indexFailure struct {
	seq      int64 // of the attempt
	at       engine.Time
	inARow   int
	code     int // -1: none
	err      error
	text     string // of err, which is user code
	timedOut bool
	isLoss   bool // the attempt was asked to stop, or lost: what its executor returns may follow
}

// has reports whether an index has failed.
func (f *failures) has(index int) bool {
	if len(f.of) == 0 {
		return false
	}
	_, ok := f.of[index]
	return ok
}

// note takes in a failure of an index.
func (f *failures) note(index int, last indexFailure) {
	before, ok := f.of[index]
	last.inARow = before.inARow
	if !ok || !before.isLoss || before.seq != last.seq {
		last.inARow++
	}
	if f.of == nil {
		f.of = make(map[int]indexFailure)
	}
	f.of[index] = last
	f.change(index)
}

// forget forgets the failures of an index that has succeeded, or was cut off.
func (f *failures) forget(index int) {
	if _, ok := f.of[index]; ok {
		delete(f.of, index)
		f.change(index)
	}
}

// cutOff forgets the failures of all indexes from that one on.
func (f *failures) cutOff(from int) {
	for index := range f.of {
		if index >= from {
			f.forget(index)
		}
	}
}

func (f *failures) change(index int) {
	if !f.isStored {
		return
	}
	if f.changed == nil {
		f.changed = make(map[int]struct{})
	}
	f.changed[index] = struct{}{}
}

// indexes are those that have failed, and those that were given up, in order.
func (f *failures) indexes(givenUp *indexset.Set) []int {
	indexes := slices.AppendSeq(slices.Collect(maps.Keys(f.of)), givenUp.All())
	slices.Sort(indexes)
	return slices.Compact(indexes)
}

// A savedIndexFailure is what is stored of an indexFailure.
type savedIndexFailure struct {
	Attempt  int64
	ExitCode int
	Text     string
	TimedOut bool        `json:",omitzero"`
	At       engine.Time `json:",omitzero"`
	Before   int         `json:",omitzero"` // how many failures in a row came before
	IsLoss   bool        `json:",omitzero"`
}

func (f *indexFailure) saved() savedIndexFailure {
	return savedIndexFailure{f.seq, f.code, f.text, f.timedOut, f.at, f.inARow - 1, f.isLoss}
}

// indexFailureKey, and the index, is the key of such a record.
const indexFailureKey = "failure/"

// save puts the records that have changed.
func (f *failures) save(put func(key string, value []byte)) {
	for index := range f.changed {
		key := indexFailureKey + strconv.Itoa(index)
		last, ok := f.of[index]
		if ok {
			f.hasRecord(index)
			put(key, encode(last.saved()))
		} else if _, ok := f.saved[index]; ok {
			delete(f.saved, index)
			put(key, nil)
		}
	}
	clear(f.changed)
}

// hasRecord notes that there is a record of an index.
func (f *failures) hasRecord(index int) {
	if f.saved == nil {
		f.saved = make(map[int]struct{})
	}
	f.saved[index] = struct{}{}
}

// load takes the records of failed indexes out of the records.
func (f *failures) load(records map[string][]byte) error {
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
		if f.of == nil {
			f.of = make(map[int]indexFailure)
		}
		f.hasRecord(index)
		f.of[index] = indexFailure{seq: s.Attempt, at: s.At, inARow: s.Before + 1, code: s.ExitCode,
			err: errorOf(s.Text), text: s.Text, timedOut: s.TimedOut, isLoss: s.IsLoss}
	}
	return nil
}

// errorOf is an error of that text: one of those that the runner gives, or another.
func errorOf(text string) error {
	for _, known := range []error{ErrAttemptTimeout, ErrDeleted, ErrDisrupted} {
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
	case a.Index < 0 || a.Phase >= engine.Succeeded, isUncounted(cause):
		return f, false
	case a.DeletedBy == engine.DeletedByController && (code == exitTerminated || code == exitKilled):
		return f, false
	}
	return indexFailure{seq: a.Seq, at: x.job.r.now(), code: code, err: err, text: text, timedOut: hasTimedOut(a)}, true
}

// Exit codes of programs that were stopped.
const exitKilled, exitTerminated = 137, 143

func hasTimedOut(a *engine.Attempt) bool {
	return a.Reason == engine.DeadlineExceeded || a.DeletedBy == engine.DeletedByTimeout
}

// isUncounted reports whether attempts that are stopped with a cause count for nothing.
func isUncounted(cause error) bool {
	return cause != nil && (errors.Is(cause, ErrShutdown) || cause == ErrSuspended || cause == ErrScaledDown)
}

// noteLossLocked notes that an attempt has failed, or will, for a reason that is not its
// executor's.
func (j *Job) noteLossLocked(seq int64, index int, err error) {
	if before := j.failures.of[index]; index < 0 || before.isLoss && before.seq == seq {
		return // the first reason is the one
	}
	code := -1
	if last := j.engine.LastFailure; last.At != 0 && last.Seq == seq {
		code = last.ExitCode
	}
	j.failures.note(index, indexFailure{seq: seq, at: j.r.now(), code: code, err: err, text: err.Error(),
		timedOut: err == ErrAttemptTimeout, isLoss: true})
}

// Failures walks over the indexes that have failed, each with its last failure as it is
// when the walk comes to it. One that has succeeded meanwhile is left out.
func (j *Job) Failures() iter.Seq[LastFailure] {
	j.lock()
	indexes := j.failures.indexes(&j.engine.GivenUp)
	j.mu.Unlock()
	return func(yield func(LastFailure) bool) {
		for some := range slices.Chunk(indexes, 256) {
			for _, f := range j.failuresOf(some) {
				if !yield(f) {
					return
				}
			}
		}
	}
}

func (j *Job) failuresOf(indexes []int) []LastFailure {
	j.lock()
	defer j.mu.Unlock()
	list := make([]LastFailure, 0, len(indexes))
	for _, index := range indexes {
		last, ok := j.failures.of[index]
		switch {
		case ok:
			f := LastFailure{Attempt: j.id.Name(last.seq, index), Index: index, Failures: last.inARow,
				ExitCode: last.code, Text: last.text, At: j.r.date(last.at), Err: last.err, TimedOut: last.timedOut}
			if last.timedOut && last.err != ErrAttemptTimeout {
				f.Text = ErrAttemptTimeout.Error() + ": " + f.Text
			}
			list = append(list, f)
		case j.engine.GivenUp.Contains(index): // by a version that has not stored why
			list = append(list, LastFailure{Index: index, ExitCode: -1, Text: ErrDisrupted.Error(), Err: ErrDisrupted})
		}
	}
	return list
}
