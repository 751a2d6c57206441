package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/runtocompletion/batch"
)

// A display tells how the job goes. On a terminal it redraws a block of lines
// in place; elsewhere it writes a line for each attempt that has ended.
type display struct {
	out    io.Writer
	live   bool // draw a block: out is a terminal
	c      *batch.Controller
	shards []shard
	begin  time.Time

	mu     sync.Mutex      // guards the fields below, and out
	told   map[string]bool // UIDs of the attempts whose end was told
	height int             // lines of the block that stands on the screen
}

func newDisplay(out io.Writer, c *batch.Controller, shards []shard) *display {
	return &display{
		out: out, live: isTerminal(out), c: c, shards: shards,
		begin: time.Now(), told: make(map[string]bool),
	}
}

// isTerminal reports whether w understands a terminal's control codes. Files,
// pipes and buffers do not.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// start follows the job until ctx ends or stop is called. When stop returns,
// the end of every attempt has been told and the block is gone.
func (d *display) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	if d.live {
		wg.Go(func() { d.redraw(ctx) })
	} else {
		wg.Go(func() { d.watch(ctx) })
	}
	return func() {
		cancel()
		wg.Wait()
		d.update(false)
	}
}

// redraw updates a terminal ten times a second: attempts report progress far
// more often than eyes can follow.
func (d *display) redraw(ctx context.Context) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.update(true)
		}
	}
}

// watch updates whenever something has happened to the job.
func (d *display) watch(ctx context.Context) {
	for _, err := range d.c.Watch(ctx, 0) {
		if err != nil {
			return // ctx has ended, or the controller
		}
		d.update(false)
	}
}

// say writes a line above the block.
func (d *display) say(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clearLocked()
	fmt.Fprintln(d.out, line)
}

// update tells what is new, and draws the block again or lets it go.
func (d *display) update(block bool) {
	status, err := d.c.Get(jobName)
	if err != nil {
		return
	}
	attempts, err := d.c.Attempts(context.Background(), jobName)
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clearLocked()
	for _, a := range attempts {
		if line := d.news(a); line != "" && !d.told[a.UID] {
			d.told[a.UID] = true
			fmt.Fprintln(d.out, line)
		}
	}
	if block {
		d.drawLocked(d.block(status, attempts))
	}
}

// clearLocked removes the block from the screen.
func (d *display) clearLocked() {
	if d.height > 0 {
		// To the start of the line, where ^C may have been echoed; up; and
		// clear what is below.
		fmt.Fprintf(d.out, "\r\x1b[%dA\x1b[J", d.height)
		d.height = 0
	}
}

// drawLocked writes the block in one go, or else it would flicker.
func (d *display) drawLocked(lines []string) {
	io.WriteString(d.out, strings.Join(lines, "\n")+"\n")
	d.height = len(lines)
}

// news is the line about an attempt that has ended, if it is worth one: a
// shard that an earlier run has saved is not, nor on a terminal is a success.
func (d *display) news(a batch.AttemptStatus) string {
	name := d.shards[a.Index].name()
	switch {
	case a.Phase == batch.AttemptFailed && a.DeletedBy != "":
		return fmt.Sprintf("%s: attempt %d stopped: %s", name, a.Number+1, a.Message)
	case a.Phase == batch.AttemptFailed:
		return fmt.Sprintf("%s: attempt %d failed: %s", name, a.Number+1, a.Message)
	case a.Phase == batch.AttemptSucceeded && a.Output != "" && !d.live:
		return fmt.Sprintf("%s: verified, %s", name, a.Output)
	}
	return ""
}

// maxRunning is how many running shards the block shows.
const maxRunning = 8

// block is what stands on the screen: all, the running shards, and in the
// job's own words what it does or waits for.
func (d *display) block(status batch.Status, attempts []batch.AttemptStatus) []string {
	var running []string
	for _, a := range attempts {
		if a.Phase == batch.AttemptRunning {
			running = append(running, fmt.Sprintf("  %s  %-9s  %s", d.shards[a.Index].name(),
				a.Progress.Phase, bar(a.Progress.Done, a.Progress.Total, 20)))
		}
	}
	if hidden := len(running) - maxRunning; hidden > 0 {
		running = append(running[:maxRunning], fmt.Sprintf("  and %d more", hidden))
	}
	lines := append([]string{d.total(status, attempts)}, running...)
	lines = append(lines, status.Explain())
	for i, line := range lines {
		lines[i] = cut(line, 79)
	}
	return lines
}

// total is the line about the whole job. Every byte counts twice, as it is
// written and then verified.
func (d *display) total(status batch.Status, attempts []batch.AttemptStatus) string {
	var all, done, thisRun int64
	for _, s := range d.shards {
		all += 2 * s.size
	}
	for _, a := range attempts {
		switch {
		case a.Phase == batch.AttemptRunning:
			done += a.Progress.Done
			thisRun += a.Progress.Done
		case a.Phase == batch.AttemptSucceeded:
			done += 2 * d.shards[a.Index].size
			thisRun += a.Progress.Done // none if an earlier run did it
		}
	}
	return fmt.Sprintf("%s  %d/%d shards  %s of %s  %s/s", bar(done, all, 20),
		status.Progress.Done, status.Progress.Total, humanBytes(done/2), humanBytes(all/2),
		humanBytes(perSecond(thisRun/2, time.Since(d.begin))))
}

// bar draws a share as "[=====>    ]  55%".
func bar(done, total int64, width int) string {
	share := 0.0
	if total > 0 {
		share = min(float64(done)/float64(total), 1)
	}
	full := int(share * float64(width))
	line := strings.Repeat("=", full)
	if full < width {
		line += ">" + strings.Repeat(" ", width-full-1)
	}
	return fmt.Sprintf("[%s] %3.0f%%", line, 100*share)
}

// cut shortens a line: one that is wrapped could not be cleared.
func cut(line string, width int) string {
	runes := []rune(line)
	if len(runes) <= width {
		return line
	}
	return string(runes[:width-3]) + "..."
}
