package batchtest

import (
	"fmt"
	"strings"
)

const (
	diffContext = 3       // equal lines shown around a difference
	diffLimit   = 1 << 22 // cells of the comparison's matrix
)

// diff compares lines: "-" is before those only in want, "+" before those only
// in got. Long stretches of equal lines are left out.
func diff(want, got []string) string {
	return strings.Join(shorten(edit(want, got)), "\n")
}

// edit returns the lines of both, each after its mark: "  ", "- " or "+ ".
func edit(want, got []string) []string {
	head := 0
	for head < min(len(want), len(got)) && want[head] == got[head] {
		head++
	}
	tail := 0
	for tail < min(len(want), len(got))-head && want[len(want)-1-tail] == got[len(got)-1-tail] {
		tail++
	}
	lines := mark("  ", want[:head])
	lines = append(lines, editMiddle(want[head:len(want)-tail], got[head:len(got)-tail])...)
	return append(lines, mark("  ", want[len(want)-tail:])...)
}

// editMiddle is edit along the longest common subsequence.
func editMiddle(want, got []string) []string {
	if len(want)*len(got) > diffLimit {
		return append(mark("- ", want), mark("+ ", got)...)
	}
	common := commonLengths(want, got)
	var lines []string
	i, j := 0, 0
	for i < len(want) && j < len(got) {
		switch {
		case want[i] == got[j]:
			lines = append(lines, "  "+want[i])
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			lines = append(lines, "- "+want[i])
			i++
		default:
			lines = append(lines, "+ "+got[j])
			j++
		}
	}
	lines = append(lines, mark("- ", want[i:])...)
	return append(lines, mark("+ ", got[j:])...)
}

// commonLengths returns, for each i and j, the length of the longest common
// subsequence of want[i:] and got[j:].
func commonLengths(want, got []string) [][]int {
	common := make([][]int, len(want)+1)
	for i := range common {
		common[i] = make([]int, len(got)+1)
	}
	for i := len(want) - 1; i >= 0; i-- {
		for j := len(got) - 1; j >= 0; j-- {
			if want[i] == got[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	return common
}

// shorten leaves out equal lines that are far from any difference, but not the
// first line, which names the columns.
func shorten(lines []string) []string {
	near := make([]bool, len(lines))
	for i, line := range lines {
		if i == 0 || !strings.HasPrefix(line, "  ") {
			for j := max(i-diffContext, 0); j <= min(i+diffContext, len(lines)-1); j++ {
				near[j] = true
			}
		}
	}
	var kept []string
	for i := 0; i < len(lines); {
		if near[i] {
			kept = append(kept, lines[i])
			i++
			continue
		}
		first := i
		for i < len(lines) && !near[i] {
			i++
		}
		kept = append(kept, fmt.Sprintf("  ... %d more in common", i-first))
	}
	return kept
}

func mark(m string, lines []string) []string {
	marked := make([]string, len(lines))
	for i, line := range lines {
		marked[i] = m + line
	}
	return marked
}
