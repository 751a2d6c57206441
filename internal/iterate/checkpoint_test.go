package iterate

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

var badCheckpointsTests = map[string]struct {
	data   string
	format int
	err    string
}{
	"not JSON": {
		data: "\x00\x01", format: 0,
		err: `checkpoint of an iteration: invalid character '\x00' looking for beginning of value`,
	},
	"cut off": {
		data: `{"iteration":1,"cursor":3`, format: 0, err: "checkpoint of an iteration: unexpected end of JSON input",
	},
	"of something else": {data: `{"offset":77}`, format: 0, err: "checkpoint of an iteration: it is something else"},
	"a number": {
		data: `77`, format: 0,
		err: "checkpoint of an iteration: json: cannot unmarshal number into Go value of type struct { Format *int " +
			"\"json:\\\"iteration\\\"\" }",
	},
	"of a newer format": {
		data: `{"iteration":2,"place":[3]}`, format: 2,
		err: "checkpoint of an iteration: its format is 2, and only 1 can be read",
	},
	"more than is known": {
		data: `{"iteration":1,"cursor":3,"done":3,"lost":[4]}`, format: 0,
		err: `checkpoint of an iteration: json: unknown field "lost"`,
	},
	"of another cursor": {
		data: `{"iteration":1,"cursor":"abc","done":3}`, format: 0,
		err: "checkpoint of an iteration: json: cannot unmarshal string " +
			"into Go struct field document[int].cursor of type int",
	},
	"without a cursor": {
		data: `{"iteration":1,"done":3}`, format: 0, err: "checkpoint of an iteration: it has no cursor",
	},
	"less than nothing": {
		data: `{"iteration":1,"cursor":3,"done":-3}`, format: 0, err: "checkpoint of an iteration: -3 items are done",
	},
	"no items ahead": {
		data: `{"iteration":1,"ahead":{"cursor":3,"items":0},"done":3}`, format: 0,
		err: "checkpoint of an iteration: 0 items are ahead",
	},
	"a count below zero": {
		data: `{"iteration":1,"cursor":3,"done":3,"unlisted":-1}`, format: 0,
		err: "checkpoint of an iteration: -1 items are skipped and not listed",
	},
	"something behind it": {
		data: `{"iteration":1,"cursor":3,"done":3} {}`, format: 0,
		err: "checkpoint of an iteration: invalid character '{' after top-level value",
	},
	"a skip of another kind": {
		data: `{"iteration":1,"cursor":3,"done":2,"skipped":[7]}`, format: 0,
		err: "checkpoint of an iteration: json: cannot unmarshal number into Go struct field document[int].skipped " +
			"of type iterate.Skipped[int]",
	},
}

func TestBadCheckpoints(t *testing.T) {
	for name, test := range badCheckpointsTests {
		t.Run(name, func(t *testing.T) {
			saved := memo{data: []byte(test.data)}
			w := Work[int, int]{Cursor: itself}
			w.Items = func(context.Context, int) iter.Seq2[int, error] { panic("called in spite of the checkpoint") }
			w.Do = func(context.Context, int) error { return nil }
			result, err := Run(t.Context(), w, &saved, testHooks[int]())
			require.EqualError(t, err, test.err)
			bad, ok := errors.AsType[*CheckpointError](err)
			require.True(t, ok)
			require.Equal(t, test.format, bad.Format)
			require.Equal(t, 1, bad.Known)
			require.ErrorIs(t, err, bad.Err)
			require.Zero(t, result)
			require.Empty(t, saved.all, "it is not overwritten")
		})
	}
}

type noCheckpoint struct{ error }

func (c noCheckpoint) Load() ([]byte, error)              { return nil, c.error }
func (c noCheckpoint) Save(context.Context, []byte) error { panic("saved what could not be loaded") }

func TestLoadFails(t *testing.T) {
	w := Work[int, int]{Items: count(3), Cursor: itself, Do: func(context.Context, int) error { return nil }}
	_, err := Run(t.Context(), w, noCheckpoint{errBad}, testHooks[int]())
	require.ErrorIs(t, err, errBad)
	require.EqualError(t, err, "load the checkpoint: bad item")
}

// FuzzDecode holds that any checkpoint is either refused or goes round.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"iteration":1,"cursor":"a","done":3}`))
	f.Add([]byte(`{"iteration":1,"cursor":"a","done":3,"skipped":[{"cursor":"b","error":"<no>"}],"finished":true}`))
	f.Add([]byte(`{"iteration":1,"done":0,"finished":true}`))
	f.Add([]byte(`{"iteration":1,"ahead":{"cursor":"b","items":2},"done":3,"unlisted":7}`))
	f.Add([]byte(`{"iteration":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decode[string](data)
		if err != nil {
			require.IsType(t, new(CheckpointError), err)
			return
		}
		again, err := p.encode()
		require.NoError(t, err)
		back, err := decode[string](again)
		require.NoError(t, err)
		if len(p.skipped) == 0 {
			p.skipped, back.skipped = nil, nil
		}
		require.Equal(t, p, back)
	})
}

func TestTextsAreCut(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"short":             {text: "bad", want: "bad"},
		"as long as may be": {text: strings.Repeat("a", 256), want: strings.Repeat("a", 256)},
		"longer":            {text: strings.Repeat("a", 257), want: strings.Repeat("a", 253) + "…"},
		"within a character": {
			text: strings.Repeat("a", 252) + strings.Repeat("é", 9), want: strings.Repeat("a", 252) + "…",
		},
		"not UTF-8": {text: "a\xffb", want: "ab"},
		"nothing":   {text: "", want: ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := cutText(test.text)
			require.Equal(t, test.want, got)
			require.True(t, utf8.ValidString(got))
		})
	}
	w := Work[int, int]{Items: count(1), Cursor: itself, MaxSkipped: 1}
	w.Do = func(context.Context, int) error { return errors.New(strings.Repeat("long ", 1e6)) }
	var saved memo
	_, err := Run(t.Context(), w, &saved, testHooks[int]())
	require.NoError(t, err)
	require.Less(t, len(saved.data), 400)
	require.True(t, json.Valid(saved.data))
}
