// Backup saves a directory tree as compressed archives and proves that they
// can be read back. It is one Indexed job: each completion is a shard, a part
// of the tree, and its work is to write one archive, read it back, and compare
// the SHA-256 of every file with what was read from the source.
//
//	go run ./examples/backup                  # the source of the Go installation
//	go run ./examples/backup                  # again: "resumed: 16 of 16 shards already verified"
//	go run ./examples/backup -dst /mnt/b -src ~/photos -shards 64 -parallel 4
//	go run ./examples/backup -dst /tmp/b -flaky 2  # every third shard fails twice before it works
//
// What it shows of package batch:
//
//   - [batch.Map] checks in parallel which shards of an earlier run still hold;
//   - a [batch.Controller] runs the job, with [batch.Job.BackoffLimitPerIndex]:
//     one bad shard is given up, the others go on;
//   - [batch.Permanent] gives a shard up at once, for a file that cannot be
//     read; any other failure, such as a file that changes while it is read, is
//     tried again after a short back-off;
//   - [batch.Controller.Watch] drives the plain output, and the progress that
//     attempts report drives the display on a terminal;
//   - Ctrl-C calls [batch.Controller.Shutdown]: shards that are being written
//     may finish (a second Ctrl-C, or -grace, ends that), and the next run
//     resumes with the rest.
//
// The destination holds for each shard an archive and a manifest, such as
// shard-03-of-16.tar.gz and shard-03-of-16.json, and SHA256SUMS, which is there
// only while the backup is complete. To restore the tree and check it:
//
//	for a in $DST/shard-*.tar.gz; do tar -xzpf $a -C $TARGET; done
//	cd $TARGET && sha256sum --check --quiet $DST/SHA256SUMS
//
// The exit code is 0 if every shard is verified, 1 if not, and 2 for a bad flag.
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
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program; it returns the exit code. When ctx ends the backup is
// stopped so that it can be resumed.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // parseFlags has told why
	}
	err = backUp(ctx, cfg, os.DirFS(cfg.src), stdout)
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
		err = errInterrupted // before the job was created
	}
	if err != nil {
		fmt.Fprintln(stderr, "backup:", err)
		return 1
	}
	return 0
}

// A config is what the flags say.
type config struct {
	src, dst   string        // absolute paths
	shardCount int           // how many archives
	parallel   int           // how many of them at once
	retries    int           // how often one of them may fail
	backoff    time.Duration // the delay before the first retry
	flaky      int           // how often every third shard fails for show
	grace      time.Duration // how long shards may go on after Ctrl-C
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("backup", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.src, "src", "", "the `folder` to back up (default the source of the Go installation)")
	flags.StringVar(
		&cfg.dst, "dst", "", "the `folder` for the archives (default one for the source below "+defaultRoot()+")",
	)
	flags.IntVar(&cfg.shardCount, "shards", 16, "how many archives to make")
	flags.IntVar(&cfg.parallel, "parallel", runtime.GOMAXPROCS(0), "how many shards to work on at once")
	flags.IntVar(&cfg.retries, "retries", 3, "how many failures of one shard to bear")
	flags.DurationVar(
		&cfg.backoff, "backoff", 250*time.Millisecond, "the delay before a first retry; it doubles each time",
	)
	flags.IntVar(&cfg.flaky, "flaky", 0, "let every third shard fail so many `times`, to see retries")
	flags.DurationVar(&cfg.grace, "grace", 30*time.Second, "how long shards in the making may go on after Ctrl-C")
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	err := cfg.complete(flags.Args())
	if err != nil {
		fmt.Fprintln(stderr, "backup:", err)
	}
	return cfg, err
}

// complete checks the flags and fills in the folders that were not given.
func (cfg *config) complete(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	if cfg.shardCount < 1 || cfg.parallel < 1 {
		return errors.New("-shards and -parallel must be at least 1")
	}
	if cfg.src == "" {
		root, err := goroot()
		if err != nil {
			return fmt.Errorf("no Go installation found, use -src: %w", err)
		}
		cfg.src = filepath.Join(root, "src")
	}
	var err error
	if cfg.src, err = filepath.Abs(cfg.src); err != nil {
		return err
	}
	if cfg.dst == "" {
		cfg.dst = filepath.Join(defaultRoot(), slug(cfg.src))
	}
	cfg.dst, err = filepath.Abs(cfg.dst)
	return err
}

// goroot asks the go command, as runtime.GOROOT is empty in a program built
// with -trimpath and wrong in one that was built on another machine.
func goroot() (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if root := strings.TrimSpace(string(out)); err == nil && root != "" {
		return root, nil
	}
	if root := os.Getenv("GOROOT"); root != "" {
		return root, nil
	}
	return "", fmt.Errorf("go env GOROOT: %w", err)
}

// defaultRoot is where backups go without -dst: away from the working
// directory, and always the same, so that a second run can resume.
func defaultRoot() string { return filepath.Join(os.TempDir(), "batch-backup") }

// slug makes one name of a path: "/usr/local/go" gives "usr-local-go".
func slug(path string) string {
	fields := strings.FieldsFunc(path, func(r rune) bool {
		return r == '/' || r == '\\' || r == ':'
	})
	return strings.Join(fields, "-")
}
