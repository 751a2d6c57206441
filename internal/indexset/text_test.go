package indexset

import (
	"encoding"
	"strings"
	"testing"
)

var _ encoding.TextAppender = Set{}

func TestString(t *testing.T) { // R155
	cases := map[string]struct {
		indexes []int
		want    string
	}{
		"empty set":                       {nil, ""},
		"one index":                       {[]int{0}, "0"},
		"run of two":                      {[]int{4, 3}, "3,4"},
		"run of three":                    {[]int{3, 4, 5}, "3-5"},
		"runs of one, three and two":      {[]int{0, 2, 3, 4, 9, 10}, "0,2-4,9,10"},
		"any order":                       {[]int{10, 3, 0, 9, 4, 2}, "0,2-4,9,10"},
		"run across words":                {[]int{62, 63, 64, 65}, "62-65"},
		"run from the tree to the window": {[]int{255, 256, 257}, "255-257"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { wantText(t, setOf(c.indexes...), c.want) })
	}
}

func TestAppendText(t *testing.T) {
	got, err := setOf(1, 3).AppendText([]byte("indexes: "))
	if want := "indexes: 1,3"; err != nil || string(got) != want {
		t.Errorf("AppendText = %q, %v, want %q", got, err, want)
	}
}

func TestSummary(t *testing.T) { // R331
	cases := map[string]struct {
		text  string
		limit int
		want  string
	}{
		"empty":                     {"", 50, ""},
		"shorter than the limit":    {"1,3,5", 50, "1,3,5"},
		"comma before the limit":    {"1,3,5", 4, "1,3,5"},
		"comma at the limit":        {"1,3,5", 3, "1,3,..."},
		"comma after the limit":     {"1,3,555-777,999", 5, "1,3,555-777,..."},
		"comma within a run of two": {"11,12,20", 1, "11,..."},
		"zero limit":                {"1,3,5", 0, "1,..."},
		"negative limit":            {"1,3,5", -1, "1,..."},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := mustParse(t, c.text).Summary(c.limit); got != c.want {
				t.Errorf("Summary(%d) of %q = %q, want %q", c.limit, c.text, got, c.want)
			}
		})
	}
}

func TestParse(t *testing.T) { // R102
	cases := map[string]struct {
		text        string
		completions int
		want        string // as String has it
	}{
		"empty text":                {"", 5, ""},
		"empty text, no indexes":    {"", 0, ""},
		"one index":                 {"0", 1, "0"},
		"single and interval":       {"1,3-5", 6, "1,3-5"},
		"interval of two":           {"3-4", 5, "3,4"},
		"adjacent intervals":        {"0-1,2,3-4", 5, "0-4"},
		"leading zeros are decimal": {"007,08", 9, "7,8"},
		"no upper bound":            {"0-9223372036854775806", -1, "0-9223372036854775806"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := Parse(c.text, c.completions)
			if err != nil {
				t.Fatalf("Parse(%q, %d): %v", c.text, c.completions, err)
			}
			check(t, s)
			wantText(t, s, c.want)
		})
	}
}

