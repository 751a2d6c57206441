package runner

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/logtail"
)

// A Failure is why a job has failed.
type Failure struct {
	Reason, Message string
	Cause           error // of a job that was cancelled
	// Attempts are those that are kept, and the last one of each index that was given
	// up, oldest first, without those that were merely stopped.
	Attempts []FailedAttempt
	Omitted  int   // how many others have failed, as far as that is known
	Indexes  []int // that have failed and not succeeded, ascending
}

// A FailedAttempt is how one attempt failed.
type FailedAttempt struct {
	Name            string
	Seq             int64
	Index, ExitCode int // ExitCode: -1 if there is none
	Err             error
	Overdue         error          // ErrAttemptTimeout or ErrNoProgress, if it failed for that
	Log             []logtail.Line // the last lines

	text string // of Err, of one in lastOf
}

func (j *Job) failureLocked() *Failure {
	e := j.engine
	if e.FinishedAt == 0 || e.Conditions[len(e.Conditions)-1].Type != engine.JobFailed {
		return nil
	}
	last := e.Conditions[len(e.Conditions)-1]
	f := &Failure{Reason: last.Reason, Message: last.Message, Cause: j.cancelCauseLocked(last)}
	ended, failed := 0, 0
	isKept := make(map[int64]bool)
	for a := range e.All() {
		if a.HasEnded() {
			ended++
		}
		if a.Phase() != engine.Failed {
			continue
		}
		failed++
		if !wasMerelyStopped(a) {
			isKept[a.Seq] = true
			f.Attempts = append(f.Attempts, j.failedAttemptLocked(a))
		}
	}
	for index, last := range j.lastOf {
		if e.GivenUp.Contains(index) && !isKept[last.Seq] {
			f.Attempts = append(f.Attempts, j.namedLocked(last))
			if last.Seq != noAttempt {
				failed++
			}
		}
	}
	if last := j.lastFailedLocked(); len(f.Attempts) == 0 && last != nil { // there is no history
		f.Attempts = []FailedAttempt{*last}
		failed++
	}
	slices.SortFunc(f.Attempts, FailedAttempt.compare)
	if ended >= e.Spec.History { // some may have left it
		f.Omitted = max(0, e.Failed-failed)
	}
	f.Indexes = j.failedIndexesLocked(f.Attempts)
	return f
}

// namedLocked is a failure with the name of its attempt, if there was one.
func (j *Job) namedLocked(f FailedAttempt) FailedAttempt {
	if f.Seq != noAttempt {
		f.Name = j.id.Name(f.Seq, f.Index)
	}
	return f
}

// compare puts the older one first. That an index was cancelled is the last that has
// happened to it.
func (a FailedAttempt) compare(b FailedAttempt) int {
	if a.Seq == noAttempt || b.Seq == noAttempt {
		return cmp.Or(-cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Index, b.Index))
	}
	return cmp.Compare(a.Seq, b.Seq)
}

// failedIndexesLocked returns the indexes that were given up, or that some attempts
// have failed without a success.
func (j *Job) failedIndexesLocked(failed []FailedAttempt) []int {
	indexes := slices.Collect(j.engine.GivenUp.All())
	for _, a := range failed {
		if a.Index >= 0 && !j.engine.Completed.Contains(a.Index) {
			indexes = append(indexes, a.Index)
		}
	}
	slices.Sort(indexes)
	return slices.Compact(indexes)
}

// noteFailureLocked keeps the error of an attempt that is about to fail, as the last
// one of its index: nothing else may remember it.
func (j *Job) noteFailureLocked(x *run, err error, text string, code int) {
	a := x.attempt
	if j.engine.Spec.BackoffLimitPerIndex < 0 || a.HasEnded() || j.engine.GivenUp.Contains(a.Index) {
		return
	}
	j.keepLastOfLocked(FailedAttempt{Seq: a.Seq, Index: a.Index, // the name is made when it is asked for
		ExitCode: code, Err: err, Overdue: overdueOf(a), text: text})
}

