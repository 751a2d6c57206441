package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
)

// workOf is how long each index of the picture lanes takes.
var workOf = []time.Duration{
	800 * time.Millisecond,
	500 * time.Millisecond,
	1100 * time.Millisecond,
	900 * time.Millisecond,
	700 * time.Millisecond,
	600 * time.Millisecond,
}

// lanes shows six completions on their way through three slots.
func (g *guide) lanes(ctx context.Context) error {
	const name = "lanes"
	err := g.controller.Create(ctx, batch.Job{
		Name:           name,
		CompletionMode: batch.Indexed,
		Completions:    new(len(workOf)),
		Parallelism:    new(3),
		Backoff:        batch.ConstantBackoff(g.lasts(300 * time.Millisecond)),
		Executor:       batch.ExecutorFunc(g.workOrFail),
	})
	if err != nil {
		return err
	}
	draw := func() (string, error) {
		status, err := g.controller.Get(name)
		if err != nil {
			return "", err
		}
		attempts, err := g.controller.Attempts(ctx, name)
		return drawLanes(status, attempts, time.Now(), g.lasts(2*time.Second)), err
	}
	if err := g.follow(ctx, name, draw); err != nil {
		return err
	}
	picture, err := draw()
	g.screen.final(picture)
	return err
}

// workOrFail is the executor of the picture lanes.
func (g *guide) workOrFail(ctx context.Context, a batch.Attempt) error {
	if g.flaky && a.Index == 2 && a.Number == 0 {
		return errors.Join(sleep(ctx, g.lasts(400*time.Millisecond)), errors.New("index 2 fails once"))
	}
	return sleep(ctx, g.lasts(workOf[a.Index]))
}

// drawLanes draws a job's attempts on an axis of time, which is at least so
// long: one lane for each slot, one box for each attempt.
func drawLanes(s batch.Status, attempts []batch.AttemptStatus, now time.Time, length time.Duration) string {
	for _, a := range attempts {
		length = max(length, endOf(a, now).Sub(s.StartTime))
	}
	ax := axis{start: s.StartTime, length: length}
	var b strings.Builder
	b.WriteString(heading(fmt.Sprintf("2. Parallelism %d, completions %d", s.Parallelism, *s.Completions)))
	b.WriteString(ax.draw())
	for i, lane := range assignLanes(attempts, now) {
		b.WriteString(ax.drawLane(fmt.Sprintf("slot %d", i+1), lane, now))
	}
	b.WriteString("\n" + caption(s, attempts, now))
	return b.String()
}

// assignLanes gives each attempt, in order of creation, to the first slot that
// was free then.
func assignLanes(attempts []batch.AttemptStatus, now time.Time) [][]batch.AttemptStatus {
	var lanes [][]batch.AttemptStatus
	for _, a := range attempts {
		free := slices.IndexFunc(lanes, func(lane []batch.AttemptStatus) bool {
			return !endOf(lane[len(lane)-1], now).After(a.CreatedAt)
		})
		if free < 0 {
			free = len(lanes)
			lanes = append(lanes, nil)
		}
		lanes[free] = append(lanes[free], a)
	}
	return lanes
}

// endOf is when an attempt ended; now, if it has not.
func endOf(a batch.AttemptStatus, now time.Time) time.Time {
	if a.FinishedAt.IsZero() {
		return now
	}
	return a.FinishedAt
}

// An axis maps time to columns.
type axis struct {
	start  time.Time
	length time.Duration
}

const (
	axisWidth  = 64 // columns
	laneIndent = 10 // columns left of the axis
)

func (x axis) column(t time.Time) int {
	return int(axisWidth * t.Sub(x.start) / x.length)
}

// draw draws the axis, with about five marks at round times.
func (x axis) draw() string {
	mark := roundUp(x.length / 5)
	labels, line := []rune(strings.Repeat(" ", axisWidth+8)), []rune(strings.Repeat("─", axisWidth+1))
	for d := time.Duration(0); d <= x.length; d += mark {
		at := int(axisWidth * d / x.length)
		line[at] = '┴'
		copy(labels[at:], []rune(seconds(d)))
	}
	indent := strings.Repeat(" ", laneIndent)
	return indent + strings.TrimRight(string(labels), " ") + "\n" + indent + string(line) + "\n"
}

// roundUp is the next duration of the form 1, 2 or 5 times a power of ten.
func roundUp(d time.Duration) time.Duration {
	for unit := time.Duration(1); ; unit *= 10 {
		for _, factor := range []time.Duration{1, 2, 5} {
			if unit*factor >= d {
				return unit * factor
			}
		}
	}
}

// drawLane draws one slot, three rows high.
func (x axis) drawLane(label string, lane []batch.AttemptStatus, now time.Time) string {
	top, middle, bottom := blank(), blank(), blank()
	for _, a := range lane {
		from, to := x.column(a.CreatedAt), x.column(endOf(a, now))
		width := max(to-from-2, 0) // without the sides
		side, line := "│", "─"
		if a.FinishedAt.IsZero() {
			side, line = "╎", "╌" // the end is open
		}
		copy(top[from:], []rune("┌"+strings.Repeat(line, width)+"┐"))
		copy(middle[from:], []rune("│"+center(labelOf(a), width)+side))
		copy(bottom[from:], []rune("└"+strings.Repeat(line, width)+"┘"))
	}
	var b strings.Builder
	for row, text := range [][]rune{top, middle, bottom} {
		name := ""
		if row == 1 {
			name = "  " + label
		}
		b.WriteString(strings.TrimRight(pad(name, laneIndent)+string(text), " ") + "\n")
	}
	return b.String()
}

func blank() []rune { return []rune(strings.Repeat(" ", axisWidth+2)) }

// labelOf is the attempt's index, which retry it is, and whether it failed.
func labelOf(a batch.AttemptStatus) string {
	label := fmt.Sprint(a.Index)
	if a.Number > 0 {
		label += fmt.Sprintf(" retry %d", a.Number)
	}
	if a.Phase == batch.AttemptFailed {
		label += " ✗"
	}
	return label
}

// caption says what came of it all.
func caption(s batch.Status, attempts []batch.AttemptStatus, now time.Time) string {
	var last time.Time
	var sum time.Duration
	for _, a := range attempts {
		end := endOf(a, now)
		sum += end.Sub(a.CreatedAt)
		if end.After(last) {
			last = end
		}
	}
	text := fmt.Sprintf("  %s: %d/%d succeeded, %d failed", s.State(), s.Succeeded, *s.Completions, s.Failed)
	if !s.Finished() {
		return text + fmt.Sprintf(", %d active\n", s.Active)
	}
	return text + fmt.Sprintf("; %s instead of %s one by one\n", seconds(last.Sub(s.StartTime)), seconds(sum))
}
