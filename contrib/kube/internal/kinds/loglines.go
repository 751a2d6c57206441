package kinds

import (
	"fmt"
	"iter"
	"slices"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/pod"
)

// A logLine is a whole line of an attempt's log.
type logLine struct {
	batch.LogLine
	number int // of its last piece, counted from the beginning of the log
	open   bool
}

// longestLine is up to where a line is put together again that was cut.
const longestLine = 1 << 20

// wholeLines puts the pieces of lines together. What is left of a line that has
// not ended comes last. The walk ends with the client, or the log.
func wholeLines(pieces iter.Seq2[batch.LogLine, error]) iter.Seq[logLine] {
	return func(yield func(logLine) bool) {
		begun := make(map[string]*batch.LogLine) // by stream
		number := 0
		for piece, err := range pieces {
			if err != nil {
				return
			}
			number += 1 + piece.Dropped
			line := begun[piece.Stream]
			if line == nil {
				line = &piece
			} else {
				line.Text, line.Dropped = line.Text+piece.Text, line.Dropped+piece.Dropped
			}
			if piece.Cut && len(line.Text) < longestLine {
				begun[piece.Stream] = line
				continue
			}
			delete(begun, piece.Stream)
			if !yield(logLine{*line, number, piece.Cut}) {
				return
			}
		}
		for _, stream := range []string{"stdout", "stderr"} {
			if line := begun[stream]; line != nil && !yield(logLine{*line, number, true}) {
				return
			}
		}
	}
}

// A section is the lines of one run of a container.
type section struct {
	container string
	run       int
	lines     []logLine
}

// sections tells the lines of an attempt's runs apart. The names are those of its
// containers in their order, and current is the one it is at. What comes before
// the first mark that is still kept is of the run before.
func sections(lines iter.Seq[logLine], uid string, names []string, current string) []section {
	all := []section{{container: names[0]}}
	for line := range lines {
		container, run, ok := pod.ParseMark(line.Text, uid)
		if !ok {
			last := &all[len(all)-1]
			last.lines = append(last.lines, line)
			continue
		}
		if len(all) == 1 {
			all[0] = section{container, run - 1, all[0].lines}
			if i := slices.Index(names, container); run == 0 && i > 0 {
				all[0].container = names[i-1]
			}
		}
		all = append(all, section{container: container, run: run})
	}
	if len(all) == 1 {
		all[0].container = current
	}
	return all
}

// find returns where the latest run of a container is, or the one before that;
// less than zero if it is not kept.
func find(all []section, container string, previous bool) int {
	for i, s := range slices.Backward(all) {
		if s.container == container && !previous {
			return i
		}
		if s.container == container {
			previous = false
		}
	}
	return -1
}

// format writes a line. Lines that are no longer kept leave a note: what is shown
// must not pass for the whole.
func (o *logOptions) format(line logLine) string {
	stamp := ""
	if o.timestamps {
		stamp = line.Time.UTC().Format("2006-01-02T15:04:05.000000000Z07:00") + " "
	}
	text := stamp + line.Text
	if line.Dropped > 0 {
		text = fmt.Sprintf("%s[%d lines are no longer kept]\n", stamp, line.Dropped) + text
	}
	if line.open {
		return text
	}
	return text + "\n"
}
