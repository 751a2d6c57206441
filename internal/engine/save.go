package engine

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"slices"

	"github.com/runtocompletion/batch/internal/indexset"
)

// A saved job is a handful of records under keys. State is saved, and not the
// events that led to it: a later version of this package may decide otherwise
// about the same events, but what was told stays told. The records are
//
//	head                 all that is not said below
//	events               of the job
//	attempts  by number  each attempt that is live or retained, as JSON
//	completed by page    bitmaps
//	givenUp   by page    bitmaps
//	numbers   by page    of the attempts of returned indexes, as JSON
//	plain, succeeded, failed by place   runs of ended attempts
//
// What follows from these, such as the counters of live attempts, is not saved.
const (
	keyHead   = "head"
	keyEvents = "events"

	keyAttempt   = 'a'
	keyCompleted = 'c'
	keyGivenUp   = 'g'
	keyNumbers   = 'n'
	keyPlain     = 'p'
	keySucceeded = 's'
	keyFailed    = 'f'
)

// numbered is the key of one record of many; such keys sort by number.
func numbered(kind byte, n int64) string {
	return string(binary.BigEndian.AppendUint64([]byte{kind, '/'}, uint64(n)))
}

// number takes a key apart that numbered has made.
func number(key string) (kind byte, n int64, ok bool) {
	if len(key) != 10 || key[1] != '/' {
		return 0, 0, false
	}
	return key[0], int64(binary.BigEndian.Uint64([]byte(key[2:]))), true
}

// A commit must not cost more than what has changed, however large the job is. So each
// part knows what of it has: attempts are noted when they are touched, sets are compared
// with a snapshot page by page, and the lists of the history know how far they were put.

// A tracker knows what has changed since a job was saved.
type tracker struct {
	describe           func(*Attempt) []byte
	attempts           []*Attempt   // touched; some have ended since, or are others now
	ended              []int64      // attempts with a record that are kept in the history now
	completed, givenUp indexset.Set // as they were saved
	events             bool         // there are new ones
	head               []byte       // as it was saved, except the time
	plain              runs         // of the history's briefs
	succeeded, failed  runs         // of its lists
}

// runs are the records of one list of the history: each has the attempts from
// first to before end, by their places in the order of all.
type runs struct {
	kind byte
	list []run
}

type run struct{ first, end int64 }

// Track lets the job be saved. Describe returns what the caller wants to have
// saved with an attempt; nil if nothing.
func (j *Job) Track(describe func(*Attempt) []byte) {
	j.tracker = &tracker{describe: describe, events: len(j.events) > 0,
		plain: runs{kind: keyPlain}, succeeded: runs{kind: keySucceeded}, failed: runs{kind: keyFailed}}
	// It is made here and not when it is needed: that it exists says that the job is saved.
	j.indexes.touched = make(map[int]struct{})
}

// Touch says that what describe returns of an attempt has changed; see Job.Track.
func (j *Job) Touch(a *Attempt) { j.touch(a) }

// touch notes that an attempt has changed.
func (j *Job) touch(a *Attempt) {
	if j.tracker != nil && !a.touched {
		a.touched = true
		j.tracker.attempts = append(j.tracker.attempts, a)
	}
}

// untouch notes that an attempt goes into the history.
func (j *Job) untouch(a *Attempt) {
	// Only records that exist are removed: each costs the store a write.
	if a.saved {
		a.saved = false
		j.tracker.ended = append(j.tracker.ended, a.Seq)
	}
}

// touch notes that the number of an index has changed.
func (x *indexes) touch(i int) {
	// By page and not by index: a page is a record.
	if x.touched != nil {
		x.touched[i/indexset.PageSize] = struct{}{}
	}
}

