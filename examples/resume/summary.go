package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
)

// summarize prints what the database holds.
func (d *database) summarize(ctx context.Context, w io.Writer) error {
	var files, lines, bytes int
	err := d.QueryRowContext(
		ctx, "SELECT count(*), coalesce(sum(lines), 0), coalesce(sum(bytes), 0) FROM files",
	).Scan(&files, &lines, &bytes)
	if err != nil {
		return d.failed(err)
	}
	fmt.Fprintf(w, "%s files, %s lines, %s bytes in %s\n", grouped(files), grouped(lines), grouped(bytes), d.path)
	if err := d.printSkipped(ctx, w); err != nil {
		return d.failed(err)
	}
	return d.failed(d.printLargest(ctx, w))
}

// printSkipped prints a line for each file that was left out.
func (d *database) printSkipped(ctx context.Context, w io.Writer) error {
	rows, err := d.QueryContext(ctx, "SELECT error FROM skipped ORDER BY path")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var message string // it names the file
		if err := rows.Scan(&message); err != nil {
			return err
		}
		fmt.Fprintln(w, "skipped:", message)
	}
	return rows.Err()
}

// printLargest prints a table of the five largest packages.
func (d *database) printLargest(ctx context.Context, w io.Writer) error {
	rows, err := d.QueryContext(ctx, `SELECT package, count(*), sum(lines) FROM files
		GROUP BY package ORDER BY sum(lines) DESC, package LIMIT 5`)
	if err != nil {
		return err
	}
	defer rows.Close()
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nLARGEST PACKAGES\tFILES\tLINES")
	for rows.Next() {
		var name string
		var files, lines int
		if err := rows.Scan(&name, &files, &lines); err != nil {
			return err
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", name, grouped(files), grouped(lines))
	}
	table.Flush()
	return rows.Err()
}
