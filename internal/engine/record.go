package engine

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/runtocompletion/batch/internal/compact"
)

// A fieldCoder codes the fields of the records "head" and "events".
type fieldCoder struct {
	*compact.Coder
	last Time // the latest that was coded: times are coded as differences
}

// pack returns a record; code lists its fields.
func pack(code func(*fieldCoder)) []byte {
	c := fieldCoder{Coder: compact.Writer()}
	code(&c)
	return c.Bytes()
}

// unpack reads a record that pack returned.
func unpack(data string, code func(*fieldCoder)) error {
	c := fieldCoder{Coder: compact.Reader(data)}
	code(&c)
	return c.End()
}

// times codes instants. Those that are not set, and those that never come, have no
// difference from others.
func (c *fieldCoder) times(list ...*Time) {
	// Most instants of a job are near each other, or not set: as differences they take a
	// byte or two, where as text they took twenty.
	const unset, never, set = 0, 1, 2
	for _, t := range list {
		kind := set
		switch *t {
		case 0:
			kind = unset
		case Never:
			kind = never
		}
		compact.Int(c.Coder, &kind)
		switch kind {
		case unset:
			*t = 0
		case never:
			*t = Never
		default:
			// The one before may be later: differences have a sign.
			since := *t - c.last
			compact.Int(c.Coder, &since)
			*t = c.last + since
			c.last = *t
		}
	}
}

func (c *fieldCoder) ints(list ...*int) {
	for _, n := range list {
		compact.Int(c.Coder, n)
	}
}

func (c *fieldCoder) texts(list ...*string) {
	for _, s := range list {
		c.Text(s)
	}
}

// nowSize is how many bytes at the beginning of the record "head" say no more than the
// time of the latest event.
const nowSize = 8

func (j *Job) encodeHead() []byte {
	// It stands first and apart, so that two heads can be compared without it.
	now := binary.BigEndian.AppendUint64(nil, uint64(j.now))
	return append(now, pack(j.head().code)...)
}

func (l *loader) decodeHead(data string) error {
	if len(data) < nowSize {
		return errors.New("cut short")
	}
	l.now = Time(binary.BigEndian.Uint64([]byte(data[:nowSize])))
	// A record that is damaged leaves no half of a head behind.
	l.head = new(head)
	return unpack(data[nowSize:], l.head.code)
}

func (j *Job) encodeEvents() []byte {
	return pack(func(c *fieldCoder) { codeEvents(c, &j.events) })
}

// code lists the fields that the record "head" begins with.
func (o *Outcome) code(c *fieldCoder) {
	c.times(&o.CreatedAt, &o.StartTime, &o.FinishedAt, &o.DeletedAt)
	compact.List(c.Coder, &o.Conditions, func(x *Condition) {
		c.texts(&x.Type, &x.Status, &x.Reason, &x.Message)
		c.times(&x.At)
	})
	c.ints(&o.Succeeded, &o.Failed)
	f := &o.LastFailure
	compact.Int(c.Coder, &f.Seq)
	c.ints(&f.Index, &f.Failures, &f.ExitCode)
	c.times(&f.At)
	c.ints(&o.Run)
}

// code lists the fields of the record "head".
func (h *head) code(c *fieldCoder) {
	h.Outcome.code(c)
	compact.Int(c.Coder, &h.Attempts)
	c.ints(&h.Retries)
	c.times(&h.LastSuccess, &h.FailuresSeen, &h.Asleep, &h.RetryAfter, &h.RetryUntil, &h.DecideAt)
	c.target(&h.Target)
	c.target(&h.FailJob)
	c.Flags(&h.OutOfRange)
	c.ints(&h.Exits, &h.Snoozes, &h.NextIndex, &h.AgainIndex, &h.AgainFrom, &h.HighestNumber)
	compact.List(c.Coder, &h.Runs, func(r *runStart) {
		c.ints(&r.Run)
		compact.Int(c.Coder, &r.First)
	})
	c.indexFailures(&h.IndexFailures)
	for _, place := range [...]*int64{&h.OldestPlain, &h.OldestSucceeded, &h.OldestFailed} {
		compact.Int(c.Coder, place)
	}
}

func (c *fieldCoder) target(t **savedTarget) {
	// A decision is rare: most heads have a single bit for it.
	exists := *t != nil
	c.Flags(&exists)
	if !exists {
		return
	}
	if c.Reads() {
		*t = new(savedTarget)
	}
	c.Flags(&(*t).Success)
	c.texts(&(*t).Reason, &(*t).Message)
}

// indexFailures are coded in the order of the indexes, so that the same have the same
// bytes.
func (c *fieldCoder) indexFailures(m *map[int]failures) {
	// Maps have no order.
	indexes := slices.Sorted(maps.Keys(*m))
	compact.List(c.Coder, &indexes, func(index *int) {
		c.ints(index)
		f := (*m)[*index]
		c.ints(&f.Counted, &f.Ignored, &f.Exits, &f.Snoozes)
		if *m == nil {
			*m = make(map[int]failures)
		}
		(*m)[*index] = f
	})
}

// codeEvents lists the fields of the record "events".
func codeEvents(c *fieldCoder, events *[]EventRecord) {
	compact.List(c.Coder, events, func(e *EventRecord) {
		c.times(&e.At)
		c.Flags(&e.Warning)
		c.texts(&e.Reason, &e.Message)
	})
}
