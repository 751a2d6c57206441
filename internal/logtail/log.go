// Package logtail keeps the last lines of what an attempt prints: bounded in
// memory, ordered over both streams, and open to followers.
package logtail

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"
	"unicode/utf8"
)

// Stream is where a line was printed.
type Stream uint8

const (
	Stdout Stream = iota
	Stderr

	numStreams = iota
)

// String returns "stdout" or "stderr".
func (s Stream) String() string {
	switch s {
	case Stdout:
		return "stdout"
	case Stderr:
		return "stderr"
	}
	return "unknown"
}

// ErrClosed is the error of a write to a log that has been closed, or that has
// been reset since the writer was made.
var ErrClosed = errors.New("log is closed")

const (
	// DefaultLimit is the limit of a log that was not given one.
	DefaultLimit = 64 << 10

	// MaxLine is the number of bytes after which a line is cut. A log that
	// cannot hold such a line cuts earlier.
	MaxLine = 16 << 10

	// LineCost is what a line costs of a log's limit in addition to its text.
	LineCost = headerSize
)

// A Line is a piece of text that was ended by a newline, by the length of a
// line, or by [Log.Close].
type Line struct {
	Time   time.Time // when the line was complete
	Stream Stream
	Text   string // without the newline; of any bytes

	// Cut says that the line was too long, and goes on in the next Line of the
	// same stream. Characters in UTF-8 are not cut.
	Cut bool

	// Dropped is how many lines, just before this one, the reader asked for and
	// did not get because they were no longer kept.
	Dropped int
}

// A Log keeps the newest lines written to it. The zero value is an empty log
// with [DefaultLimit]; it takes no memory but its own until the first write. A
// Log must not be copied after that.
//
// All methods, and the writers, may be called by several goroutines at once. A
// write never waits for a reader.
type Log struct {
	mu      sync.Mutex // guards the fields below
	limit   int        // as given: zero for the default
	epoch   uint       // number of resets; writers and followers belong to one
	closed  bool
	kept    ring
	partial [numStreams][]byte // begun and not ended
	next    int64              // number of the next line, counted from zero
	first   int64              // number of the oldest line that is kept
	lost    int64              // bytes of text in lines that were dropped
	written time.Time          // when something was last written
	wake    chan struct{}      // closed at the next change; nil if no caller waits
}

// New returns an empty log. See [Log.Reset] for the limit.
func New(limit int) *Log { return &Log{limit: limit} }

// Reset makes l an empty log with the given limit, as [New] does, and keeps its
// memory for the next lines. For those who still use the old log it is as if
// that had been closed: earlier writers fail with [ErrClosed] and followers end,
// without the lines that they have not been given yet.
//
// The limit is how many bytes of lines are kept at most: each costs its text
// and [LineCost]. When a new line needs room, the oldest lines are dropped. The
// memory in use is limit, as far as it was ever needed, and until [Log.Close]
// the unfinished line of each stream. Zero means [DefaultLimit]. With a limit
// that has no room for any text no line is kept; a negative one is such.
func (l *Log) Reset(limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = limit
	l.epoch++
	l.closed = false
	l.kept.clear(l.capacity())
	for i := range l.partial {
		l.partial[i] = l.partial[i][:0]
	}
	l.next, l.first, l.lost, l.written = 0, 0, 0, time.Time{}
	l.wakeLocked()
}

// capacity returns the limit in bytes.
func (l *Log) capacity() int {
	if l.limit == 0 {
		return DefaultLimit
	}
	return max(l.limit, 0)
}

// maxLine returns the number of bytes after which a line is cut.
func (l *Log) maxLine() int {
	if room := l.capacity() - LineCost; room > 0 {
		return min(room, MaxLine)
	}
	return MaxLine
}

// Close ends the log: unfinished lines become lines, followers end when they
// have been given what is kept, and writes fail from now on. What is kept can
// still be read. Closing again does nothing.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	now := time.Now()
	for stream, text := range l.partial {
		if len(text) > 0 {
			l.addLocked(now, Stream(stream), text, false)
		}
		l.partial[stream] = nil // a closed log may be kept for long
	}
	l.closed = true
	l.wakeLocked()
}

// Dropped returns how many lines are no longer kept, and how many bytes their
// texts had.
func (l *Log) Dropped() (lines, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first, l.lost
}

