// Command migration brings the schema of a SQLite database up to date before a
// new release is rolled out: as a Job with one completion, whose executor may
// be run again at any time. Each migration (migrations/*.sql) runs in a
// transaction together with the row of schema_version that remembers it.
//
// What a failure means is the failure policy's to say:
//
//   - the database is locked: try again, after a short back-off
//   - any other SQL error: it is a mistake in the migration; end the job at
//     once, with the database at the last good version
//
// It is a module of its own, since SQLite is not needed to use package batch.
// Run it in its folder:
//
//	go run .                           # a new database, in a temporary folder
//	go run . -db shop.db               # run it twice: the second finds nothing to do
//	go run . -db shop.db -break 4      # migration 4 has bad SQL
//	go run . -locked 2s                # another connection holds the database
//	go run . -locked 1m -retries 3     # for too long
//
// It prints the schema's version before and after, the attempts, and what
// became of the job. The rollout is announced only if the job is Complete;
// otherwise the exit code is 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"modernc.org/sqlite"

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
		fmt.Fprintln(os.Stderr, "migration:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	path    string
	breakAt int
	locked  time.Duration
	retries int
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("migration", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.path, "db", "", "database `file`; empty means a new one in a temporary folder")
	flags.IntVar(&o.breakAt, "break", 0, "make migration `N` fail; 0 means none")
	flags.DurationVar(&o.locked, "locked", 0, "hold the database's write lock for this `time`")
	flags.IntVar(&o.retries, "retries", 8, "how many failed `attempts` the job survives")
	return o, flags.Parse(args)
}

// run migrates the database, and says so. Its error is that of the job.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	migrations, err := o.migrations()
	if err != nil {
		return err
	}
	if o.path == "" {
		dir, err := os.MkdirTemp("", "migration-")
		if err != nil {
			return err
		}
		o.path = filepath.Join(dir, "shop.db")
	}
	db, err := openDatabase(o.path)
	if err != nil {
		return err
	}
	defer db.Close()
	if o.locked > 0 {
		release, err := lockFor(ctx, o.path, o.locked)
		if err != nil {
			return err
		}
		defer release()
	}

	fmt.Fprintf(stdout, "database: %s\n", o.path)
	return rollout(ctx, stdout, &migrator{db: db, migrations: migrations, out: stdout}, o.retries)
}

// migrations are those of the program, the one to break with a statement that
// no database accepts at its end.
func (o options) migrations() ([]migration, error) {
	all, err := loadMigrations(files)
	if err != nil || o.breakAt == 0 {
		return all, err
	}
	if o.breakAt < 0 || o.breakAt > len(all) {
		return nil, fmt.Errorf("-break %d: there are migrations 1 to %d", o.breakAt, len(all))
	}
	all[o.breakAt-1].sql += "\nALTER TABLE no_such_table ADD COLUMN broken TEXT;\n"
	return all, nil
}

// rollout runs the job and then, if it is Complete, lets the release go out.
func rollout(ctx context.Context, stdout io.Writer, m *migrator, retries int) error {
	if err := printVersion(ctx, stdout, "before", m); err != nil {
		return err
	}
	failure := migrate(ctx, stdout, m, retries)
	if ctx.Err() != nil {
		return failure
	}
	if err := printVersion(ctx, stdout, "after", m); err != nil {
		return err
	}
	if failure != nil {
		fmt.Fprintln(stdout, "rollout: called off")
		return failure
	}
	fmt.Fprintln(stdout, "rollout: begins")
	return nil
}

// migrationJob is what a manifest would say, and the failure policy what a
// manifest could not: it looks at the error, not at an exit code.
func migrationJob(m *migrator, retries int) batch.Job {
	return batch.Job{
		Name:           "migrate",
		Completions:    new(1),
		Parallelism:    new(1),
		BackoffLimit:   new(retries),
		Backoff:        batch.ExponentialBackoff(250*time.Millisecond, time.Second, 0),
		ActiveDeadline: new(time.Minute),
		FailurePolicy: []batch.FailureRule{
			{Action: batch.ActionCount, OnError: isBusy},
			{Action: batch.ActionFailJob, OnError: batch.ErrorAs[*sqlite.Error]()},
		},
		Executor: m,
	}
}

// migrate runs the job and prints what became of it.
func migrate(ctx context.Context, stdout io.Writer, m *migrator, retries int) (err error) {
	c, err := batch.New(ctx, batch.Options{})
	if err != nil {
		return err
	}
	// If ctx has ended, Shutdown stops the attempt that runs and waits for it.
	defer func() { err = errors.Join(err, c.Shutdown(ctx)) }()

	job := migrationJob(m, retries)
	if err := c.Create(ctx, job); err != nil {
		return err
	}
	status, failure := c.Wait(ctx, job.Name)
	attempts, err := c.Attempts(ctx, job.Name)
	if err != nil {
		return err
	}
	printAttempts(stdout, attempts)
	fmt.Fprintf(stdout, "job: %v\n", status)
	return failure
}

func printVersion(ctx context.Context, w io.Writer, when string, m *migrator) error {
	version, err := schemaVersion(ctx, m.db)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s: version %d of %d\n", when, version, len(m.migrations))
	return nil
}

// printAttempts prints a line for each attempt: when it began, counted from
// the first, how long it took, and how it ended.
func printAttempts(w io.Writer, attempts []batch.AttemptStatus) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintln(t, "\nATTEMPT\tSTARTED\tTOOK\tPHASE\tMESSAGE")
	for _, a := range attempts {
		message := a.Output
		if a.Err != nil {
			message = a.Err.Error()
		}
		fmt.Fprintf(t, "%s\t+%.2fs\t%v\t%s\t%s\n", a.Name,
			a.StartedAt.Sub(attempts[0].StartedAt).Seconds(),
			a.FinishedAt.Sub(a.StartedAt).Round(time.Millisecond), a.Phase, message)
	}
	fmt.Fprintln(t)
}
