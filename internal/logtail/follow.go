package logtail

import (
	"context"
	"iter"
	"math"
	"slices"
	"time"
)

// Lines returns the newest lines, oldest first: at most tail of them, all that
// are kept if tail is negative. It is a copy. What an attempt has printed after
// its last newline is not a line before [Log.Close].
func (l *Log) Lines(tail int) []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.cursorLocked(tail)
	return c.takeLocked(l, nil, math.MaxInt)
}

// All returns an iterator over the lines of [Log.Lines], which are chosen when the loop
// begins. When ctx is done, it yields its cause once and ends.
func (l *Log) All(ctx context.Context, tail int) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		for _, line := range l.Lines(tail) {
			if ctx.Err() != nil {
				break
			}
			if !yield(line, nil) {
				return
			}
		}
		if ctx.Err() != nil {
			yield(Line{}, context.Cause(ctx))
		}
	}
}

// Follow returns an iterator over the newest lines, as by [Log.Lines], and then
// over new ones as they are written, until l is closed or reset. When ctx is
// done, the iterator yields its cause once and ends. The lines to begin with
// are chosen when the loop begins.
//
// A loop that is slower than the writers misses lines: it is told how many by
// the Dropped of the next line that it gets. Lines dropped after the last one
// kept are only known to [Log.Dropped]. Writers do not wait for the loop, and takes
// memory for a few lines only. The order is that of [Log.Lines].
func (l *Log) Follow(ctx context.Context, tail int) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		var batch [batchSize]Line
		c := l.cursor(tail)
		for {
			lines, changed := c.next(l, batch[:0])
			for _, line := range lines {
				if ctx.Err() != nil {
					break
				}
				if !yield(line, nil) {
					return
				}
			}
			if ctx.Err() == nil && len(lines) == 0 {
				if changed == nil {
					return
				}
				select {
				case <-changed:
				case <-ctx.Done():
				}
			}
			if ctx.Err() != nil {
				yield(Line{}, context.Cause(ctx))
				return
			}
		}
	}
}

// batchSize is how many lines a follower takes at once, to lock seldom.
const batchSize = 16

// A cursor is where a reader is in a log.
type cursor struct {
	epoch uint
	line  int64 // number of the next line to read
	pos   int   // position of that line, if it is kept
}

func (l *Log) cursor(tail int) cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursorLocked(tail)
}

// cursorLocked returns a cursor that has tail lines before it, all if tail is
// negative, whether they are kept or not.
func (l *Log) cursorLocked(tail int) cursor {
	c := cursor{epoch: l.epoch, pos: l.kept.head}
	if tail >= 0 {
		c.line = max(l.next-int64(tail), 0)
	}
	for range c.line - l.first {
		c.pos = l.kept.after(c.pos, l.kept.header(c.pos))
	}
	return c
}

// next appends lines to batch, up to its capacity. If there are none, it returns
// a channel that is closed when there may be, or nil if there never will be.
func (c *cursor) next(l *Log, batch []Line) (lines []Line, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.epoch != l.epoch {
		return nil, nil
	}
	if lines = c.takeLocked(l, batch, cap(batch)); len(lines) > 0 || l.closed {
		return lines, nil
	}
	if l.wake == nil {
		l.wake = make(chan struct{})
	}
	return nil, l.wake
}

// takeLocked appends at most n lines to lines and moves on.
func (c *cursor) takeLocked(l *Log, lines []Line, n int) []Line {
	ready := l.next - max(c.line, l.first)
	if ready <= 0 {
		return lines
	}
	n = int(min(int64(n), ready))
	lines = slices.Grow(lines, n)
	dropped := 0
	if c.line < l.first {
		dropped = int(l.first - c.line)
		c.line, c.pos = l.first, l.kept.head
	}
	for range n {
		h := l.kept.header(c.pos)
		lines = append(lines, Line{
			Time:    time.Unix(0, h.nanos),
			Stream:  h.stream,
			Text:    l.kept.text(c.pos, h),
			Cut:     h.cut,
			Dropped: dropped,
		})
		dropped = 0
		c.pos = l.kept.after(c.pos, h)
	}
	c.line += int64(n)
	return lines
}
