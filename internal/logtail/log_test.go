package logtail

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// write is a write of a test; writes to stderr begin with "!".
func write(t *testing.T, l *Log, text string) {
	t.Helper()
	stream, text := streamOf(text)
	n, err := l.Writer(stream).Write([]byte(text))
	require.NoError(t, err)
	require.Equal(t, len(text), n)
}

func streamOf(text string) (Stream, string) {
	if rest, ok := strings.CutPrefix(text, "!"); ok {
		return Stderr, rest
	}
	return Stdout, text
}

// format writes lines as in "a", "!b", "3 lost, c", "long+".
func format(lines []Line) []string {
	result := []string{}
	for _, line := range lines {
		text := line.Text
		if line.Cut {
			text += "+"
		}
		if line.Dropped > 0 {
			text = fmt.Sprintf("%d lost, %s", line.Dropped, text)
		}
		if line.Stream == Stderr {
			text = "!" + text
		}
		result = append(result, text)
	}
	return result
}

const wholeTail = -1

// room is a limit for so many lines of one byte.
func roomFor(lines int) int { return lines * (LineCost + 1) }

var linesTests = map[string]struct {
	limit  int
	writes []string
	close  bool
	tail   int
	want   []string
}{
	"nothing written": {
		tail: wholeTail,
		want: []string{},
	},
	"nothing in a write": {
		writes: []string{"", "!"},
		close:  true,
		tail:   wholeTail,
		want:   []string{},
	},
	"a line a write": {
		writes: []string{"a\n", "!b\n", "c\n"},
		tail:   wholeTail,
		want:   []string{"a", "!b", "c"},
	},
	"lines in one write": {
		writes: []string{"a\n\nb\n"},
		tail:   wholeTail,
		want:   []string{"a", "", "b"},
	},
	"a line in pieces": {
		writes: []string{"a", "b", "c\nd", "\n"},
		tail:   wholeTail,
		want:   []string{"abc", "d"},
	},
	"the streams do not mix": {
		writes: []string{"a", "!b", "c\n", "!d\n"},
		tail:   wholeTail,
		want:   []string{"ac", "!bd"},
	},
	"an unfinished line is not shown": {
		writes: []string{"a\nb"},
		tail:   wholeTail,
		want:   []string{"a"},
	},
	"unfinished lines are shown after close": {
		writes: []string{"!b", "a"},
		close:  true,
		tail:   wholeTail,
		want:   []string{"a", "!b"},
	},
	"other white space is kept": {
		writes: []string{" a\t\r\n\r\r\n\x00\n"},
		tail:   wholeTail,
		want:   []string{" a\t\r", "\r\r", "\x00"},
	},
	"no tail": {
		writes: []string{"a\nb\n"},
		tail:   0,
		want:   []string{},
	},
	"a tail": {
		writes: []string{"a\nb\nc\n"},
		tail:   2,
		want:   []string{"b", "c"},
	},
	"a tail longer than the log": {
		writes: []string{"a\nb\nc\n"},
		tail:   4,
		want:   []string{"a", "b", "c"},
	},
	"old lines are dropped": {
		limit:  roomFor(2),
		writes: []string{"a\nb\nc\n", "d\n"},
		tail:   wholeTail,
		want:   []string{"2 lost, c", "d"},
	},
	"a tail longer than what is kept": {
		limit:  roomFor(2),
		writes: []string{"a\nb\nc\nd\n"},
		tail:   3,
		want:   []string{"1 lost, c", "d"},
	},
	"a tail shorter than what is kept": {
		limit:  roomFor(2),
		writes: []string{"a\nb\nc\nd\n"},
		tail:   1,
		want:   []string{"d"},
	},
	"one line drops several": {
		limit:  roomFor(3),
		writes: []string{"a\nb\nc\n", "four\n"},
		tail:   wholeTail,
		want:   []string{"2 lost, c", "four"},
	},
	"a line as long as possible": {
		limit:  LineCost + 5,
		writes: []string{"a\n12345\n"},
		tail:   wholeTail,
		want:   []string{"1 lost, 12345"},
	},
	"a longer line is cut": {
		limit:  LineCost + 5,
		writes: []string{"123456\n"},
		tail:   wholeTail,
		want:   []string{"1 lost, 6"},
	},
	"an unfinished line is cut only when it goes on": {
		writes: []string{strings.Repeat("x", MaxLine)},
		tail:   wholeTail,
		want:   []string{},
	},
	"a line of just the length": {
		writes: []string{strings.Repeat("x", MaxLine), "\n"},
		tail:   wholeTail,
		want:   []string{strings.Repeat("x", MaxLine)},
	},
	"a line of one byte more": {
		writes: []string{strings.Repeat("x", MaxLine), "y"},
		tail:   wholeTail,
		want:   []string{strings.Repeat("x", MaxLine) + "+"},
	},
	"a line of several pieces": {
		writes: []string{"a\n" + strings.Repeat("x", 2*MaxLine) + "y\nb\n"},
		tail:   wholeTail,
		want:   []string{"a", strings.Repeat("x", MaxLine) + "+", strings.Repeat("x", MaxLine) + "+", "y", "b"},
	},
	"characters are not cut": {
		writes: []string{strings.Repeat("x", MaxLine-2), "\xe2", "\x82\xac\n"},
		tail:   wholeTail,
		want:   []string{strings.Repeat("x", MaxLine-2) + "+", "€"},
	},
	"a limit without room for text": {
		limit:  LineCost,
		writes: []string{"a\n\n", "!b"},
		close:  true,
		tail:   wholeTail,
		want:   []string{},
	},
	"a negative limit": {
		limit:  -1,
		writes: []string{"a\n\n"},
		tail:   wholeTail,
		want:   []string{},
	},
}

