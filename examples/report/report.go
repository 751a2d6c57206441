package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/scanner"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/runtocompletion/batch"
)

// A row of the report is about one folder. While the job runs, only the
// attempt of the folder's index writes it.
type row struct {
	folder string
	measure
	err error // why the folder could not be measured
}

// report measures the folders of tree and prints what it found and how it
// ended.
func report(ctx context.Context, cfg config, tree fs.FS, out io.Writer) error {
	names, err := folders(tree)
	if err != nil {
		return fmt.Errorf("list %s: %w", cfg.src, err)
	}
	rows := make([]row, len(names))
	status, err := batch.Run(ctx, job(cfg, len(names), func(ctx context.Context, a batch.Attempt) error {
		r := row{folder: names[a.Index]}
		r.measure, r.err = measureFolder(ctx, tree, r.folder)
		rows[a.Index] = r
		return r.err
	}))
	if status.Name == "" {
		return err // the job never was: a flag has a bad value
	}
	printTable(out, measured(rows, status))
	printEnd(out, rows, status)
	if _, failed := errors.AsType[*batch.JobError](err); failed {
		return errors.New("the report is not complete")
	}
	return err
}

// job is the work for so many folders.
func job(cfg config, folders int, execute batch.ExecutorFunc) batch.Job {
	return batch.Job{
		Name:           "report",
		CompletionMode: batch.Indexed,
		Completions:    new(folders),
		Parallelism:    new(cfg.parallel),
		// Whatever no rule below matches may be better in a moment.
		BackoffLimitPerIndex: new(cfg.retries),
		Backoff:              batch.ConstantBackoff(100 * time.Millisecond),
		FailurePolicy: []batch.FailureRule{
			{Action: batch.ActionFailIndex, OnError: batch.ErrorAs[scanner.ErrorList]()},
			{Action: batch.ActionFailIndex, OnError: batch.ErrorIs(fs.ErrPermission)},
		},
		SuccessPolicy: enough(cfg.enough, folders),
		Executor:      execute,
	}
}

// enough is the policy by which so many percent of n indexes complete a job.
// They must be enough before the last index has ended: when all have, a job
// with a failed index has failed, as in Kubernetes.
func enough(percent, n int) []batch.SuccessRule {
	if percent == 100 {
		return nil // the default: all of them
	}
	count := (n*percent + 99) / 100 // rounded up
	return []batch.SuccessRule{{SucceededCount: new(count)}}
}

// measured returns the rows whose index has succeeded, the longest first. The
// others may be half done.
func measured(rows []row, status batch.Status) []row {
	var done []row
	for i := range status.CompletedIndexes.All() {
		done = append(done, rows[i])
	}
	slices.SortStableFunc(done, func(a, b row) int { return cmp.Compare(b.lines, a.lines) })
	return done
}

func printTable(out io.Writer, rows []row) {
	const format = "%-16s %6v %8v %9v  %s\n"
	total := row{folder: "total"}
	fmt.Fprintf(out, format, "FOLDER", "FILES", "LINES", "FUNCTIONS", "BIGGEST FUNCTION")
	for _, r := range rows {
		fmt.Fprintf(out, format, r.folder, r.files, r.lines, r.functions, r.biggest)
		total.add(r.measure)
	}
	fmt.Fprintf(out, format, total.folder, total.files, total.lines, total.functions, total.biggest)
}

// String tells the name and the lines.
func (f function) String() string {
	if f.lines == 0 {
		return "-"
	}
	return fmt.Sprintf("%s, %d lines", f.name, f.lines)
}

// printEnd tells how the job has ended and what the table lacks.
func printEnd(out io.Writer, rows []row, status batch.Status) {
	fmt.Fprintf(out, "\n%v\n%s\n", status, status.Explain())
	lacking := len(rows) - status.CompletedIndexes.Len()
	if status.FailedIndexes != nil {
		for i := range status.FailedIndexes.All() {
			fmt.Fprintf(out, "failed:   index %d, %s: %v\n", i, rows[i].folder, rows[i].err)
			lacking--
		}
	}
	if lacking > 0 {
		fmt.Fprintf(out, "left out: %d folders, stopped or never started\n", lacking)
	}
}
