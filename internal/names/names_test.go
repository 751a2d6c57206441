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
		"label":                   {Label, "my-name-2", nil},
		"label of one byte":       {Label, "a", nil},
		"label as long as may be": {Label, strings.Repeat("a", 63), nil},
		"label too long":          {Label, strings.Repeat("a", 64), []string{tooLongLabel}},
		"label with a dot":        {Label, "a.b", []string{"must not contain dots"}},
		"label too long, with dots": {
			Label, strings.Repeat("a.", 32) + "a", []string{tooLongLabel, "must not contain dots"},
		},
		"label in upper case":            {Label, "Main", []string{badLabel}},
		"label that ends in a hyphen":    {Label, "main-", []string{badLabel}},
		"empty label":                    {Label, "", []string{badLabel}},
		"subdomain":                      {Subdomain, "a.b-c.3", nil},
		"subdomain too long":             {Subdomain, strings.Repeat("a", 254), []string{tooLongSubdomain}},
		"subdomain with an empty part":   {Subdomain, "a..b", []string{badSubdomain}},
		"subdomain that ends in a dot":   {Subdomain, "a.", []string{badSubdomain}},
		"empty subdomain":                {Subdomain, "", []string{badSubdomain}},
		"subdomain with a line end":      {Subdomain, "a\n", []string{badSubdomain}},
		"qualified name without prefix":  {Qualified, "Ready_or.not", nil},
		"qualified name with prefix":     {Qualified, "example.com/Ready", nil},
		"qualified name with two":        {Qualified, "a/b/c", []string{badQualified}},
		"qualified name, empty prefix":   {Qualified, "/a", []string{"prefix part must be non-empty"}},
		"qualified name, bad prefix":     {Qualified, "A/a", []string{"prefix part " + badSubdomain}},
		"qualified name, name too long":  {Qualified, strings.Repeat("a", 64), []string{"name part " + tooLongLabel}},
		"qualified name, nothing at all": {Qualified, "", []string{"name part must be non-empty", "name part " + badName}},
		"qualified name, both parts bad": {
			Qualified, "/", []string{"prefix part must be non-empty", "name part must be non-empty", "name part " + badName},
		},
		"label value":              {LabelValue, "v1.2_X", nil},
		"empty label value":        {LabelValue, "", nil},
		"label value too long":     {LabelValue, strings.Repeat("a", 64), []string{tooLongLabel}},
		"label value with a space": {LabelValue, "a b", []string{badValue}},
		"path":                     {Path, "a/B:c~%20", nil},
		"path with a space":        {Path, "a b", []string{badPath}},
		"empty path":               {Path, "", []string{badPath}},
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
		{Label, whole(labelForm), MaxLabel},
		{Subdomain, whole(subdomainForm), MaxSubdomain},
		{namePart, whole(nameForm), MaxLabel},
		{LabelValue, whole(valueForm), MaxLabel},
		{Path, whole(pathForm), 1 << 30},
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
