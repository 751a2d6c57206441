package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/journal"
)

// The records of a job besides those of the engine and its checkpoints.
const (
	definitionKey = "job"     // see Definition.Encode
	inputRecord   = "input"   // see Definition.Input
	failureKey    = "failure" // a savedFailure
)

// stored is the state of a job's records in a store.
type stored struct {
	isChanged       bool // since it was collected
	isCollected     bool // and not stored yet
	defChanged      bool
	inputIsNew      bool
	failure         savedFailure
	collected, told View // as of the latest commit, begun and done
	gone            bool // the commit has removed the job
	newEnds         []seenEnd
	ends            map[string]fate // of jobs that this one waits for, as an earlier process knew them
	isNoted         bool            // see noteFateLocked
}

// Collect puts what has to be stored.
func (j *Job) Collect(put func(journal.Record)) {
	j.lock()
	defer j.unlock()
	j.place.Taken()
	j.stored.isChanged, j.stored.isCollected = false, true
	j.collectLocked(put)
}

func (j *Job) collectLocked(put func(journal.Record)) {
	s := j.stored
	if s.gone {
		return
	}
	s.collected = j.presentLocked()
	j.collectEndsLocked(put)
	j.noteFateLocked(put)
	if s.gone = j.engine.IsGone(); s.gone {
		j.awaitNothingLocked() // no record of it is written after this
		put(journal.Record{Job: j.uid})
		return
	}
	record := func(key string, value []byte) { put(journal.Record{Job: j.uid, Key: key, Value: value}) }
	if s.defChanged {
		s.defChanged = false
		record(definitionKey, j.def.Load().encode(j.generation))
	}
	if s.inputIsNew {
		s.inputIsNew = false
		record(inputRecord, j.input.data)
	}
	j.checkpoints.Changed(record)
	j.results.Changed(record)
	if failure := j.lastText.saved(); failure != s.failure {
		s.failure = failure
		record(failureKey, encode(failure))
	}
	j.failures.save(record)
	j.mirror.save(record)
	j.saveEndsLocked(record)
	j.engine.Save(record)
}

// encode is for values that JSON can always express.
func encode(value any) []byte {
	data, _ := json.Marshal(value)
	return data
}

// Stored is called when what Collect has put is durable.
func (j *Job) Stored() {
	j.lock()
	defer j.unlock()
	j.StoredLocked()
}

// Stuck holds the job back while the store refuses what it has, and no other.
func (j *Job) Stuck(err error) {
	var e effects
	j.lock()
	j.stuck = nil
	if err != nil {
		j.stuck = &Stall{Err: err, Since: j.r.Now()}
	}
	if err != nil {
		j.logLocked(slog.LevelError, "store refuses the job, it starts nothing", slog.Any("error", err))
	} else {
		j.logLocked(slog.LevelInfo, "store has taken the job")
	}
	j.holdLocked(&e, stuckHold, err != nil)
	j.r.feed.Changed(&j.entry)
	j.unlock()
	j.r.perform(&e)
}

// A savedFailure is what is stored of a failureText.
type savedFailure struct {
	Attempt int64
	Text    string
	Failed  bool // with an error, whose text may be empty
}

func (t *failureText) saved() savedFailure { return savedFailure{t.seq, t.text, t.err != nil} }

// loadFailure takes the record of the latest failure out of the records.
func (j *Job) loadFailure(records map[string][]byte) error {
	data, ok := records[failureKey]
	if !ok {
		return nil
	}
	delete(records, failureKey)
	saved := &j.stored.failure
	if err := json.Unmarshal(data, saved); err != nil {
		return fmt.Errorf("record %q: %w", failureKey, err)
	}
	j.lastText = failureText{seq: saved.Attempt, text: saved.Text}
	if saved.Failed || saved.Text != "" {
		j.lastText.err = errors.New(saved.Text)
	}
	return nil
}

// A savedRun is what is stored of an attempt's run.
type savedRun struct {
	Error, Output string `json:",omitzero"`
	Failed        bool   `json:",omitzero"` // with an error, whose text may be empty
	Dir           string `json:",omitzero"`
	Checkpoint    *int64 `json:",omitzero"` // the id of the one it has taken
}

func describeAttempt(a *engine.Attempt) []byte {
	x, ok := a.Owner.(*run)
	if !ok {
		return nil
	}
	saved := savedRun{Error: x.text, Failed: x.err != nil}
	if x.kept != nil {
		saved.Output, saved.Dir = x.kept.output, x.kept.dir
		if x.kept.saved != nil {
			saved.Checkpoint = &x.kept.saved.ID
		}
	}
	if saved == (savedRun{}) {
		return nil
	}
	return encode(saved)
}

// restoreRun gives an attempt back what describeAttempt returned.
func (j *Job) restoreRun(a *engine.Attempt, data []byte) {
	var saved savedRun
	if data != nil && json.Unmarshal(data, &saved) != nil {
		return
	}
	live := !a.HasEnded()
	if saved == (savedRun{}) {
		return
	}
	x := j.ownLocked(a)
	if x.text = saved.Error; saved.Failed || x.text != "" {
		x.err = errors.New(x.text)
	}
	if saved.Output != "" {
		x.keepLocked().output = saved.Output
	}
	if live && saved.Dir != "" {
		x.keepLocked().dir = saved.Dir
	}
	switch {
	case live && saved.Checkpoint != nil:
		if c := j.checkpoints.TakeBack(*saved.Checkpoint); c != nil {
			x.keepLocked().saved = c
		}
	case !live && x.kept != nil:
		x.kept.log.Close()
	}
}
