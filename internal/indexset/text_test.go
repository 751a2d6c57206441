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
		"empty set":                       {indexes: nil, want: ""},
		"one index":                       {indexes: []int{0}, want: "0"},
		"run of two":                      {indexes: []int{4, 3}, want: "3,4"},
		"run of three":                    {indexes: []int{3, 4, 5}, want: "3-5"},
		"runs of one, three and two":      {indexes: []int{0, 2, 3, 4, 9, 10}, want: "0,2-4,9,10"},
		"any order":                       {indexes: []int{10, 3, 0, 9, 4, 2}, want: "0,2-4,9,10"},
		"run across words":                {indexes: []int{62, 63, 64, 65}, want: "62-65"},
		"run from the tree to the window": {indexes: []int{255, 256, 257}, want: "255-257"},
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
		"empty":                     {limit: 50},
		"shorter than the limit":    {text: "1,3,5", limit: 50, want: "1,3,5"},
		"comma before the limit":    {text: "1,3,5", limit: 4, want: "1,3,5"},
		"comma at the limit":        {text: "1,3,5", limit: 3, want: "1,3,..."},
		"comma after the limit":     {text: "1,3,555-777,999", limit: 5, want: "1,3,555-777,..."},
		"comma within a run of two": {text: "11,12,20", limit: 1, want: "11,..."},
		"zero limit":                {text: "1,3,5", limit: 0, want: "1,..."},
		"negative limit":            {text: "1,3,5", limit: -1, want: "1,..."},
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
		"empty text":                {completions: 5},
		"empty text, no indexes":    {completions: 0},
		"one index":                 {text: "0", completions: 1, want: "0"},
		"single and interval":       {text: "1,3-5", completions: 6, want: "1,3-5"},
		"interval of two":           {text: "3-4", completions: 5, want: "3,4"},
		"adjacent intervals":        {text: "0-1,2,3-4", completions: 5, want: "0-4"},
		"leading zeros are decimal": {text: "007,08", completions: 9, want: "7,8"},
		"no upper bound":            {text: "0-9223372036854775806", completions: -1, want: "0-9223372036854775806"},
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
		"interval ends where it begins":        {text: "0,1-1", want: order + `1, current: 1`},
		"interval ends before it begins":       {text: "5-3", want: order + `5, current: 3`},
		"decreasing":                           {text: "3,2", want: order + `3, current: 2`},
		"repeated":                             {text: "3,3", want: order + `3, current: 3`},
		"overlapping intervals":                {text: "1-4,4-5", want: order + `4, current: 4`},
		"missing start":                        {text: "-1,0", want: noInteger + `""`},
		"missing end":                          {text: "0,1-", want: noInteger + `""`},
		"missing fragment":                     {text: "0,,1", want: noInteger + `""`},
		"trailing comma":                       {text: "0,", want: noInteger + `""`},
		"only a comma":                         {text: ",", want: noInteger + `""`},
		"too many parts":                       {text: "1--3", want: `the fragment "1--3"` + parts},
		"too many parts, even if not a number": {text: "a-b-c", want: `the fragment "a-b-c"` + parts},
		"space":                                {text: "0, 5", want: noInteger + `" 5"`},
		"plus sign":                            {text: "+5", want: noInteger + `"+5"`},
		"letters":                              {text: "1,x", want: noInteger + `"x"`},
		"hexadecimal":                          {text: "0x1", want: noInteger + `"0x1"`},
		"underscore":                           {text: "1_0", want: noInteger + `"1_0"`},
		"beyond int":                           {text: "9223372036854775808", want: noInteger + `"9223372036854775808"`},
		"index is completions":                 {text: "0,10", want: tooLarge + `"10"`},
		"interval ends at completions":         {text: "8-10", want: tooLarge + `"10"`},
		"interval begins above completions":    {text: "12-14", want: tooLarge + `"12"`},
		"text quoted as it was":                {text: "0012", want: tooLarge + `"0012"`},
		"bad interval before bad order":        {text: "5,3-x", want: noInteger + `"x"`},
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
		"empty":                        {completions: 10},
		"sound":                        {text: "0,2-4,9", completions: 10, want: "0,2-4,9"},
		"no number":                    {text: "0,x,5", completions: 10, want: "0,5"},
		"missing fragment":             {text: "0,,5", completions: 10, want: "0,5"},
		"missing start":                {text: "-1,5", completions: 10, want: "5"},
		"missing end":                  {text: "1-,5", completions: 10, want: "5"},
		"too many parts":               {text: "1-2-3,5", completions: 10, want: "5"},
		"backward interval":            {text: "4-2,5", completions: 10, want: "5"},
		"spaces":                       {text: "0, 5,7", completions: 10, want: "0,7"},
		"interval reaches completions": {text: "1,8-12", completions: 10, want: "1,8,9"},
		"all at or above completions":  {text: "10,12-14", completions: 10},
		"unordered and overlapping":    {text: "7,1-3,2-4", completions: 10, want: "1-4,7"},
		"no completions":               {text: "0-3", completions: 0},
		"no upper bound":               {text: "3,5-9223372036854775807", completions: -1, want: "3,5-9223372036854775806"},
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