func TestLines(t *testing.T) {

	for name, test := range linesTests {
		t.Run(name, func(t *testing.T) {
			l := New(test.limit)
			for _, text := range test.writes {
				write(t, l, text)
			}
			if test.close {
				l.Close()
			}
			require.Equal(t, test.want, format(l.Lines(test.tail)))
		})
	}
}

func TestCutBefore(t *testing.T) {
	tests := map[string]struct {
		p, next string
		want    int
	}{
		"between ASCII characters":        {p: "abc", next: "d", want: 3},
		"before a character":              {p: "abc", next: "é", want: 3},
		"after a character":               {p: "abé", next: "d", want: 4},
		"within two bytes":                {p: "ab\xc3", next: "\xa9", want: 2},
		"after one of three bytes":        {p: "ab\xe2", next: "\x82", want: 2},
		"after two of three bytes":        {p: "ab\xe2\x82", next: "\xac", want: 2},
		"after three of four bytes":       {p: "ab\xf0\x9f\x98", next: "\x80", want: 2},
		"a byte too many":                 {p: "abé", next: "\xa9", want: 4},
		"a byte out of place":             {p: "ab", next: "\x80", want: 2},
		"many bytes out of place":         {p: "ab\x80\x80\x80\x80", next: "\x80", want: 6},
		"a character longer than a line":  {p: "\xe2\x82", next: "\xac", want: 2},
		"a line of one byte":              {p: "\xe2", next: "\x82", want: 1},
		"a first byte that is never used": {p: "ab\xff", next: "\x80", want: 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, cutBefore([]byte(test.p), test.next[0]))
		})
	}
}

func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var l Log
		write(t, &l, "a\nb")
		time.Sleep(time.Second)
		write(t, &l, "c\n")
		write(t, &l, "d")
		time.Sleep(time.Second)
		l.Close()
		var after []time.Duration
		for _, line := range l.Lines(-1) {
			after = append(after, line.Time.Sub(start))
		}
		require.Equal(t, []time.Duration{0, time.Second, 2 * time.Second}, after)
	})
}

func TestClose(t *testing.T) {
	l := New(0)
	w := l.Writer(Stdout)
	write(t, l, "a\nb")
	l.Close()
	l.Close()
	for _, w := range []io.Writer{w, l.Writer(Stdout), l.Writer(Stderr)} {
		n, err := w.Write([]byte("c\n"))
		require.Equal(t, ErrClosed, err)
		require.Zero(t, n)
	}
	l.Close()
	require.Equal(t, []string{"a", "b"}, format(l.Lines(-1)))
}

func TestReset(t *testing.T) {
	l := New(2 * (LineCost + 1))
	stale := l.Writer(Stdout)
	write(t, l, "a\nb\nc\nunfinished")
	write(t, l, "!unfinished")
	l.Reset(3 * (LineCost + 1))
	require.Empty(t, l.Lines(-1))
	lines, bytes := l.Dropped()
	require.Zero(t, lines)
	require.Zero(t, bytes)

	_, err := stale.Write([]byte("stale\n"))
	require.Equal(t, ErrClosed, err)
	write(t, l, "d\ne\nf\ng\n")
	require.Equal(t, []string{"1 lost, e", "f", "g"}, format(l.Lines(-1)))

	l.Close()
	l.Reset(LineCost + 1)
	_, err = stale.Write([]byte("stale\n"))
	require.Equal(t, ErrClosed, err)
	write(t, l, "h\ni\n")
	l.Close()
	require.Equal(t, []string{"1 lost, i"}, format(l.Lines(-1)))
	require.LessOrEqual(t, cap(l.kept.buf), LineCost+1, "memory beyond the limit is given back")
}

