package validation

import (
	"fmt"
	"strconv"
	"strings"
)

// CheckIndexes says why a text is none that countIndexes can count.
func CheckIndexes(text string, completions int32) error {
	_, err := countIndexes(text, completions)
	return err
}

// countIndexes says how many indexes a text such as "0,2-4" has: intervals in
// increasing order, all below completions. Of a malformed text it counts nothing.
func countIndexes(text string, completions int32) (int32, error) {
	if text == "" {
		return 0, nil
	}
	var count int32
	last := int32(-1) // nothing yet
	for interval := range strings.SplitSeq(text, ",") {
		first, end, err := parseInterval(interval, completions)
		if err != nil {
			return 0, err
		}
		if first <= last {
			return 0, notIncreasing(last, first)
		}
		count += end - first + 1
		last = end
	}
	return count, nil
}

func parseInterval(text string, completions int32) (first, end int32, err error) {
	parts := strings.Split(text, "-")
	if len(parts) > 2 {
		return 0, 0, fmt.Errorf("the fragment %q violates the requirement that an index interval can have "+
			"at most two parts separated by '-'", text)
	}
	if first, err = parseIndex(parts[0], completions); err != nil || len(parts) == 1 {
		return first, first, err
	}
	if end, err = parseIndex(parts[1], completions); err == nil && end <= first {
		err = notIncreasing(first, end)
	}
	return first, end, err
}

func parseIndex(text string, completions int32) (int32, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("cannot convert string to integer for index: %q", text)
	}
	if n >= int(completions) {
		return 0, fmt.Errorf("too large index: %q", text)
	}
	return int32(n), nil
}

func notIncreasing(previous, current int32) error {
	return fmt.Errorf("non-increasing order, previous: %d, current: %d", previous, current)
}
