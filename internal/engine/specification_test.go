package engine

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A requirement is an item of the documents in the folder specification.
type requirement struct {
	first, last int // equal, except for a range
	text        string
	tests       []string // names of tests and recorded cases
}

var (
	itemStart = regexp.MustCompile(`^- \*\*R(\d+)(?:–R(\d+))?\*\* `)
	codeSpan  = regexp.MustCompile("`([^`]+)`")
	label     = regexp.MustCompile(`R(\d+)`)

	// playLabels are what the name of a play begins with, such as R297, R303.
	playLabels = regexp.MustCompile(`^R\d+(, R\d+)* `)
)

// readSpecification returns the requirements of all documents.
func readSpecification(t *testing.T) []requirement {
	paths, err := filepath.Glob("specification/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	var list []requirement
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		list = append(list, readRequirements(t, string(data))...)
	}
	slices.SortStableFunc(list, func(a, b requirement) int { return a.first - b.first })
	return list
}

func readRequirements(t *testing.T, document string) []requirement {
	var list []requirement
	for line := range strings.Lines(document) {
		line = strings.TrimRight(line, "\n")
		if m := itemStart.FindStringSubmatch(line); m != nil {
			r := requirement{first: toNumber(t, m[1]), text: line[len(m[0]):]}
			if r.last = r.first; m[2] != "" {
				r.last = toNumber(t, m[2])
			}
			list = append(list, r)
		} else if more, ok := strings.CutPrefix(line, "  "); ok && len(list) > 0 {
			list[len(list)-1].text += " " + more
		}
	}
	for i := range list {
		_, tests, _ := strings.Cut(list[i].text, " Tests: ")
		for _, m := range codeSpan.FindAllStringSubmatch(tests, -1) {
			list[i].tests = append(list[i].tests, m[1])
		}
	}
	return list
}

func toNumber(t *testing.T, digits string) int {
	n, err := strconv.Atoi(digits)
	require.NoError(t, err)
	return n
}

func TestSpecificationIsWhole(t *testing.T) {
	next := 1
	for _, r := range readSpecification(t) {
		require.Equal(t, next, r.first, "each number is there once")
		require.GreaterOrEqual(t, r.last, r.first, "R%d", r.first)
		next = r.last + 1
		require.NotEqual(t, len(r.tests) > 0, strings.Contains(r.text, " Not here: "),
			"R%d has either tests or a reason why it has none", r.first)
	}
	require.Equal(t, 480, next)
}

// TestSpecificationNamesTests looks up each test that the specification names.
func TestSpecificationNamesTests(t *testing.T) {
	tests, cases := findTests(t), make(map[string][]string)
	for _, r := range readSpecification(t) {
		for _, name := range r.tests {
			if file, recorded, ok := strings.Cut(name, ".json: "); ok {
				if cases[file] == nil {
					cases[file] = recordedNames(t, file)
				}
				requireCases(t, &r, file, cases[file], recorded)
				continue
			}
			function, subtest, _ := strings.Cut(name, "/")
			require.NotEmpty(t, tests[function], "R%d: there is no %s", r.first, function)
			has := func(text string) bool { return mentions(text, subtest) }
			require.True(t, slices.ContainsFunc(tests[function], has), "R%d: %s has no %q", r.first, function, subtest)
		}
	}
}

func requireCases(t *testing.T, r *requirement, file string, cases []string, recorded string) {
	for name := range strings.SplitSeq(recorded, ", ") {
		require.True(t, slices.Contains(cases, name), "R%d: %s.json has no %s", r.first, file, name)
	}
}

// TestSpecificationIsCited looks up each play of this package by its number.
func TestSpecificationIsCited(t *testing.T) {
	cited := make(map[int]string)
	for _, r := range readSpecification(t) {
		cited[r.first] = " " + strings.Join(r.tests, " ") + " "
	}
	for function, texts := range findTests(t) {
		if strings.Contains(function, ".") {
			continue // of another package
		}
		for _, text := range texts {
			for _, m := range label.FindAllStringSubmatch(playLabels.FindString(text), -1) {
				require.Contains(t, cited[toNumber(t, m[1])], "/"+m[0]+" ", "%q is not named", text)
			}
		}
	}
}

// mentions reports whether part is in text, with no letter or digit beside it.
func mentions(text, part string) bool {
	return regexp.MustCompile(`(^|\W)` + regexp.QuoteMeta(part) + `($|\W)`).MatchString(text)
}

func recordedNames(t *testing.T, file string) []string {
	data, err := os.ReadFile("../conformance/testdata/" + file + ".json")
	require.NoError(t, err)
	var cases []struct{ Name string }
	require.NoError(t, json.Unmarshal(data, &cases))
	var names []string
	for _, c := range cases {
		names = append(names, c.Name)
	}
	return names
}

// findTests returns the names of all tests of the repository with the texts in
// their files, which have the names of their subtests. Tests of other packages are
// named with their directory, those of the root with batch.
func findTests(t *testing.T) map[string][]string {
	const root = "../.."
	tests := make(map[string][]string)
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		prefix := filepath.Base(filepath.Dir(path)) + "."
		switch filepath.Dir(path) {
		case root:
			prefix = "batch."
		case "../../internal/engine":
			prefix = ""
		}
		return addTests(tests, prefix, path)
	}))
	return tests
}

func addTests(tests map[string][]string, prefix, path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	texts := []string{""} // for a test without subtests
	ast.Inspect(file, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil {
				texts = append(texts, text)
			}
		}
		return true
	})
	for _, declaration := range file.Decls {
		f, ok := declaration.(*ast.FuncDecl)
		if ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
			tests[prefix+f.Name.Name] = append(tests[prefix+f.Name.Name], texts...)
		}
	}
	return nil
}
