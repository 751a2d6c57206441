package compact

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

type level uint8

// A sample has a field of every kind.
type sample struct {
	n       int64
	level   level
	a, b, c bool
	text    string
	list    []string
}

func (s *sample) code(c *Coder) {
	Int(c, &s.n)
	Int(c, &s.level)
	c.Flags(&s.a, &s.b, &s.c)
	c.Text(&s.text)
	List(c, &s.list, c.Text)
}

func write(s sample) string {
	c := Writer()
	s.code(c)
	return string(c.Bytes())
}

func read(data string) (s sample, err error) {
	c := Reader(data)
	s.code(c)
	return s, c.End()
}

var samples = map[string]sample{
	"nothing":       {},
	"small":         {1, 2, true, false, true, "text", []string{"a", "", "c"}},
	"great":         {math.MaxInt64, math.MaxUint8, true, true, true, "\x00\xff", []string{""}},
	"negative":      {n: -1},
	"very negative": {n: math.MinInt64},
}

func TestWhatIsReadWasWritten(t *testing.T) {
	for name, s := range samples {
		t.Run(name, func(t *testing.T) {
			got, err := read(write(s))
			require.NoError(t, err)
			require.Equal(t, s, got)
		})
	}
	require.Len(t, write(sample{}), 5, "a field that is zero takes a byte")
}

func TestDamage(t *testing.T) {
	for name, s := range samples {
		data := write(s)
		for n := range data {
			_, err := read(data[:n])
			require.ErrorIs(t, err, errDamaged, "%s, cut to %d bytes", name, n)
		}
		_, err := read(data + "\x00")
		require.ErrorIs(t, err, errDamaged, "%s, too long", name)
	}
	cases := map[string]string{
		"a number that is too great": "\x00\x80\x04",
		"a flag that is not known":   "\x00\x00\x10\x00\x00",
		"flags below zero":           "\x00\x00\x01\x00\x00",
		"a text of negative length":  "\x00\x00\x00\x01\x00",
		"a text that is too long":    "\x00\x00\x00\x7e\x00",
		"a list of negative length":  "\x00\x00\x00\x00\x01",
		"a list that is too long":    "\x00\x00\x00\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"a number without an end":    "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
	}
	for name, data := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := read(data)
			require.ErrorIs(t, err, errDamaged)
		})
	}
}

// Whatever is read is an error, or what was read is written as it was.
func FuzzRead(f *testing.F) {
	for _, s := range samples {
		f.Add(write(s))
	}
	f.Fuzz(func(t *testing.T, data string) {
		if s, err := read(data); err == nil {
			again, err := read(write(s))
			require.NoError(t, err)
			require.Equal(t, s, again)
		}
	})
}