// LastWrite returns when something was last written, be it a line or not; the zero time
// if nothing was.
func (l *Log) LastWrite() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}

// Writer returns a writer to one of the streams. What has no newline yet is not
// a line yet: it waits for more, from any writer to the same stream. What one
// Write is given is not mixed with others. The writer works until l is closed
// or reset, and then fails with [ErrClosed], having written nothing.
func (l *Log) Writer(stream Stream) io.Writer {
	if stream >= numStreams {
		panic("logtail: no such stream")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return &writer{log: l, epoch: l.epoch, stream: stream}
}

// Append adds lines with the times that they have. It does nothing when the log is
// closed. Writers are not to be used beside it.
func (l *Log) Append(lines []Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(lines) == 0 {
		return
	}
	for _, line := range lines {
		text := l.cutLocked(line.Time, line.Stream, []byte(line.Text), l.maxLine())
		l.addLocked(line.Time, line.Stream, text, line.Cut)
	}
	l.written = time.Now()
	l.wakeLocked()
}

type writer struct {
	log    *Log
	epoch  uint
	stream Stream
}

func (w *writer) Write(p []byte) (int, error) {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	if w.log.closed || w.log.epoch != w.epoch {
		return 0, ErrClosed
	}
	w.log.writeLocked(w.stream, p)
	return len(p), nil
}

func (l *Log) writeLocked(stream Stream, p []byte) {
	before := l.next
	var now time.Time
	longest := l.maxLine()
	for len(p) > 0 {
		text, rest, ended := bytes.Cut(p, newline)
		if now.IsZero() && (ended || len(l.partial[stream])+len(text) > longest) {
			now = time.Now()
		}
		text = l.cutLocked(now, stream, text, longest)
		switch begun := l.partial[stream]; {
		case !ended:
			l.partial[stream] = append(begun, text...)
		case len(begun) == 0: // the usual case: copied once
			l.addLocked(now, stream, text, false)
		default:
			begun = append(begun, text...)
			l.addLocked(now, stream, begun, false)
			l.partial[stream] = begun[:0]
		}
		p = rest
	}
	if now.IsZero() {
		now = time.Now()
	}
	l.written = now
	if l.next != before {
		l.wakeLocked()
	}
}

var newline = []byte{'\n'}

// cutLocked adds pieces of the line that begins with the stream's unfinished
// one and goes on with text, until the rest is not too long. It returns what is
// left of text.
func (l *Log) cutLocked(now time.Time, stream Stream, text []byte, longest int) []byte {
	for begun := l.partial[stream]; len(begun) > 0 && len(begun)+len(text) > longest; {
		n := longest - len(begun)
		begun = append(begun, text[:n]...)
		end := cutBefore(begun, text[n])
		l.addLocked(now, stream, begun[:end], true)
		begun = append(begun[:0], begun[end:]...)
		text = text[n:]
		l.partial[stream] = begun
	}
	for len(text) > longest {
		end := cutBefore(text[:longest], text[longest])
		l.addLocked(now, stream, text[:end], true)
		text = text[end:]
	}
	return text
}

// cutBefore returns where to cut p, which next follows: at its end, or before
// the character in UTF-8 that next would be a part of.
func cutBefore(p []byte, next byte) int {
	if utf8.RuneStart(next) {
		return len(p)
	}
	for back := 1; back < utf8.UTFMax && back < len(p); back++ {
		if i := len(p) - back; utf8.RuneStart(p[i]) {
			if utf8.FullRune(p[i:]) {
				break // whole: next is out of place
			}
			return i
		}
	}
	return len(p)
}

// addLocked adds a line and drops as many old ones as it needs.
func (l *Log) addLocked(now time.Time, stream Stream, text []byte, cut bool) {
	l.next++
	for !l.kept.fits(len(text), l.capacity()) {
		if l.kept.empty() { // nothing ever fits
			l.first, l.lost = l.next, l.lost+int64(len(text))
			return
		}
		l.lost += int64(l.kept.drop())
		l.first++
	}
	l.kept.add(header{nanos: now.UnixNano(), size: len(text), stream: stream, cut: cut}, text, l.capacity())
}

func (l *Log) wakeLocked() {
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}