func (j *Job) keepLastOfLocked(f FailedAttempt) {
	if j.lastOf == nil {
		j.lastOf = make(map[int]FailedAttempt)
	}
	j.lastOf[f.Index] = f
}

// settleFailureLocked forgets the error of an index that has succeeded, and has the
// error of one that was given up stored.
func (j *Job) settleFailureLocked(index int) {
	switch {
	case j.lastOf == nil:
	case j.engine.Completed.Contains(index):
		delete(j.lastOf, index)
	case j.stored != nil && j.engine.GivenUp.Contains(index):
		j.stored.newFailures = append(j.stored.newFailures, index)
	}
}

// A savedIndexFailure is what is stored of the last failure of an index that was
// given up.
type savedIndexFailure struct {
	Attempt  int64
	ExitCode int
	Text     string
	Reason   string `json:",omitzero"` // that it was overdue for
}

// indexFailureKey, and the index, is the key of such a record.
const indexFailureKey = "failure/"

func (j *Job) saveIndexFailuresLocked(put func(key string, value []byte)) {
	for _, index := range j.stored.newFailures {
		f, ok := j.lastOf[index]
		if !ok || !j.engine.GivenUp.Contains(index) { // of an earlier run
			put(indexFailureKey+strconv.Itoa(index), nil)
			continue
		}
		saved := savedIndexFailure{Attempt: f.Seq, ExitCode: f.ExitCode, Text: f.text, Reason: reasonOf(f.Overdue)}
		put(indexFailureKey+strconv.Itoa(index), encode(saved))
	}
	j.stored.newFailures = nil
}

// loadIndexFailures takes the records of failed indexes out of the records.
func (j *Job) loadIndexFailures(records map[string][]byte) error {
	for key, data := range records {
		number, ok := strings.CutPrefix(key, indexFailureKey)
		if !ok {
			continue
		}
		delete(records, key)
		index, err := strconv.Atoi(number)
		var saved savedIndexFailure
		if err = cmp.Or(err, json.Unmarshal(data, &saved)); err != nil {
			return fmt.Errorf("record %q: %w", key, err)
		}
		j.keepLastOfLocked(FailedAttempt{Seq: saved.Attempt, Index: index, ExitCode: saved.ExitCode,
			Err: errors.New(saved.Text), Overdue: overdueNamed(saved.Reason), text: saved.Text})
	}
	return nil
}

// LastFailed returns the latest failed attempt, whether it is kept or not; nil if
// none has failed.
func (j *Job) LastFailed() *FailedAttempt {
	j.lock()
	defer j.unlock()
	return j.lastFailedLocked()
}

func (j *Job) lastFailedLocked() *FailedAttempt {
	last := j.engine.LastFailure
	if last.At == 0 || j.lastText.err == nil || j.lastText.seq != last.Seq {
		return nil
	}
	return &FailedAttempt{Name: j.id.Name(last.Seq, last.Index), Seq: last.Seq, Index: last.Index, ExitCode: last.ExitCode, Err: j.lastText.err}
}

// wasMerelyStopped reports whether an attempt failed for no other reason than that
// it was stopped for its job.
func wasMerelyStopped(a *engine.Attempt) bool {
	const killed, terminated = 137, 143
	return a.DeletedBy == engine.DeletedByController && (!a.HasExit || a.ExitCode == terminated || a.ExitCode == killed)
}

func (j *Job) failedAttemptLocked(a *engine.Attempt) FailedAttempt {
	f := FailedAttempt{Name: j.id.Name(a.Seq, a.Index), Seq: a.Seq, Index: a.Index, ExitCode: -1, Err: ErrDisrupted,
		Overdue: overdueOf(a)}
	if a.HasExit {
		f.ExitCode = a.ExitCode
	}
	if x, ok := a.Owner.(*run); ok {
		f.Err = cmp.Or(x.err, f.Err)
		if x.kept != nil {
			f.Log = x.kept.log.Lines(10)
		}
	}
	return f
}
