// Command guide draws the three pictures of every Kubernetes Jobs tutorial,
// from jobs that really run in this process:
//
//	life      the life of a job: create, run, track, complete, retain
//	lanes     parallelism 3 and completions 6: who ran when, in which slot
//	restarts  a job that always fails, with back-off limit 2: under restart
//	          policy Never, and beside it under OnFailure
//
// Run it with
//
//	go run ./examples/guide               # all three
//	go run ./examples/guide lanes         # one of them
//	go run ./examples/guide -flaky lanes  # index 2 fails once, and is run again
//	go run ./examples/guide -speed 0.5    # half as fast
//	go run ./examples/guide -http :8080   # in a browser, with controls
//
// On a terminal the pictures move while the jobs run; anywhere else only their
// last state is printed. Back-off delays are a twenty-fifth of Kubernetes', so
// that all of it takes some seconds. In a browser the pictures stand beside the
// declaration of the job in Go, its manifest, and what kubectl would print.
//
// It is a module of its own, since pages and Kubernetes' types are not needed to use
// package batch.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/runtocompletion/batch"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "guide:", err)
		os.Exit(1)
	}
}

// A guide shows pictures of jobs.
type guide struct {
	controller *batch.Controller
	screen     *screen
	speed      float64
	flaky      bool
	http       string // the address to serve at; empty to draw on the terminal
}

// picture is one of the things that can be drawn.
type picture struct {
	name string
	show func(*guide, context.Context) error
}

var pictures = []picture{
	{"life", (*guide).life},
	{"lanes", (*guide).lanes},
	{"restarts", (*guide).restarts},
}

// run shows the pictures that args name, or all.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	g := &guide{screen: newScreen(stdout)}
	chosen, err := g.parse(args, stderr)
	if err != nil {
		return err
	}
	if g.http != "" {
		return serve(ctx, g.http, stdout)
	}
	return g.showAll(ctx, chosen)
}

// showAll shows pictures one after the other, with one controller.
func (g *guide) showAll(ctx context.Context, chosen []picture) (err error) {
	g.controller, err = batch.New(ctx, batch.Options{})
	if err != nil {
		return err
	}
	// If ctx has ended, Shutdown stops what still runs and waits for it.
	defer func() { err = errors.Join(err, g.controller.Shutdown(ctx)) }()
	for _, p := range chosen {
		if err := p.show(g, ctx); err != nil {
			return err
		}
	}
	return nil
}

// parse reads the command line and returns the pictures to show.
func (g *guide) parse(args []string, stderr io.Writer) ([]picture, error) {
	flags := flag.NewFlagSet("guide", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Float64Var(&g.speed, "speed", 1, "how many `times` as fast, at most 10")
	flags.BoolVar(&g.flaky, "flaky", false, "in the picture lanes, let index 2 fail once")
	flags.StringVar(&g.http, "http", "", "draw in a browser, served at this `address`, such as :8080")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if !(g.speed > 0 && g.speed <= 10) { // so that it holds for NaN
		return nil, fmt.Errorf("-speed %v: must be above 0 and at most 10", g.speed)
	}
	if flags.NArg() == 0 {
		return pictures, nil
	}
	var chosen []picture
	for _, name := range flags.Args() {
		i := slices.IndexFunc(pictures, func(p picture) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no picture %q: there are life, lanes and restarts", name)
		}
		chosen = append(chosen, pictures[i])
	}
	return chosen, nil
}

// lasts is a duration at the chosen speed.
func (g *guide) lasts(d time.Duration) time.Duration {
	return time.Duration(float64(d) / g.speed)
}

// follow shows draw's picture, frame by frame, until the job has finished. It
// need not look whether it has: a frame is how long Wait may take.
func (g *guide) follow(ctx context.Context, job string, draw func() (string, error)) error {
	for {
		status, err := g.waitOneFrame(ctx, job)
		switch {
		case status.Finished():
			return nil // complete or failed: the picture shows it
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			return err
		}
		picture, err := draw()
		if err != nil {
			return err
		}
		g.screen.frame(picture)
	}
}

// waitOneFrame waits for the job, but on a terminal only until the next frame
// is due.
func (g *guide) waitOneFrame(ctx context.Context, job string) (batch.Status, error) {
	if g.screen.live {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, frameTime)
		defer cancel()
	}
	return g.controller.Wait(ctx, job)
}

// sleep is the work of the jobs here.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// seconds writes a point of time, or a wait, as all pictures do.
func seconds(d time.Duration) string {
	return fmt.Sprintf("%.2fs", d.Seconds())
}

// heading is the line above a picture.
func heading(text string) string {
	const width = 76
	text = "━━ " + text + " "
	return text + strings.Repeat("━", width-textWidth(text)) + "\n\n"
}

// plural gives "1 attempt" and "3 attempts".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
