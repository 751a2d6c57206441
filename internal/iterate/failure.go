package iterate

import (
	"encoding/json"
	"errors"
	"fmt"
)

// An ItemError is the error of an item, or of a chunk, that ended the iteration.
type ItemError[C any] struct {
	Cursor C   // of the item, or of the last item of the chunk
	Items  int // how many items the call was for
	Err    error
}

// Error names the cursor and gives the error.
func (e *ItemError[C]) Error() string {
	what := fmt.Sprintf("item at cursor %v", e.Cursor)
	if e.Items > 1 {
		what = fmt.Sprintf("%d items up to cursor %v", e.Items, e.Cursor)
	}
	return fmt.Sprintf("%s: %v", what, e.Err)
}

// Unwrap returns the error that Do or DoChunk returned.
func (e *ItemError[C]) Unwrap() error { return e.Err }

// A verdict is what an error means.
type verdict struct {
	err       error
	final     bool
	skippable bool
	text      string
}

// endsAll reports whether a chunk's error leaves no sense in trying its items.
func (r *run[T, C]) endsAll(c *chunk[T, C], err error) bool {
	if r.ctx.Err() != nil {
		return true
	}
	v := r.judge(err, 0)
	if v.final {
		n := len(c.items)
		r.failAt(c.cursors[n-1], n, v)
	}
	return v.final
}

// skips records an item's error and reports whether the item is skipped.
func (r *run[T, C]) skips(c *chunk[T, C], i int, err error) bool {
	if r.ctx.Err() != nil {
		return false // it may have failed for that
	}
	v := r.judge(err, r.work.MaxSkipped)
	skipped, err := r.trySkip(c, i, v)
	if err != nil {
		v.err = errors.Join(v.err, err)
	}
	if !skipped {
		r.failAt(c.cursors[i], 1, v)
		return false
	}
	r.hooks.Skipped(c.cursors[i], v.err)
	return true
}

// trySkip skips an item if that is possible. The error is that of its cursor.
func (r *run[T, C]) trySkip(c *chunk[T, C], i int, v verdict) (bool, error) {
	if !v.skippable {
		return false, nil
	}
	size := 0
	if err := r.guarded(func() (err error) { size, err = r.sizeInList(c.cursors[i], v.text); return err }); err != nil {
		return false, err
	}
	skipped := false
	r.record(func(l *ledger[C]) {
		if skipped = r.skipping < r.work.MaxSkipped; skipped {
			r.skipping++
			r.listed += size
			l.skip(&c.stretch, v.text, r.listed <= maxListed)
		}
	})
	return skipped, nil
}

// sizeInList is how many bytes a skipped item has in the list of those. The error
// is that of its cursor.
func (r *run[T, C]) sizeInList(cursor C, text string) (int, error) {
	if err := checkCursor(cursor, r.equal); err != nil {
		return 0, err
	}
	data, err := json.Marshal(Skipped[C]{cursor, text})
	return len(data) + len(","), err
}

// judge asks what an error means. It may be skipped only if any may be.
func (r *run[T, C]) judge(err error, maxSkipped int) verdict {
	v := verdict{err: err}
	broken := r.guarded(func() error {
		final := r.hooks.Final(err)
		skippable := !final && maxSkipped > 0 && (r.work.SkipOn == nil || r.work.SkipOn(err))
		v = verdict{err, final, skippable, cutText(err.Error())}
		return nil
	})
	if broken != nil {
		return verdict{err: errors.Join(err, broken)}
	}
	return v
}

func (r *run[T, C]) failAt(cursor C, items int, v verdict) {
	r.fail(&ItemError[C]{cursor, items, v.err}, v.final)
}