// Save puts the records that have changed since it was last called; a nil value
// says that there is no such record any more. It takes time for what has
// changed, and not for what there is. That time has passed is no change: a job to which
// nothing else has happened puts nothing.
func (j *Job) Save(store func(key string, value []byte)) {
	t, changed := j.tracker, false
	put := func(key string, value []byte) {
		changed = true
		store(key, value)
	}
	j.saveAttempts(put)
	savePages(put, keyCompleted, &j.Completed, &t.completed)
	savePages(put, keyGivenUp, &j.GivenUp, &t.givenUp)
	j.saveNumbers(put)
	h := &j.history
	savePlain(put, &h.plain, &t.plain)
	j.saveEnded(put, &h.succeeded, &t.succeeded)
	j.saveEnded(put, &h.failed, &t.failed)
	if t.events {
		t.events = false
		put(keyEvents, j.encodeEvents())
	}
	// It is the one record that nearly every step changes; comparing is cheaper than to
	// note every change of some forty values.
	if head := j.encodeHead(); changed || !bytes.Equal(head[nowSize:], t.head) {
		t.head = head[nowSize:]
		put(keyHead, head)
	}
}

// asJSON cannot fail: what is saved has only types that JSON can tell.
func asJSON(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		panic("engine: " + err.Error())
	}
	return data
}

// saveAttempts puts the attempts that have changed and are live or retained. Those that
// have gone into the history have their place there, and lose their own record.
func (j *Job) saveAttempts(put func(string, []byte)) {
	t := j.tracker
	for _, seq := range t.ended {
		put(numbered(keyAttempt, seq), nil)
	}
	for _, a := range t.attempts {
		a.touched = false
		// Others have their place in the history, whose records have them.
		if !a.HasEnded() || a.retained {
			a.saved = true
			put(numbered(keyAttempt, a.Seq), asJSON(t.saved(a)))
		}
	}
	// The records of attempts are used again: nothing may refer to them.
	clear(t.attempts)
	t.attempts, t.ended = t.attempts[:0], t.ended[:0]
}

// savePages puts the pages of a set that differ from what was saved. What was saved is a
// snapshot, which shares all other pages with the set.
func savePages(put func(string, []byte), kind byte, set, before *indexset.Set) {
	for n, page := range set.Changes(*before) {
		data, _ := page.AppendBinary(nil) // cannot fail
		put(numbered(kind, int64(n)), data)
	}
	*before = set.Snapshot()
}

// saveNumbers puts the numbers of returned indexes, by pages: a page in which there is
// none any more has no record.
func (j *Job) saveNumbers(put func(string, []byte)) {
	x := &j.indexes
	for page := range x.touched {
		numbers := make(map[int]int)
		for i := page * indexset.PageSize; i < (page+1)*indexset.PageSize; i++ {
			if n, ok := x.numbers()[i]; ok {
				numbers[i] = n
			}
		}
		var data []byte
		// A page without numbers needs no record.
		if len(numbers) > 0 {
			data = asJSON(numbers)
		}
		put(numbered(keyNumbers, int64(page)), data)
	}
	clear(x.touched)
}

// advance returns which attempts of a list, of which n are kept and so many have
// been put in so far, have no record yet; records of those that are no longer
// kept go.
func (r *runs) advance(put func(string, []byte), pushed int64, n int) (fresh run) {
	// A run goes as a whole, when its last attempt has left the history: until then the
	// store has a few that are no longer kept, and loading skips them.
	oldest := pushed - int64(n)
	for len(r.list) > 0 && r.list[0].end <= oldest {
		put(numbered(r.kind, r.list[0].first), nil)
		r.list = r.list[1:]
	}
	// What came and went between two saves has never had a record.
	fresh = run{oldest, pushed}
	if last := len(r.list) - 1; last >= 0 {
		fresh.first = max(oldest, r.list[last].end)
	}
	if fresh.first < fresh.end {
		r.list = append(r.list, fresh)
	}
	return fresh
}

// savePlain puts the briefs that have come since.
func savePlain(put func(string, []byte), q *briefs, r *runs) {
	fresh := r.advance(put, q.pushed, q.n)
	var data []byte
	for i := fresh.first; i < fresh.end; i++ {
		data = q.at(int(i - (q.pushed - int64(q.n)))).append(data)
	}
	if data != nil {
		put(numbered(r.kind, fresh.first), data)
	}
}