func TestParseErrors(t *testing.T) { // R103
	const (
		noInteger = `cannot convert string to integer for index: `
		tooLarge  = `too large index: `
		order     = `non-increasing order, previous: `
		parts     = ` violates the requirement that an index interval can have at most two parts separated by '-'`
	)
	cases := map[string]struct {
		text string
		want string
	}{
		"interval ends where it begins":        {"0,1-1", order + `1, current: 1`},
		"interval ends before it begins":       {"5-3", order + `5, current: 3`},
		"decreasing":                           {"3,2", order + `3, current: 2`},
		"repeated":                             {"3,3", order + `3, current: 3`},
		"overlapping intervals":                {"1-4,4-5", order + `4, current: 4`},
		"missing start":                        {"-1,0", noInteger + `""`},
		"missing end":                          {"0,1-", noInteger + `""`},
		"missing fragment":                     {"0,,1", noInteger + `""`},
		"trailing comma":                       {"0,", noInteger + `""`},
		"only a comma":                         {",", noInteger + `""`},
		"too many parts":                       {"1--3", `the fragment "1--3"` + parts},
		"too many parts, even if not a number": {"a-b-c", `the fragment "a-b-c"` + parts},
		"space":                                {"0, 5", noInteger + `" 5"`},
		"plus sign":                            {"+5", noInteger + `"+5"`},
		"letters":                              {"1,x", noInteger + `"x"`},
		"hexadecimal":                          {"0x1", noInteger + `"0x1"`},
		"underscore":                           {"1_0", noInteger + `"1_0"`},
		"beyond int":                           {"9223372036854775808", noInteger + `"9223372036854775808"`},
		"index is completions":                 {"0,10", tooLarge + `"10"`},
		"interval ends at completions":         {"8-10", tooLarge + `"10"`},
		"interval begins above completions":    {"12-14", tooLarge + `"12"`},
		"text quoted as it was":                {"0012", tooLarge + `"0012"`},
		"bad interval before bad order":        {"5,3-x", noInteger + `"x"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := Parse(c.text, 10)
			if err == nil || err.Error() != c.want {
				t.Errorf("Parse(%q, 10): %v, want %s", c.text, err, c.want)
			}
			if s.Len() != 0 {
				t.Errorf("Parse(%q, 10) returns %v along with the error", c.text, s)
			}
		})
	}
	if _, err := Parse("9223372036854775807", -1); err == nil || err.Error() != tooLarge+`"9223372036854775807"` {
		t.Errorf("Parse of MaxIndex+1: %v, want it too large", err)
	}
}

func TestParseLenient(t *testing.T) { // R156
	cases := map[string]struct {
		text        string
		completions int
		want        string
	}{
		"empty":                        {"", 10, ""},
		"sound":                        {"0,2-4,9", 10, "0,2-4,9"},
		"no number":                    {"0,x,5", 10, "0,5"},
		"missing fragment":             {"0,,5", 10, "0,5"},
		"missing start":                {"-1,5", 10, "5"},
		"missing end":                  {"1-,5", 10, "5"},
		"too many parts":               {"1-2-3,5", 10, "5"},
		"backward interval":            {"4-2,5", 10, "5"},
		"spaces":                       {"0, 5,7", 10, "0,7"},
		"interval reaches completions": {"1,8-12", 10, "1,8,9"},
		"all at or above completions":  {"10,12-14", 10, ""},
		"unordered and overlapping":    {"7,1-3,2-4", 10, "1-4,7"},
		"no completions":               {"0-3", 0, ""},
		"no upper bound":               {"3,5-9223372036854775807", -1, "3,5-9223372036854775806"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := ParseLenient(c.text, c.completions)
			check(t, s)
			wantText(t, s, c.want)
		})
	}
}

// FuzzParse checks that parsing never panics, that strict parsing of what a set
// writes gives the set, and that lenient parsing of sound text is the same.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "0,2-4,9,10", "0,1-1", "-1,0", "0,,1", "1--3", "0, 5", "3-9223372036854775806"} {
		f.Add(text, -1)
		f.Add(text, 10)
	}
	f.Fuzz(func(t *testing.T, text string, completions int) {
		lenient := ParseLenient(text, completions)
		check(t, lenient)
		if i, ok := lenient.Max(); ok && completions >= 0 && i >= completions {
			t.Fatalf("ParseLenient(%q, %d) has index %d", text, completions, i)
		}
		if again := mustParse(t, lenient.String()); !again.Equal(lenient) {
			t.Fatalf("Parse(%q) = %v", lenient, again)
		}
		strict, err := Parse(text, completions)
		if err == nil && !strict.Equal(lenient) {
			t.Fatalf("Parse(%q, %d) = %v, but ParseLenient = %v", text, completions, strict, lenient)
		}
		summary := lenient.Summary(5)
		if head, cut := strings.CutSuffix(summary, "..."); !strings.HasPrefix(lenient.String(),
			head) || cut != (head != lenient.String()) {
			t.Fatalf("Summary(5) of %q = %q", lenient, summary)
		}
	})
}

func mustParse(t *testing.T, text string) Set {
	t.Helper()
	s, err := Parse(text, -1)
	if err != nil {
		t.Fatalf("Parse(%q, -1): %v", text, err)
	}
	return s
}