func TestWriterOfUnknownStream(t *testing.T) {
	require.Panics(t, func() { New(0).Writer(2) })
	require.Equal(t, "stdout stderr unknown", fmt.Sprint(Stdout, " ", Stderr, " ", Stream(2)))
}

// requireModel fails unless l is as m says.
func requireModel(t *testing.T, m *model, l *Log, tail int) {
	t.Helper()
	require.Equal(t, m.lines(tail), untimed(l.Lines(tail)))
	wantLines, wantBytes := m.dropped()
	lines, bytes := l.Dropped()
	require.Equal(t, wantLines, lines)
	require.Equal(t, wantBytes, bytes)
	require.LessOrEqual(t, cap(l.kept.buf), l.capacity())
	for _, partial := range l.partial {
		require.LessOrEqual(t, len(partial), l.maxLine())
	}
}

func TestRandomAgainstModel(t *testing.T) {
	limits := []int{0, -1, LineCost, LineCost + 1, LineCost + 7, 100, 300, 1000, 20_000}
	var l Log // reused in all rounds
	for seed := range uint64(120) {
		rng := rand.New(rand.NewPCG(1, seed))
		limit := limits[rng.IntN(len(limits))]
		m := newModel(limit)
		l.Reset(limit)
		for range rng.IntN(60) {
			text := randomText(rng, m.longest)
			stream := Stream(rng.IntN(numStreams))
			m.write(stream, text)
			n, err := l.Writer(stream).Write([]byte(text))
			require.NoError(t, err)
			require.Equal(t, len(text), n)
			requireModel(t, m, &l, rng.IntN(12)-1)
		}
		m.close()
		l.Close()
		requireModel(t, m, &l, -1)
	}
}

func randomText(rng *rand.Rand, longest int) string {
	alphabet := []string{"a", "\n", "é", "€", "😀", "\xff", "\x80"}
	if rng.IntN(8) == 0 {
		return strings.Repeat(alphabet[rng.IntN(len(alphabet))], rng.IntN(2*longest+1))
	}
	var text strings.Builder
	for range rng.IntN(30) {
		text.WriteString(alphabet[rng.IntN(len(alphabet))])
	}
	return text.String()
}

// FuzzWrite checks that the lines do not depend on how the text is divided into
// writes, that nothing but newlines is lost, and that characters stay whole.
func FuzzWrite(f *testing.F) {
	f.Add("a\nbc\n\nd", uint16(0), uint16(1), []byte{1})
	f.Add("aé€😀\n", uint16(LineCost+5), uint16(3), []byte{2, 3})
	f.Add("\x80\x80\xff\xe2\x82\n", uint16(60), uint16(9), []byte{1, 0, 5})
	f.Add("a long line without any end", uint16(0), uint16(700), []byte{255})
	f.Fuzz(func(t *testing.T, text string, limit, times uint16, sizes []byte) {
		text = strings.Repeat(text, 1+int(times)%1000)
		text = text[:min(len(text), 3*MaxLine)]
		m, l, unlimited := newModel(int(limit)), New(int(limit)), New(1<<20)
		m.write(Stdout, text)
		m.close()
		w, everything := l.Writer(Stdout), unlimited.Writer(Stdout)
		for i, rest := 0, text; len(rest) > 0; i++ {
			n := len(rest)
			if len(sizes) > 0 {
				n = min(n, 1+int(sizes[i%len(sizes)]))
			}
			_, err := w.Write([]byte(rest[:n]))
			require.NoError(t, err)
			_, err = everything.Write([]byte(rest[:n]))
			require.NoError(t, err)
			rest = rest[n:]
		}
		l.Close()
		requireModel(t, m, l, -1)

		unlimited.Close()
		lines := unlimited.Lines(-1)
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		if joined(lines) != text {
			t.Fatalf("%q was written, and the lines are of %q", text, joined(lines))
		}
		for _, line := range lines {
			if len(line.Text) > MaxLine || utf8.ValidString(text) && !utf8.ValidString(line.Text) {
				t.Fatalf("bad line %q", line.Text)
			}
		}
	})
}

