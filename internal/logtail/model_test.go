package logtail

import (
	"strings"
	"time"
)

// A model is a log that is too simple to be wrong, and keeps all.
type model struct {
	limit   int
	longest int
	partial [numStreams][]byte
	all     []Line // without times
}

func newModel(limit int) *model {
	m := &model{limit: limit, longest: MaxLine}
	if limit == 0 {
		m.limit = DefaultLimit
	}
	if room := m.limit - LineCost; room > 0 && room < MaxLine {
		m.longest = room
	}
	return m
}

func (m *model) write(stream Stream, text string) {
	for _, b := range []byte(text) {
		begun := m.partial[stream]
		if b == '\n' {
			m.end(stream, len(begun), false)
			continue
		}
		if len(begun) == m.longest {
			m.end(stream, cutBefore(begun, b), true)
		}
		m.partial[stream] = append(m.partial[stream], b)
	}
}

func (m *model) end(stream Stream, n int, cut bool) {
	begun := m.partial[stream]
	m.all = append(m.all, Line{Stream: stream, Text: string(begun[:n]), Cut: cut})
	m.partial[stream] = append([]byte(nil), begun[n:]...)
}

func (m *model) close() {
	for stream, begun := range m.partial {
		if len(begun) > 0 {
			m.end(Stream(stream), len(begun), false)
		}
	}
}

// kept returns how many of the newest lines fit the limit.
func (m *model) kept() int {
	room := m.limit
	for i := len(m.all) - 1; i >= 0; i-- {
		if room -= LineCost + len(m.all[i].Text); room < 0 {
			return len(m.all) - 1 - i
		}
	}
	return len(m.all)
}

// lines returns what Lines must return, without times.
func (m *model) lines(tail int) []Line {
	if tail < 0 {
		tail = len(m.all)
	}
	n := min(tail, m.kept())
	if n == 0 {
		return nil
	}
	lines := append([]Line(nil), m.all[len(m.all)-n:]...)
	lines[0].Dropped = min(tail, len(m.all)) - n
	return lines
}

func (m *model) dropped() (lines, bytes int64) {
	old := m.all[:len(m.all)-m.kept()]
	for _, line := range old {
		bytes += int64(len(line.Text))
	}
	return int64(len(old)), bytes
}

func untimed(lines []Line) []Line {
	var result []Line
	for _, line := range lines {
		line.Time = time.Time{}
		result = append(result, line)
	}
	return result
}

// joined returns the text that was cut into lines.
func joined(lines []Line) string {
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(line.Text)
		if !line.Cut {
			text.WriteByte('\n')
		}
	}
	return text.String()
}