// saveEnded puts the attempts of a list that have come since.
func (j *Job) saveEnded(put func(string, []byte), l *list, r *runs) {
	fresh := r.advance(put, l.pushed, l.n)
	if fresh.first == fresh.end {
		return
	}
	var saved []savedAttempt
	// A list has no index: it is walked from its oldest end. It is as long as the history.
	a := l.first
	for i := l.pushed - int64(l.n); i < fresh.end; i++ {
		if i >= fresh.first {
			saved = append(saved, j.tracker.saved(a))
		}
		a = a.next
	}
	put(numbered(r.kind, fresh.first), asJSON(saved))
}

// append encodes a brief: times as what they are after one another.
func (b *brief) append(data []byte) []byte {
	for _, n := range [...]int64{b.seq, int64(b.index), int64(b.number), int64(b.failures), int64(b.ignored),
		int64(b.createdAt), int64(b.startedAt - b.createdAt), int64(b.endsAt - b.startedAt)} {
		data = binary.AppendVarint(data, n)
	}
	return data
}

// An Outcome is what has come of a job so far, except its sets.
type Outcome struct {
	CreatedAt, StartTime, FinishedAt, DeletedAt Time
	Conditions                                  []Condition
	Succeeded, Failed                           int
	LastFailure                                 Failure
	Run                                         int
}

// head is the record of that key.
type head struct {
	Outcome
	Attempts int64 // so far

	Retries                int // since the last success
	LastSuccess            Time
	FailuresSeen, Asleep   Time
	RetryAfter, RetryUntil Time

	Target, FailJob *savedTarget
	DecideAt        Time
	OutOfRange      bool
	Exits, Snoozes  int
	Runs            []runStart

	NextIndex, AgainIndex, AgainFrom, HighestNumber int
	IndexFailures                                   map[int]failures
	// OldestPlain to OldestFailed are the places of the oldest attempts kept.
	OldestPlain, OldestSucceeded, OldestFailed int64
}

type savedTarget struct {
	Success         bool
	Reason, Message string
}

// saved is the form in which a decision is stored.
func (t *target) saved() *savedTarget {
	if t == nil {
		return nil
	}
	return &savedTarget{t.success, t.reason, t.message}
}

// head is the record of what is not in any other.
func (j *Job) head() *head {
	x, h := &j.indexes, &j.history
	return &head{
		Outcome: Outcome{CreatedAt: j.CreatedAt, StartTime: j.StartTime, FinishedAt: j.FinishedAt, DeletedAt: j.DeletedAt,
			Conditions: j.Conditions, Succeeded: j.Succeeded, Failed: j.Failed, LastFailure: j.LastFailure, Run: j.Run()},
		Attempts: j.created,
		Retries:  j.retry.n, LastSuccess: j.retry.success, RetryAfter: j.retry.last, RetryUntil: j.retry.until,
		FailuresSeen: j.retry.seen, Asleep: j.retry.asleep,
		Target: j.target.saved(), FailJob: j.failJob.saved(), DecideAt: j.decideAt,
		OutOfRange: j.outOfRange, Exits: int(j.exits), Snoozes: int(j.snoozes), Runs: j.runStarts(),
		NextIndex: x.next, AgainIndex: x.again, AgainFrom: x.againFrom, HighestNumber: x.highest,
		IndexFailures:   x.failures,
		OldestPlain:     h.plain.pushed - int64(h.plain.n),
		OldestSucceeded: h.succeeded.pushed - int64(h.succeeded.n), OldestFailed: h.failed.pushed - int64(h.failed.n),
	}
}

// A savedAttempt is an attempt as it is saved.
type savedAttempt struct {
	Seq                                            int64
	Index, Number                                  int
	Restarts, Failures, Ignored, Exits             int `json:",omitzero"`
	Snoozes, SnoozedRestarts                       int `json:",omitzero"`
	State                                          State
	CreatedAt                                      Time
	StartedAt, FinishedAt, RestartAt, DeletedAt    Time        `json:",omitzero"`
	DeletedBy                                      Deleter     `json:",omitzero"`
	Reason                                         string      `json:",omitzero"`
	ExitCode                                       int         `json:",omitzero"`
	HasExit, Ready, Abandoned                      bool        `json:",omitzero"`
	Conditions                                     []Condition `json:",omitempty"`
	ReadyAt, ReadyBefore, RunAt, RunEndAt          Time        `json:",omitzero"`
	SettleAt, GraceAt, TimeoutAt, RetryAt, StallAt Time        `json:",omitzero"`
	Account                                        account     `json:",omitzero"`
	CountedAt                                      Time        `json:",omitzero"`
	Retained, Counts, Holding, Succeeded           bool        `json:",omitzero"`
	Interrupted, Exited, Snoozed                   bool        `json:",omitzero"`
	ErrorRule                                      int
	Permanent                                      bool   `json:",omitzero"`
	RestartNo                                      int    `json:",omitzero"`
	Runs                                           []Run  `json:",omitempty"`
	Owner                                          []byte `json:",omitempty"` // see Job.Track
}

