package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/runtocompletion/batch"
)

// restarts shows the same failing job under both restart policies.
func (g *guide) restarts(ctx context.Context) error {
	never := &column{name: "never", policy: batch.RestartNever,
		text: "a new attempt takes its place", again: "retry", work: g.lasts(300 * time.Millisecond)}
	onFailure := &column{name: "on-failure", policy: batch.RestartOnFailure,
		text: "the attempt is restarted in place", again: "restart", work: g.lasts(300 * time.Millisecond)}
	columns := []*column{never, onFailure}

	delay := g.lasts(400 * time.Millisecond) // for Kubernetes' 10s
	for _, c := range columns {
		if err := g.controller.Create(ctx, c.job(delay)); err != nil {
			return err
		}
	}
	draw := func() (string, error) {
		never, err := never.draw(g.controller)
		if err != nil {
			return "", err
		}
		onFailure, err := onFailure.draw(g.controller)
		return heading("3. A job that always fails, back-off limit 2") + sideBySide(never, onFailure), err
	}
	for _, c := range columns {
		if err := g.follow(ctx, c.name, draw); err != nil {
			return err
		}
	}
	picture, err := draw()
	g.screen.final(picture)
	return err
}

// A column is the job under one restart policy. It is its own executor, to
// note each execution: an attempt's status knows only the first and the number
// of the others.
type column struct {
	name   string // of the job
	policy string
	text   string // what the policy means
	again  string // what all executions but the first are called
	work   time.Duration

	mu         sync.Mutex // guards the fields below
	executions []execution
}

// An execution is one call of the executor.
type execution struct {
	uid        string // of the attempt
	start, end time.Time
	stopped    bool // it was, before it could fail
}

// backoffLimit is that of both jobs.
const backoffLimit = 2

// job is the column's job: apart from the policy, it is the same for both.
func (c *column) job(delay time.Duration) batch.Job {
	return batch.Job{
		Name:           c.name,
		RestartPolicy:  c.policy,
		BackoffLimit:   new(backoffLimit),
		Backoff:        batch.ExponentialBackoff(delay, time.Minute, 0),
		RestartBackoff: batch.BackoffFunc(func() backoff.BackOff { return &restartDelays{initial: delay} }),
		Executor:       c,
	}
}

// restartDelays are those of the kubelet, shortened: the first restart at
// once, the second after the initial delay, and then twice as long each time.
type restartDelays struct{ initial, next time.Duration }

func (d *restartDelays) NextBackOff() time.Duration {
	delay := d.next
	d.next = max(2*delay, d.initial)
	return delay
}

func (d *restartDelays) Reset() { d.next = 0 }

// Execute works for a while, and fails.
func (c *column) Execute(ctx context.Context, a batch.Attempt) error {
	i := c.begin(a.UID())
	err := sleep(ctx, c.work)
	c.end(i, err != nil)
	return errors.Join(err, errors.New("no such backup"))
}

// begin notes an execution, and returns its place.
func (c *column) begin(uid string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.executions = append(c.executions, execution{uid: uid, start: time.Now()})
	return len(c.executions) - 1
}

func (c *column) end(i int, stopped bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.executions[i].end, c.executions[i].stopped = time.Now(), stopped
}

// columnWidth is that of a box with its sides. It is odd, so that there is a
// column in the middle.
const columnWidth = 35

// draw returns the lines of the column.
func (c *column) draw(controller *batch.Controller) ([]string, error) {
	status, err := controller.Get(c.name)
	if err != nil {
		return nil, err
	}
	attempts, err := controller.Attempts(context.Background(), c.name)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	executions := slices.Clone(c.executions)
	c.mu.Unlock()

	lines := []string{"restart policy " + string(c.policy), c.text, ""}
	lines = append(lines, c.drawExecutions(executions, status.CreatedAt)...)
	return append(lines, verdict(status, attempts)...), nil
}

// drawExecutions draws the executions from top to bottom, those of one attempt
// in one box.
func (c *column) drawExecutions(executions []execution, start time.Time) []string {
	var lines []string
	for i, e := range executions {
		if i == 0 {
			lines = append(lines, rule("┌", "─", "┐"))
		} else {
			lines = append(lines, between(executions[i-1], e)...)
		}
		lines = append(lines,
			inBox(pad(c.title(i), 11)+pad(seconds(e.start.Sub(start)), 7)+e.outcome()),
			inBox("uid "+e.uid[:min(8, len(e.uid))]))
	}
	if len(lines) > 0 {
		lines = append(lines, rule("└", "─", "┘"))
	}
	return lines
}

// title is what execution i is called.
func (c *column) title(i int) string {
	if i == 0 {
		return "attempt 1"
	}
	return fmt.Sprintf("%s %d", c.again, i)
}

// outcome is how an execution ended.
func (e execution) outcome() string {
	switch {
	case e.end.IsZero():
		return "… running"
	case e.stopped:
		return "■ stopped"
	}
	return "✗ exit code 1"
}

// between draws what is between two executions: within the box if they belong
// to one attempt, and otherwise between two boxes. Both take three rows.
func between(a, b execution) []string {
	wait := "after " + seconds(b.start.Sub(a.end))
	if b.start.Sub(a.end) < 5*time.Millisecond {
		wait = "at once"
	}
	if a.uid == b.uid {
		return []string{rule("├", "╌", "┤"), inBox(wait), rule("├", "╌", "┤")}
	}
	middle := strings.Repeat(" ", columnWidth/2)
	return []string{joint("└", "┬", "┘"), middle + "│ " + wait, joint("┌", "┴", "┐")}
}

// rule is a line across a box.
func rule(left, line, right string) string {
	return left + strings.Repeat(line, columnWidth-2) + right
}

// joint is a rule with a knot in the middle.
func joint(left, knot, right string) string {
	half := strings.Repeat("─", columnWidth/2-1)
	return left + half + knot + half + right
}

// inBox puts a text between the sides of a box.
func inBox(text string) string { return "│ " + pad(text, columnWidth-4) + " │" }

// verdict says what became of the job, and by which count.
func verdict(s batch.Status, attempts []batch.AttemptStatus) []string {
	c, ok := s.Condition(batch.ConditionFailed)
	if !ok {
		return nil
	}
	restarts := 0
	for _, a := range attempts {
		restarts += a.Restarts
	}
	count := fmt.Sprintf("%d failed, more than the limit of %d", s.Failed, backoffLimit)
	if restarts > 0 {
		count = fmt.Sprintf("%d restarts reach the limit of %d", restarts, backoffLimit)
	}
	return []string{
		strings.Repeat(" ", columnWidth/2) + "▼",
		center(c.Type+": "+c.Reason, columnWidth),
		center(count, columnWidth),
	}
}

// sideBySide joins the lines of two columns.
func sideBySide(left, right []string) string {
	var b strings.Builder
	for i := range max(len(left), len(right)) {
		line := "  " + pad(lineAt(left, i), columnWidth) + "    " + lineAt(right, i)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// lineAt is line i, or nothing if there are fewer.
func lineAt(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}
