package iterate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// A Checkpoint keeps what an iteration needs to go on. There is one call at a
// time.
type Checkpoint interface {
	// Load returns what was last saved; nothing if nothing was.
	Load() ([]byte, error)
	// Save replaces it. The data must not be retained.
	Save(ctx context.Context, data []byte) error
}

// format is the version of the form of checkpoints.
const format = 1

// maxText is how many bytes of an error's text a checkpoint has at most.
const maxText = 256

// maxListed is how many bytes the list of skipped items has in a checkpoint; the
// items that have no place in it are counted.
const maxListed = 256 << 10

// A CheckpointError reports a checkpoint that cannot be read: it is damaged, of
// another iteration, or of another version of it.
type CheckpointError struct {
	Format int   // the version of its form, if it is another one than Known; otherwise 0
	Known  int   // the version that can be read
	Err    error // what is wrong
}

// Error says what is wrong.
func (e *CheckpointError) Error() string { return fmt.Sprintf("checkpoint of an iteration: %v", e.Err) }

// Unwrap returns what is wrong.
func (e *CheckpointError) Unwrap() error { return e.Err }

// A document is the form in which a place is saved.
type document[C any] struct {
	Format   int          `json:"iteration"`
	Cursor   *C           `json:"cursor,omitempty"`
	Ahead    *group[C]    `json:"ahead,omitempty"`
	Done     int          `json:"done"`
	Skipped  []Skipped[C] `json:"skipped,omitempty"`
	Unlisted int          `json:"unlisted,omitempty"`
	Finished bool         `json:"finished,omitempty"`
}

// load returns the place from which to go on.
func load[C any](saved Checkpoint) (place[C], error) {
	data, err := saved.Load()
	if err != nil {
		return place[C]{}, fmt.Errorf("load the checkpoint: %w", err)
	}
	if len(data) == 0 {
		return place[C]{}, nil
	}
	p, err := decode[C](data)
	p.listed = len(data)
	return p, err
}

func decode[C any](data []byte) (place[C], error) {
	found, err := formatOf(data)
	if err != nil {
		return place[C]{}, &CheckpointError{Known: format, Err: err}
	}
	if found != format {
		err := fmt.Errorf("its format is %d, and only %d can be read", found, format)
		return place[C]{}, &CheckpointError{Format: found, Known: format, Err: err}
	}
	var d document[C]
	if err := unmarshal(data, &d); err != nil {
		return place[C]{}, &CheckpointError{Known: format, Err: err}
	}
	if err := d.check(); err != nil {
		return place[C]{}, &CheckpointError{Known: format, Err: err}
	}
	return d.place(), nil
}

// formatOf reads the version, which every form has in the same place. It sees
// to it that there is one JSON value and no more.
func formatOf(data []byte) (int, error) {
	var d struct {
		Format *int `json:"iteration"`
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return 0, err
	}
	if d.Format == nil {
		return 0, errors.New("it is something else")
	}
	return *d.Format, nil
}

// unmarshal takes no fields that it does not know: of what they say, nothing
// may be lost.
func unmarshal(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func (d *document[C]) check() error {
	switch {
	case d.Done < 0:
		return fmt.Errorf("%d items are done", d.Done)
	case d.Unlisted < 0:
		return fmt.Errorf("%d items are skipped and not listed", d.Unlisted)
	case d.Ahead != nil && d.Ahead.Items < 1:
		return fmt.Errorf("%d items are ahead", d.Ahead.Items)
	case d.Cursor == nil && d.Ahead == nil && !d.Finished:
		return errors.New("it has no cursor")
	}
	return nil
}

func (d *document[C]) place() place[C] {
	p := place[C]{
		tally: tally[C]{d.Done, d.Skipped, d.Unlisted}, begun: d.Cursor != nil, finished: d.Finished, ahead: d.Ahead,
	}
	if d.Cursor != nil {
		p.cursor = *d.Cursor
	}
	return p
}

func (p place[C]) encode() ([]byte, error) {
	d := document[C]{Format: format, Ahead: p.ahead,
		Done: p.done, Skipped: p.skipped, Unlisted: p.unlisted, Finished: p.finished}
	if p.begun {
		d.Cursor = &p.cursor
	}
	return json.Marshal(d)
}

// cutText returns the beginning of a text.
func cutText(text string) string {
	if len(text) > maxText {
		const more = "…"
		text = text[:maxText-len(more)] + more
	}
	return strings.ToValidUTF8(text, "")
}
