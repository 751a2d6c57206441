package batch_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// section returns what is below a heading of the second level.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(readme(t), "\n## "+heading+"\n")
	require.True(t, ok, "no section %q", heading)
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

var codeSpan = regexp.MustCompile("`([^`\n]+)`")

// spans returns the texts between back quotes, outside of blocks.
func spans(text string) []string {
	var list []string
	for _, match := range codeSpan.FindAllStringSubmatch(text, -1) {
		list = append(list, match[1])
	}
	return list
}

// TestReadmeNames looks up the exported names between back quotes.
func TestReadmeNames(t *testing.T) {
	known := exported(t)
	for field := range reflect.TypeFor[batch.Job]().Fields() {
		known[field.Name] = true
	}
	known["Always"] = true // the restart policy that is refused
	name := regexp.MustCompile(`^\*?(batch\.)?([A-Z]\w*(\.[A-Z]\w*)?)$`)
	for _, span := range spans(withoutBlocks(t)) {
		if match := name.FindStringSubmatch(span); match != nil {
			require.True(t, known[match[2]], "there is no %s", span)
		}
	}
}

// exported returns the exported names of package batch, with methods and fields
// as "Type.Name", and the values of its string constants.
func exported(t *testing.T) map[string]bool {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	files = slices.DeleteFunc(files, func(file string) bool { return strings.HasSuffix(file, "_test.go") })
	fset := token.NewFileSet()
	var parsed []*ast.File
	for _, file := range files {
		f, err := parser.ParseFile(fset, file, nil, parser.ParseComments)
		require.NoError(t, err)
		parsed = append(parsed, f)
	}
	pkg, err := doc.NewFromFiles(fset, parsed, "github.com/runtocompletion/batch")
	require.NoError(t, err)

	names := make(map[string]bool)
	addValues := func(values []*doc.Value) {
		for _, value := range values {
			for _, spec := range value.Decl.Specs {
				addValueSpec(names, spec.(*ast.ValueSpec))
			}
		}
	}
	addFuncs := func(prefix string, funcs []*doc.Func) {
		for _, f := range funcs {
			names[prefix+f.Name] = true
		}
	}
	addValues(pkg.Consts)
	addValues(pkg.Vars)
	addFuncs("", pkg.Funcs)
	for _, typ := range pkg.Types {
		names[typ.Name] = true
		addValues(typ.Consts)
		addValues(typ.Vars)
		addFuncs("", typ.Funcs)
		addFuncs(typ.Name+".", typ.Methods)
		if s, ok := typ.Decl.Specs[0].(*ast.TypeSpec).Type.(*ast.StructType); ok {
			for _, field := range s.Fields.List {
				for _, name := range field.Names {
					names[typ.Name+"."+name.Name] = true
				}
			}
		}
	}
	return names
}

func addValueSpec(names map[string]bool, spec *ast.ValueSpec) {
	for i, name := range spec.Names {
		names[name.Name] = true
		if i < len(spec.Values) {
			if value, ok := spec.Values[i].(*ast.BasicLit); ok && value.Kind == token.STRING {
				text, _ := strconv.Unquote(value.Value) // the parser has read it
				names[text] = true
			}
		}
	}
}

func withoutBlocks(t *testing.T) string {
	text := readme(t)
	for _, b := range blocks(t) {
		text = strings.Replace(text, b.text, "", 1)
	}
	return strings.ReplaceAll(text, "```", "")
}

// TestReadmeLinks follows the links within the repository. Others would need a
// network, and are left alone.
func TestReadmeLinks(t *testing.T) {
	anchors := make(map[string]bool)
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(withoutBlocks(t), -1) {
		anchor := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		anchors["#"+strings.ReplaceAll(anchor, " ", "-")] = true
	}
	for _, link := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(withoutBlocks(t), -1) {
		switch target := link[1]; {
		case strings.HasPrefix(target, "https://"):
		case strings.HasPrefix(target, "#"):
			require.True(t, anchors[target], "no heading for %s", target)
		default:
			require.FileExists(t, existing(target))
		}
	}
}

// existing gives a file that is there if the path is a file or a Go package.
func existing(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		files, _ := filepath.Glob(path + "/*.go")
		return strings.Join(files[:min(1, len(files))], "")
	}
	return path
}
