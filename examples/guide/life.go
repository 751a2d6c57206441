package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
)

// ttl is how long the job stays after its end, at any speed: long enough to
// look at it.
const ttl = time.Second

// life shows one job from its creation to its removal.
func (g *guide) life(ctx context.Context) error {
	const name = "hello"
	err := g.controller.Create(ctx, batch.Job{
		Name:             name,
		Completions:      new(3),
		TTLAfterFinished: new(ttl),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			fmt.Fprintf(a.Stdout(), "hello from %s\n", a.Name())
			return sleep(ctx, g.lasts(500*time.Millisecond))
		}),
	})
	if err != nil {
		return err
	}

	var l lifeOf
	for change, err := range g.controller.Watch(ctx, 0) {
		if err != nil {
			return err
		}
		if change.Status.Name != name {
			continue // a job of another picture
		}
		if err := l.observe(ctx, g.controller, change); err != nil {
			return err
		}
		if l.removed {
			break
		}
		g.screen.frame(l.draw())
	}
	g.screen.final(l.draw())
	return nil
}

// lifeOf is what is known of a job's life so far.
type lifeOf struct {
	status   batch.Status
	attempts []batch.AttemptStatus
	logLines int
	removed  bool
}

// observe takes up a change of the job. Once it is removed, what was known of
// its attempts stays.
func (l *lifeOf) observe(ctx context.Context, c *batch.Controller, change batch.Change) error {
	l.status = change.Status
	if change.Deleted {
		l.removed = true
		return nil
	}
	attempts, err := c.Attempts(ctx, change.Status.Name)
	if err != nil {
		return ignoreRemoved(err)
	}
	lines, err := countLines(ctx, c, change.Status.Name, attempts)
	if err != nil {
		return ignoreRemoved(err)
	}
	l.attempts, l.logLines = attempts, lines
	return nil
}

// ignoreRemoved drops the error of a job that was removed while its change was
// under way: the next change will say so.
func ignoreRemoved(err error) error {
	if errors.Is(err, batch.ErrNotFound) {
		return nil
	}
	return err
}

func countLines(ctx context.Context, c *batch.Controller, job string, attempts []batch.AttemptStatus) (int, error) {
	n := 0
	for _, a := range attempts {
		for _, err := range c.Logs(ctx, job, a.Name, -1, false) {
			if err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

// A step is one box of the picture.
type step struct {
	name string
	at   time.Time // when it was reached; zero if it is still to come
	text string
}

// steps are those of every job's life, as far as this job has come.
func (l *lifeOf) steps() []step {
	steps := []step{
		{name: "create", at: l.status.CreatedAt, text: l.created()},
		{name: "run"}, {name: "track"}, {name: "complete"}, {name: "retain"},
	}
	if len(l.attempts) > 0 {
		steps[1].at = l.attempts[0].StartedAt
		steps[1].text = "attempt " + l.attempts[0].Name + " is the first"
		steps[2].at = l.attempts[0].FinishedAt
		steps[2].text = l.progress()
	}
	if c, ok := l.status.Condition(batch.ConditionComplete); ok {
		steps[3].at = c.LastTransitionTime
		steps[3].text = fmt.Sprintf("condition %s, reason %s", c.Type, c.Reason)
		steps[4].at = c.LastTransitionTime
		steps[4].text = l.retained()
	}
	return steps
}

func (l *lifeOf) created() string {
	return fmt.Sprintf(
		"job %s: completions %d, parallelism %d", l.status.Name, *l.status.Completions, l.status.Parallelism,
	)
}

func (l *lifeOf) progress() string {
	const width = 30
	p := l.status.Progress
	full := int(width * p.Done / p.Total)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full) + fmt.Sprintf(
		" %d of %d succeeded", p.Done, p.Total,
	)
}

func (l *lifeOf) retained() string {
	kept := plural(len(l.attempts), "attempt") + " and " + plural(l.logLines, "log line")
	if l.removed {
		return kept + " were kept until the job's TTL was over"
	}
	return kept + " are kept"
}

// draw draws the steps as boxes, the current one with a double line and those
// to come with a dotted one, and what is known of each below.
func (l *lifeOf) draw() string {
	steps := l.steps()
	var top, middle, bottom, times, texts strings.Builder
	for i, s := range steps {
		gap, arrow := "     ", "────▶"
		if i == 0 {
			gap, arrow = "  ", "  "
		}
		b := boxOf(steps, i, l.removed)
		width := textWidth(s.name) + 2
		top.WriteString(gap + b.corners[0] + strings.Repeat(b.line, width) + b.corners[1])
		middle.WriteString(arrow + b.side + " " + s.name + " " + b.side)
		bottom.WriteString(gap + b.corners[2] + strings.Repeat(b.line, width) + b.corners[3])
		at := ""
		if !s.at.IsZero() {
			at = seconds(s.at.Sub(l.status.CreatedAt))
		}
		times.WriteString(gap + center(at, width+2))
		texts.WriteString(strings.TrimRight("  "+pad(s.name, 10)+s.text, " ") + "\n")
	}
	return heading("1. The life of a job") +
		top.String() + "\n" + middle.String() + "\n" + bottom.String() + "\n" +
		strings.TrimRight(times.String(), " ") + "\n\n" + texts.String()
}

// A box is how the frame of a step is drawn.
type box struct {
	line, side string
	corners    [4]string // top left, top right, bottom left, bottom right
}

var (
	boxDone    = box{"─", "│", [4]string{"┌", "┐", "└", "┘"}}
	boxCurrent = box{"═", "║", [4]string{"╔", "╗", "╚", "╝"}}
	boxToCome  = box{"╌", "╎", [4]string{"┌", "┐", "└", "┘"}}
)

// boxOf is the frame of step i. The last step reached is the current one,
// until the job has been removed.
func boxOf(steps []step, i int, removed bool) box {
	isLast := i == len(steps)-1 || steps[i+1].at.IsZero()
	switch {
	case steps[i].at.IsZero():
		return boxToCome
	case isLast && !removed:
		return boxCurrent
	}
	return boxDone
}
