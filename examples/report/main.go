// Report measures Go source code: for each folder of a source tree it counts
// files, lines and functions, finds the biggest function, and prints a table.
// It is one Indexed job, with an index for each folder, whose results land in
// a slice of a type of its own.
//
//	go run ./examples/report                             # the source of the Go installation
//	go run ./examples/report -src . -parallel 2
//	go run ./examples/report -src $(go env GOROOT)/test  # not all of it is valid Go
//	go run ./examples/report -enough 90                  # do not wait for the last folders
//
// What it shows of package batch:
//
//   - [batch.Run] with results by completion index, one writer for each element;
//   - [batch.Job.BackoffLimitPerIndex]: a folder that cannot be read now is
//     tried again after a short back-off;
//   - a [batch.FailurePolicy] whose rules look at the error: a folder with a
//     syntax error, or one that may not be read, is given up at once, and only
//     that folder;
//   - a [batch.SuccessPolicy]: with -enough, so many percent of the folders
//     make the report complete, and the rest is stopped;
//   - [batch.Status.Explain], and the sets of indexes that succeeded and failed.
//
// The exit code is 0 if the report is complete, 1 if not, and 2 for a bad flag.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // parseFlags has told why
	}
	if err := report(ctx, cfg, os.DirFS(cfg.src), stdout); err != nil {
		fmt.Fprintln(stderr, "report:", err)
		return 1
	}
	return 0
}

// A config is what the flags say.
type config struct {
	src      string
	parallel int // how many folders at once
	retries  int // how often a folder may fail
	enough   int // percent of the folders that make a report
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.src, "src", "", "the `folder` to report on (default the source of the Go installation)")
	flags.IntVar(&cfg.parallel, "parallel", runtime.GOMAXPROCS(0), "how many folders to read at once")
	flags.IntVar(&cfg.retries, "retries", 2, "how many failures of one folder to bear")
	flags.IntVar(&cfg.enough, "enough", 100, "how many `percent` of the folders make a report")
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	err := cfg.complete(flags.Args())
	if err != nil {
		fmt.Fprintln(stderr, "report:", err)
	}
	return cfg, err
}

// complete checks the flags and fills in the source if it was not given.
func (cfg *config) complete(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	if cfg.parallel < 1 {
		return errors.New("-parallel must be at least 1") // 0 would be a job on hold
	}
	if cfg.enough < 1 || cfg.enough > 100 {
		return fmt.Errorf("-enough %d is not between 1 and 100", cfg.enough)
	}
	if cfg.src != "" {
		return nil
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("no Go installation found, use -src: %w", err)
	}
	cfg.src = filepath.Join(strings.TrimSpace(string(root)), "src")
	return nil
}
