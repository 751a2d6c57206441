package indexset

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// String returns the indexes in increasing order as decimal numbers separated
// by commas, with runs of three or more as "first-last": "0,2-4,9,10". It
// returns "" for an empty set. For many fragments the text gets long; see
// [Set.Summary].
func (s Set) String() string {
	text, _ := s.AppendText(nil)
	return string(text)
}

// AppendText appends what [Set.String] returns to b. It implements
// [encoding.TextAppender], and its error is always nil.
func (s Set) AppendText(b []byte) ([]byte, error) {
	start := len(b)
	for first, last := range s.Intervals() {
		if len(b) > start {
			b = append(b, ',')
		}
		b = appendInterval(b, first, last)
	}
	return b, nil
}

// Summary returns [Set.String], cut after the first comma at or after the given
// byte position and followed by "..." if there is such a comma. Its cost
// depends on limit and not on the size of the set.
func (s Set) Summary(limit int) string {
	var b []byte
	for first, last := range s.Intervals() {
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = appendInterval(b, first, last)
		if from := max(limit, 0); from < len(b) {
			if comma := bytes.IndexByte(b[from:], ','); comma >= 0 {
				return string(b[:from+comma+1]) + "..."
			}
		}
	}
	return string(b)
}

func appendInterval(b []byte, first, last int) []byte {
	b = strconv.AppendInt(b, int64(first), 10)
	switch last - first {
	case 0:
		return b
	case 1:
		b = append(b, ',')
	default:
		b = append(b, '-')
	}
	return strconv.AppendInt(b, int64(last), 10)
}

// Parse returns the set that text describes. The text is what [Set.String]
// returns, except that runs may be written in any way: comma-separated
// intervals, each "N" or "A-B" with A < B, strictly increasing across the whole
// text, without spaces or signs. The empty text is the empty set.
//
// All indexes must be below completions. A negative value means that the only
// limit is [MaxIndex].
func Parse(text string, completions int) (Set, error) {
	var s Set
	if text == "" {
		return s, nil
	}
	limit := limitOf(completions)
	previous := -1
	for fragment := range strings.SplitSeq(text, ",") {
		first, last, err := parseInterval(fragment, limit)
		if err != nil {
			return Set{}, err
		}
		if previous >= first {
			return Set{}, orderError(previous, first)
		}
		s.AddRange(first, last)
		previous = last
	}
	return s, nil
}

// ParseLenient reads a text like [Parse] but makes the best of one that is
// damaged: it skips intervals that it cannot parse, cuts off indexes that are
// not below completions, and does not insist on increasing order.
func ParseLenient(text string, completions int) Set {
	var s Set
	limit := limitOf(completions)
	for fragment := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(fragment, "-")
		if !isRange {
			to = from
		}
		first, firstErr := parseIndex(from)
		last, lastErr := parseIndex(to)
		if firstErr == nil && lastErr == nil {
			s.AddRange(first, min(last, limit-1))
		}
	}
	return s
}

// limitOf returns the number that indexes must be smaller than.
func limitOf(completions int) int {
	if completions < 0 {
		return MaxIndex + 1
	}
	return completions
}

// parseInterval parses "N" or "A-B", and requires A < B.
func parseInterval(fragment string, limit int) (first, last int, err error) {
	from, to, isRange := strings.Cut(fragment, "-")
	if strings.Contains(to, "-") {
		return 0, 0, fmt.Errorf("the fragment %q violates the requirement that "+
			"an index interval can have at most two parts separated by '-'", fragment)
	}
	if first, err = parseIndexBelow(from, limit); err != nil || !isRange {
		return first, first, err
	}
	if last, err = parseIndexBelow(to, limit); err != nil {
		return 0, 0, err
	}
	if first >= last {
		return 0, 0, orderError(first, last)
	}
	return first, last, nil
}

func parseIndexBelow(text string, limit int) (int, error) {
	i, err := parseIndex(text)
	if err == nil && i >= limit {
		err = fmt.Errorf("too large index: %q", text)
	}
	return i, err
}

// parseIndex parses decimal digits. What does not fit into an int is an error.
func parseIndex(text string) (int, error) {
	i, err := strconv.ParseUint(text, 10, strconv.IntSize-1) // unlike Atoi, takes no sign
	if err != nil {
		return 0, fmt.Errorf("cannot convert string to integer for index: %q", text)
	}
	return int(i), nil
}

func orderError(previous, current int) error {
	return fmt.Errorf("non-increasing order, previous: %d, current: %d", previous, current)
}
