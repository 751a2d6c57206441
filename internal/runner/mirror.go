package runner

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/logtail"
)

// A mirror has what the manager of a job has reported of its attempts, which run
// somewhere else: the engine knows nothing of them. nil has none. It is guarded by
// Job.mu, and outlasts the job's body.
type mirror struct {
	attempts map[string]*mirrored // by UID
	next     int64                // place of the next attempt in the order of creation
	ended    int                  // how many of them have
	counts   mirrorCounts
	saved    mirrorCounts
	removed  []string // UIDs of attempts whose records are to go
}

// MirrorCounts are the counters that a job with attempts of its own derives from them.
type mirrorCounts struct{ Active, Pending, Ready, Terminating int }

// A mirrored is an attempt that runs somewhere else.
type mirrored struct {
	view      AttemptView
	hasResult bool // its result has been kept
	isChanged bool
	isSaved   bool
	log       logtail.Log
}

// A savedMirrored is what is stored of one.
type savedMirrored struct {
	AttemptView
	Failure   string `json:",omitzero"` // the text of Err
	HasResult bool   `json:",omitzero"`
}

const (
	mirrorKey       = "mirror"  // a mirrorCounts
	mirroredAttempt = "mirror/" // and its UID: a savedMirrored
)

// Ended reports whether the attempt is over.
func (v *AttemptView) hasEnded() bool { return v.Phase >= engine.Succeeded }

// knows reports whether there is nothing new in what is said of an attempt.
func (m *mirror) knows(v *AttemptView) bool {
	if m == nil || m.attempts[v.UID] == nil {
		return false
	}
	known := m.attempts[v.UID].view
	if known.hasEnded() {
		return true
	}
	said := *v
	said.Seq, said.JobUID, said.Err, known.Err = known.Seq, known.JobUID, nil, nil
	return reflect.DeepEqual(said, known)
}

// put adds an attempt, or puts it in the place of what was known of it. What has ended
// does not change any more.
func (m *mirror) put(v AttemptView, logLimit int) *mirrored {
	a := m.attempts[v.UID]
	switch {
	case a == nil:
		a = new(mirrored)
		a.log.Reset(cmp.Or(logLimit, -1)) // 0 is the log's default
		v.Seq = m.next
		m.next++
		m.attempts[v.UID] = a
	case a.view.hasEnded():
		return a
	default:
		v.Seq = a.view.Seq
	}
	if v.hasEnded() {
		m.ended++
	}
	a.view, a.isChanged = v, true
	return a
}

// trim gives up the oldest attempts that have ended above the limit, failed ones last.
func (m *mirror) trim(limit int) {
	for m.ended > limit {
		var oldest *mirrored
		for _, a := range m.attempts {
			if a.view.hasEnded() && (oldest == nil || a.leavesBefore(oldest)) {
				oldest = a
			}
		}
		oldest.log.Close()
		if oldest.isSaved {
			m.removed = append(m.removed, oldest.view.UID)
		}
		delete(m.attempts, oldest.view.UID)
		m.ended--
	}
}

func (a *mirrored) leavesBefore(b *mirrored) bool {
	if failed := a.view.Phase == engine.Failed; failed != (b.view.Phase == engine.Failed) {
		return !failed
	}
	return a.view.Seq < b.view.Seq
}

// inOrder returns the attempts in the order of their creation.
func (m *mirror) inOrder() []*mirrored {
	if m == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(m.attempts), func(a, b *mirrored) int {
		return cmp.Compare(a.view.Seq, b.view.Seq)
	})
}

// find returns the attempt of a name or UID; nil if there is none.
func (m *mirror) find(nameOrUID string) *mirrored {
	if m == nil {
		return nil
	}
	if a := m.attempts[nameOrUID]; a != nil {
		return a
	}
	for _, a := range m.attempts {
		if a.view.Name == nameOrUID {
			return a
		}
	}
	return nil
}

// lastFailure is the failed attempt that has ended last; nil if none has failed.
func (m *mirror) lastFailure() *mirrored {
	var last *mirrored
	for _, a := range m.inOrder() {
		if a.view.Phase == engine.Failed && (last == nil || !a.view.FinishedAt.Before(last.view.FinishedAt)) {
			last = a
		}
	}
	return last
}

func (a *mirrored) exitCode() int {
	if a.view.ExitCode == nil {
		return -1
	}
	return *a.view.ExitCode
}

// save puts the records that have changed.
func (m *mirror) save(put func(key string, value []byte)) {
	if m == nil {
		return
	}
	if m.counts != m.saved {
		m.saved = m.counts
		put(mirrorKey, encode(m.counts))
	}
	for _, uid := range m.removed {
		put(mirroredAttempt+uid, nil)
	}
	m.removed = nil
	for uid, a := range m.attempts {
		if !a.isChanged {
			continue
		}
		a.isChanged, a.isSaved = false, true
		s := savedMirrored{AttemptView: a.view, HasResult: a.hasResult}
		if a.view.Err != nil {
			s.Failure = a.view.Text
		}
		s.Err, s.Progress = nil, Progress{}
		put(mirroredAttempt+uid, encode(s))
	}
}

// takeMirror gives a job that was loaded what was reported of it.
func (j *Job) takeMirror(m *mirror) {
	if m == nil {
		return
	}
	j.mirror = m
	if e := j.engine; e.FinishedAt == 0 {
		e.Active, e.Pending, e.Ready, e.Terminating = m.counts.Active, m.counts.Pending, m.counts.Ready, m.counts.Terminating
	}
}

// loadMirror takes the records of a mirror out of the records; nil if there are none.
func loadMirror(records map[string][]byte) (*mirror, error) {
	m := &mirror{attempts: make(map[string]*mirrored)}
	found := false
	for key, data := range records {
		var err error
		if uid, ok := strings.CutPrefix(key, mirroredAttempt); ok {
			err = m.load(uid, data)
		} else if key == mirrorKey {
			err = json.Unmarshal(data, &m.counts)
			m.saved = m.counts
		} else {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("record %q: %w", key, err)
		}
		found = true
		delete(records, key)
	}
	if !found {
		return nil, nil
	}
	return m, nil
}

func (m *mirror) load(uid string, data []byte) error {
	var s savedMirrored
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	a := &mirrored{view: s.AttemptView, hasResult: s.HasResult, isSaved: true}
	if s.Failure != "" {
		a.view.Err = errorOf(s.Failure)
	}
	a.log.Reset(-1)
	if a.view.hasEnded() {
		a.log.Close() // logs are not stored
		m.ended++
	}
	m.attempts[uid] = a
	m.next = max(m.next, a.view.Seq+1)
	return nil
}
