package batchtest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A column is one that a table of Ts may have.
type column[T any] struct {
	name   string
	cell   func(T) string      // "" is shown as "-"
	normal func(string) string // brings a wanted cell to the form of cell; may be nil
}

// A table is what is compared and printed. The last cell of a row may have
// spaces in it; others that have are quoted.
type table struct {
	header []string // nil if there is none
	rows   [][]string
}

// parse reads a table whose first line names its columns.
func parse(text string) (table, error) {
	var t table
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case t.header == nil:
			t.header = strings.Fields(line)
		default:
			row, err := cells(line, len(t.header))
			if err != nil {
				return table{}, err
			}
			t.rows = append(t.rows, row)
		}
	}
	if t.header == nil {
		return table{}, errors.New("the table has no line that names its columns")
	}
	return t, nil
}

// cells splits a line into n cells, the last of which is all that remains.
func cells(line string, n int) ([]string, error) {
	var row []string
	rest := line
	for len(row) < n-1 && rest != "" {
		cell, after, err := cutCell(rest)
		if err != nil {
			return nil, fmt.Errorf("row %q: %w", line, err)
		}
		row, rest = append(row, cell), after
	}
	if rest != "" {
		row = append(row, oneLine(rest))
	}
	if len(row) != n {
		return nil, fmt.Errorf("row %q has %d cells, and the table has %d columns", line, len(row), n)
	}
	return row, nil
}

// cutCell returns the first cell of line, and what comes after it.
func cutCell(line string) (cell, after string, err error) {
	cell, after = line, ""
	if end := strings.IndexAny(line, " \t"); end >= 0 {
		cell, after = line[:end], line[end:]
	}
	if strings.HasPrefix(line, `"`) {
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return "", "", errors.New("a quotation has no end")
		}
		after = line[len(quoted):]
		cell, _ = strconv.Unquote(quoted)
	}
	return cell, strings.TrimSpace(after), nil
}

// pick returns the columns of the given names, in that order.
func pick[T any](columns []column[T], names []string) ([]column[T], error) {
	picked := make([]column[T], len(names))
	for i, name := range names {
		at := slices.IndexFunc(columns, func(c column[T]) bool { return c.name == name })
		if at < 0 {
			return nil, fmt.Errorf("%q is none of %s", name, strings.Join(namesOf(columns), ", "))
		}
		picked[i] = columns[at]
	}
	return picked, nil
}

func namesOf[T any](columns []column[T]) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return names
}

// render makes a table of items.
func render[T any](items []T, columns []column[T]) table {
	t := table{header: namesOf(columns)}
	for _, item := range items {
		row := make([]string, len(columns))
		for i, c := range columns {
			row[i] = c.show(item)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// normalize brings the cells of a wanted table to the form that render gives
// them.
func normalize[T any](t table, columns []column[T]) {
	for _, row := range t.rows {
		for i, c := range columns {
			row[i] = c.normalized(row[i])
		}
	}
}

func (c column[T]) show(item T) string {
	if text := oneLine(c.cell(item)); text != "" {
		return text
	}
	return "-"
}

func (c column[T]) normalized(cell string) string {
	if c.normal == nil {
		return cell
	}
	return c.normal(cell)
}

// String is the table with its columns aligned.
func (t table) String() string {
	return strings.Join(t.lines(t.widths(nil)), "\n")
}

// lines gives the header, if there is one, and the rows.
func (t table) lines(widths []int) []string {
	var lines []string
	if t.header != nil {
		lines = append(lines, alignRow(t.header, widths))
	}
	for _, row := range t.rows {
		lines = append(lines, alignRow(row, widths))
	}
	return lines
}

// widths returns the widths of the columns, at least those given.
func (t table) widths(widths []int) []int {
	for _, row := range append(t.rows[:len(t.rows):len(t.rows)], t.header) {
		for i, cell := range quoteCells(row) {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

func alignRow(row []string, widths []int) string {
	var b strings.Builder
	for i, cell := range quoteCells(row) {
		fmt.Fprintf(&b, "%-*s  ", widths[i], cell)
	}
	return strings.TrimRight(b.String(), " ")
}

// quoteCells quotes all cells but the last that need it.
func quoteCells(row []string) []string {
	quoted := slices.Clone(row)
	for i, cell := range quoted[:max(len(quoted)-1, 0)] {
		if strings.ContainsAny(cell, " \t") || strings.HasPrefix(cell, `"`) {
			quoted[i] = strconv.Quote(cell)
		}
	}
	return quoted
}

// oneLine has a single space where text has any number of spaces and newlines.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// short writes a duration without its zeros: 10m and not 10m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = text[:len(text)-len("0s")]
	}
	if strings.HasSuffix(text, "h0m") {
		text = text[:len(text)-len("0m")]
	}
	return text
}

// shortText is short for text that is a duration; other text it leaves alone.
func shortText(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return text
	}
	return short(d)
}

// number shows an int that is negative if there is none.
func number(n int) string {
	if n < 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// errorText shows an error.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// between shows the time from start to end, if both are there.
func between(start, end time.Time) string {
	if start.IsZero() || end.IsZero() {
		return ""
	}
	return short(end.Sub(start))
}