// saved is the form in which an attempt is stored. The conditions are copied: the record
// is written later, when the attempt may have others.
func (t *tracker) saved(a *Attempt) savedAttempt {
	s := savedAttempt{
		Seq: a.Seq, Index: a.Index, Number: a.Number, Restarts: a.Restarts,
		Failures: a.Failures, Ignored: a.Ignored, Exits: a.Exits,
		Snoozes: a.Snoozes, Snoozed: a.snoozed, StallAt: a.stallAt,
		State: a.State, CreatedAt: a.CreatedAt, StartedAt: a.StartedAt, FinishedAt: a.FinishedAt,
		RestartAt: a.RestartAt, DeletedAt: a.DeletedAt, DeletedBy: a.DeletedBy, Reason: a.Reason,
		ExitCode: a.ExitCode, HasExit: a.HasExit, Ready: a.Ready, Abandoned: a.Abandoned,
		Conditions: slices.Clone(a.Conditions),
		ReadyAt:    a.readyAt, ReadyBefore: a.readyBefore, RunAt: a.runAt, RunEndAt: a.runEndAt,
		SettleAt: a.settleAt, GraceAt: a.graceAt, TimeoutAt: a.timeoutAt, RetryAt: a.retryAt,
		Account: a.account, CountedAt: a.countedAt,
		Interrupted: a.interrupted, Exited: a.exited,
		Retained: a.retained, Counts: a.counts, Holding: a.holding, Succeeded: a.succeeded,
		ErrorRule: a.errorRule, Permanent: a.permanent,
		Owner: t.describe(a),
	}
	if p := a.past; p != nil {
		s.RestartNo, s.SnoozedRestarts, s.Runs = p.delays, p.snoozed, slices.Clone(p.runs)
	}
	return s
}

// attempt undoes saved. Where it is in a queue or a list follows from the rest.
func (s *savedAttempt) attempt() *Attempt {
	a := &Attempt{
		Seq: s.Seq, Index: s.Index, Number: s.Number, Restarts: s.Restarts,
		Failures: s.Failures, Ignored: s.Ignored, Exits: s.Exits,
		Snoozes: s.Snoozes, snoozed: s.Snoozed, stallAt: s.StallAt,
		State: s.State, CreatedAt: s.CreatedAt, StartedAt: s.StartedAt, FinishedAt: s.FinishedAt,
		RestartAt: s.RestartAt, DeletedAt: s.DeletedAt, DeletedBy: s.DeletedBy, Reason: s.Reason,
		ExitCode: s.ExitCode, HasExit: s.HasExit, Ready: s.Ready, Abandoned: s.Abandoned, Conditions: s.Conditions,
		readyAt: s.ReadyAt, readyBefore: s.ReadyBefore, runAt: s.RunAt, runEndAt: s.RunEndAt,
		settleAt: s.SettleAt, graceAt: s.GraceAt, timeoutAt: s.TimeoutAt, retryAt: s.RetryAt,
		account: s.Account, countedAt: s.CountedAt,
		interrupted: s.Interrupted, exited: s.Exited,
		retained: s.Retained, counts: s.Counts, holding: s.Holding, succeeded: s.Succeeded,
		errorRule: s.ErrorRule, permanent: s.Permanent,
		saved: true,
	}
	if s.RestartNo > 0 || len(s.Runs) > 0 {
		a.past = &past{s.RestartNo, s.SnoozedRestarts, s.Runs}
	}
	return a
}
