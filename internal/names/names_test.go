package names

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTexts(t *testing.T) {
	tests := map[string]struct {
		check func(string) []string
		text  string
		want  []string
	}{
		"label":                   {check: Label, text: "my-name-2"},
		"label of one byte":       {check: Label, text: "a"},
		"label as long as may be": {check: Label, text: strings.Repeat("a", 63)},
		"label too long":          {check: Label, text: strings.Repeat("a", 64), want: []string{tooLongLabel}},
		"label with a dot":        {check: Label, text: "a.b", want: []string{"must not contain dots"}},
		"label too long, with dots": {
			check: Label, text: strings.Repeat("a.", 32) + "a", want: []string{tooLongLabel, "must not contain dots"},
		},
		"label in upper case":         {check: Label, text: "Main", want: []string{badLabel}},
		"label that ends in a hyphen": {check: Label, text: "main-", want: []string{badLabel}},
		"empty label":                 {check: Label, want: []string{badLabel}},
		"subdomain":                   {check: Subdomain, text: "a.b-c.3"},
		"subdomain too long": {
			check: Subdomain, text: strings.Repeat("a", 254), want: []string{tooLongSubdomain},
		},
		"subdomain with an empty part":  {check: Subdomain, text: "a..b", want: []string{badSubdomain}},
		"subdomain that ends in a dot":  {check: Subdomain, text: "a.", want: []string{badSubdomain}},
		"empty subdomain":               {check: Subdomain, want: []string{badSubdomain}},
		"subdomain with a line end":     {check: Subdomain, text: "a\n", want: []string{badSubdomain}},
		"qualified name without prefix": {check: Qualified, text: "Ready_or.not"},
		"qualified name with prefix":    {check: Qualified, text: "example.com/Ready"},
		"qualified name with two":       {check: Qualified, text: "a/b/c", want: []string{badQualified}},
		"qualified name, empty prefix":  {check: Qualified, text: "/a", want: []string{"prefix part must be non-empty"}},
		"qualified name, bad prefix":    {check: Qualified, text: "A/a", want: []string{"prefix part " + badSubdomain}},
		"qualified name, name too long": {
			check: Qualified, text: strings.Repeat("a", 64), want: []string{"name part " + tooLongLabel},
		},
		"qualified name, nothing at all": {
			check: Qualified, want: []string{"name part must be non-empty", "name part " + badName},
		},
		"qualified name, both parts bad": {
			check: Qualified, text: "/",
			want: []string{"prefix part must be non-empty", "name part must be non-empty", "name part " + badName},
		},
		"label value":              {check: LabelValue, text: "v1.2_X"},
		"empty label value":        {check: LabelValue},
		"label value too long":     {check: LabelValue, text: strings.Repeat("a", 64), want: []string{tooLongLabel}},
		"label value with a space": {check: LabelValue, text: "a b", want: []string{badValue}},
		"path":                     {check: Path, text: "a/B:c~%20"},
		"path with a space":        {check: Path, text: "a b", want: []string{badPath}},
		"empty path":               {check: Path, want: []string{badPath}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, test.check(test.text), "%q", test.text)
		})
	}
}

// FuzzForms holds the checks against the regular expressions that their texts
// claim to use.
func FuzzForms(f *testing.F) {
	for _, seed := range []string{"", "a", "my-name", "example.com", "a..b", "A_b.c", "x/y", "a b", "é",
		strings.Repeat("a", 64)} {
		f.Add(seed)
	}
	forms := []struct {
		check func(string) []string
		form  *regexp.Regexp
		limit int
	}{
		{check: Label, form: whole(labelForm), limit: MaxLabel},
		{check: Subdomain, form: whole(subdomainForm), limit: MaxSubdomain},
		{check: namePart, form: whole(nameForm), limit: MaxLabel},
		{check: LabelValue, form: whole(valueForm), limit: MaxLabel},
		{check: Path, form: whole(pathForm), limit: 1 << 30},
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, form := range forms {
			want := len(s) <= form.limit && form.form.MatchString(s)
			require.Equal(t, want, form.check(s) == nil, "%q, %s", s, form.form)
		}
		parts := strings.Split(s, "/")
		good := len(parts) <= 2 && namePart(parts[len(parts)-1]) == nil
		good = good && !slices.ContainsFunc(parts[:len(parts)-1], func(p string) bool { return Subdomain(p) != nil })
		require.Equal(t, good, Qualified(s) == nil, "%q", s)
	})
}

func whole(form string) *regexp.Regexp { return regexp.MustCompile(`\A(?:` + form + `)\z`) }
