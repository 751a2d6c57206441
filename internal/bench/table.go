package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A table is printed with its first column to the left and others to the right.
type table struct {
	title string
	rows  [][]string // the first one is the header
}

func newTable(title string, header ...string) *table {
	return &table{title: title, rows: [][]string{header}}
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) print(w io.Writer) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	fmt.Fprintf(w, "\n%s\n", t.title)
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 || strings.HasPrefix(cell, barMark) {
				line.WriteString("  " + cell + pad)
			} else {
				line.WriteString("  " + pad + cell)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

const barMark = "▪"

// bar shows a value beside others of which the largest is limit.
func bar(value, limit float64) string {
	return strings.Repeat(barMark, max(1, int(24*value/limit+0.5)))
}

// nanos formats a time that is given in nanoseconds.
func nanos(ns float64) string {
	switch {
	case ns < 1e3:
		return fmt.Sprintf("%.0f ns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.2f µs", ns/1e3)
	case ns < 1e9:
		return fmt.Sprintf("%.2f ms", ns/1e6)
	}
	return fmt.Sprintf("%.2f s", ns/1e9)
}

// times formats a ratio.
func times(x float64) string { return fmt.Sprintf("%.2f×", x) }

// between formats the smallest and the largest of a spread.
func (s spread) between(format func(float64) string) string {
	return format(s.min) + " – " + format(s.max)
}

func bytesText(n float64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%.0f B", n)
	case n < 10<<20:
		return fmt.Sprintf("%.1f KiB", n/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", n/(1<<20))
}

// count formats a size, with a space before each group of three digits.
func count(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}
