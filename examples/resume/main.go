// Resume imports a source tree into a SQLite database, in a job that outlives
// its process. Stop it as you like; the next run goes on where it stopped, and
// says from where.
//
//	go build -o /tmp/resume .
//	/tmp/resume -slow 2ms     # the Go sources; press Ctrl-C after some seconds
//	/tmp/resume -slow 2ms     # "resuming behind cmd/compile/internal/ssa/rewriteS390X.go: ..."
//	kill -9 $(pgrep resume)   # from another terminal
//	/tmp/resume               # goes on, and ends with a summary
//	/tmp/resume               # "already complete"
//
// It is a module of its own, since SQLite is not needed to use package batch.
// What it shows:
//
//   - [boltstore.Open] and [batch.Controller.Apply]: the job is declared at each
//     start, and found again if an earlier process had it;
//   - [batch.Iteration]: files in an order that does not change, whose cursor is
//     the path; a chunk of them is one transaction, and what cannot be imported
//     is skipped, up to a limit, and listed at the end;
//   - side effects that are safe to repeat: the files behind the last checkpoint
//     are imported again after a crash, and replace themselves;
//   - [batch.Controller.Shutdown]: on Ctrl-C, or when an error is met that
//     somebody has to mend, the attempt saves how far it has come and is not
//     counted.
//
// The database (-db) and the state of the job (-state) belong together: to begin
// anew, remove both. The tree should not change until the import is complete.
//
// The exit code is 0 if the import is complete, 1 after an error, 2 for a bad
// flag, and 130 after Ctrl-C or SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
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
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	err = importTree(ctx, cfg, os.DirFS(cfg.src), stdout, logger)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx)):
		fmt.Fprintf(stderr, "resume: %v; start it again to go on\n", err)
		return 130
	}
	fmt.Fprintln(stderr, "resume:", err)
	return 1
}

// A config is what the flags say.
type config struct {
	src, db, state string // absolute paths
	skip           int    // how many files may be left out
	slow           time.Duration
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("resume", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(
		&cfg.src, "src", "", "the `folder` whose Go files to import (default the source of the Go installation)",
	)
	flags.StringVar(&cfg.db, "db", filepath.Join(os.TempDir(), "gosource.db"), "the SQLite `file` to import them into")
	flags.StringVar(&cfg.state, "state", "", "the `file` for the state of the job (default that of -db, with .state)")
	flags.IntVar(&cfg.skip, "skip", 100, "how many files to skip that cannot be read, or are not UTF-8")
	flags.DurationVar(&cfg.slow, "slow", 0, "the `time` to sleep at each file, to be killed in")
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	err := cfg.complete(flags.Args())
	if err != nil {
		fmt.Fprintln(stderr, "resume:", err)
	}
	return cfg, err
}

// complete checks the flags and fills in the paths that were not given.
func (cfg *config) complete(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	if cfg.skip < 0 || cfg.slow < 0 {
		return errors.New("-skip and -slow must not be negative")
	}
	if cfg.src == "" {
		root, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			return fmt.Errorf("no Go installation found, use -src: %w", err)
		}
		cfg.src = filepath.Join(strings.TrimSpace(string(root)), "src")
	}
	if cfg.state == "" {
		cfg.state = cfg.db + ".state"
	}
	for _, path := range []*string{&cfg.src, &cfg.db, &cfg.state} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	return nil
}