func TestManyWriters(t *testing.T) {
	const writers, lines = 8, 500
	l := New(1 << 20)
	var wg sync.WaitGroup
	for i := range writers {
		w := l.Writer(Stream(i % numStreams))
		wg.Go(func() {
			for n := range lines {
				_, _ = fmt.Fprintf(w, "%d %d\n", i, n)
			}
		})
	}
	wg.Wait()
	requireSequences(t, l.Lines(-1), writers, lines)
}

// requireSequences fails unless the lines are the whole sequences of so many
// writers.
func requireSequences(t *testing.T, lines []Line, writers, each int) {
	t.Helper()
	next := make([]int, writers)
	for _, line := range lines {
		var i, n int
		_, err := fmt.Sscanf(line.Text, "%d %d", &i, &n)
		require.NoError(t, err, "%q", line.Text)
		require.Equal(t, next[i], n, "of writer %d", i)
		next[i]++
	}
	for i := range next {
		require.Equal(t, each, next[i], "lines of writer %d", i)
	}
}

// A stale writer, a reader and a reset at any moment must not meet.
func TestResetWhileInUse(t *testing.T) {
	var l Log
	var users sync.WaitGroup
	for attempt := range 200 {
		l.Reset(1 << 10)
		w := l.Writer(Stdout)
		users.Go(func() {
			for n := range 50 {
				if _, err := fmt.Fprintln(w, "of attempt", attempt, n); err != nil {
					return
				}
			}
		})
		lines := l.Lines(-1)
		for _, line := range lines {
			require.True(
				t, strings.HasPrefix(line.Text, fmt.Sprintf("of attempt %d ", attempt)), "%q in attempt %d", line.Text, attempt,
			)
		}
		if attempt%2 == 0 {
			l.Close()
		}
	}
	users.Wait()
}

func TestMemory(t *testing.T) {
	require.Less(t, unsafe.Sizeof(Log{}), uintptr(200))
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		var l Log
		_ = l.Lines(-1)
		l.Close()
		l.Reset(100)
	}), 1.0, "the log itself")

	const limit = 64 << 10
	inputs := map[string][]byte{
		"empty lines":  []byte(strings.Repeat("\n", 2<<10)),
		"short lines":  []byte(strings.Repeat("0123456789abcde\n", 2<<10)),
		"no line ends": []byte(strings.Repeat("0123456789abcdef", 2<<10)),
		"characters":   []byte(strings.Repeat("0123456789abc€", 2<<10)),
		"little":       []byte("ab"),
	}
	for name, input := range inputs {
		t.Run(name, func(t *testing.T) {
			l := New(limit)
			w := l.Writer(Stdout)
			for range 200 {
				_, _ = w.Write(input)
			}
			require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = w.Write(input) }))
			require.LessOrEqual(t, cap(l.kept.buf), limit)
			require.LessOrEqual(t, cap(l.partial[Stdout]), 2*MaxLine)
			l.Close()
			require.LessOrEqual(t, len(joined(l.Lines(-1))), limit)
		})
	}

	t.Run("half a gigabyte", func(t *testing.T) {
		l := New(limit)
		w := l.Writer(Stdout)
		before := heap()
		for range 16 << 10 {
			_, _ = w.Write(inputs["no line ends"])
		}
		require.Less(t, heap(), before+8<<20)
		lines, bytes := l.Dropped()
		require.Positive(t, lines)
		require.Greater(t, bytes, int64(500<<20))
		runtime.KeepAlive(l)
	})
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func BenchmarkWrite(b *testing.B) {
	inputs := []struct{ name, text string }{
		{name: "a line of 100 bytes", text: strings.Repeat("x", 99) + "\n"},
		{name: "32 KiB of lines of 100 bytes", text: strings.Repeat(strings.Repeat("x", 99)+"\n", 327)},
		{name: "32 KiB of empty lines", text: strings.Repeat("\n", 32<<10)},
		{name: "32 KiB without end", text: strings.Repeat("x", 32<<10)},
		{name: "32 KiB of characters without end", text: strings.Repeat("€", 11<<10)},
		{name: "8 bytes without end", text: "xxxxxxxx"},
	}
	for _, input := range inputs {
		b.Run(input.name, func(b *testing.B) {
			w := New(0).Writer(Stdout)
			p := []byte(input.text)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = w.Write(p)
			}
		})
	}
}

func BenchmarkLines(b *testing.B) {
	l := New(0)
	_, _ = l.Writer(Stdout).Write([]byte(strings.Repeat(strings.Repeat("x", 99)+"\n", 1000)))
	b.ReportAllocs()
	for b.Loop() {
		_ = l.Lines(100)
	}
}
