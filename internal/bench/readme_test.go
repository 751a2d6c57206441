package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReadme wants README.md to have the budgets that a run prints, and the command
// that measures the store to be one of benchmarks that exist.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !testing.Short() {
		var out strings.Builder
		if err := run([]string{"-quick", "-rounds", "1"}, &out); err != nil {
			t.Fatal(err)
		}
		printed, shown := budgetNames(out.String()), budgetNames(string(readme))
		if len(printed) == 0 || !slices.Equal(printed, shown) {
			t.Errorf("a run prints the budgets\n%s\nREADME.md has\n%s", strings.Join(printed, "\n"), strings.Join(shown, "\n"))
		}
	}
	benchmarks, err := os.ReadFile("../../contrib/boltstore/bench_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(benchmarks), "func BenchmarkController(") {
		t.Error("there is no BenchmarkController")
	}
}

var budgetRow, size = regexp.MustCompile(`(?m)^ *(\S.*?)  .*≤`), regexp.MustCompile(`\d+( \d{3})*`)

// budgetNames returns what is held against a budget, whatever the sizes.
func budgetNames(text string) []string {
	var list []string
	for _, row := range budgetRow.FindAllStringSubmatch(text, -1) {
		list = append(list, size.ReplaceAllString(row[1], "N"))
	}
	return list
}
