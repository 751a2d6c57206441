package main

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strings"
)

// A measure is what the report says of one folder.
type measure struct {
	files, lines, functions int
	biggest                 function
}

// A function is a function or method, and the lines it takes.
type function struct {
	name  string // such as "net/http.(*Server).Serve"
	lines int
}

// add adds up two measures.
func (m *measure) add(other measure) {
	m.files += other.files
	m.lines += other.lines
	m.functions += other.functions
	if other.biggest.lines > m.biggest.lines {
		m.biggest = other.biggest
	}
}

// measureFolder measures the Go files of a folder and of those below it. The
// folder "." stands for the files at the top of the tree only.
func measureFolder(ctx context.Context, tree fs.FS, folder string) (measure, error) {
	var sum measure
	err := walkGo(tree, folder, func(name string) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		m, err := measureFile(tree, name)
		sum.add(m)
		return err
	})
	return sum, err
}

// measureFile measures one file. For text that is not Go the error is a
// scanner.ErrorList.
func measureFile(tree fs.FS, name string) (measure, error) {
	text, err := fs.ReadFile(tree, name)
	if err != nil {
		return measure{}, err
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, text, parser.SkipObjectResolution)
	if err != nil {
		return measure{}, err
	}
	m := measure{files: 1, lines: bytes.Count(text, []byte("\n"))}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			lines := files.Position(f.End()).Line - files.Position(f.Pos()).Line + 1
			m.add(measure{functions: 1, biggest: function{path.Dir(name) + "." + funcName(f), lines}})
		}
	}
	return m, nil
}

// funcName is a function's name with its receiver, as in "(*T).Method".
func funcName(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return f.Name.Name
	}
	receiver, pointer := f.Recv.List[0].Type, false
	for {
		switch t := receiver.(type) {
		case *ast.StarExpr:
			receiver, pointer = t.X, true
		case *ast.ParenExpr:
			receiver = t.X
		case *ast.IndexExpr: // a type with a type parameter
			receiver = t.X
		case *ast.IndexListExpr:
			receiver = t.X
		case *ast.Ident:
			if pointer {
				return "(*" + t.Name + ")." + f.Name.Name
			}
			return t.Name + "." + f.Name.Name
		default:
			return f.Name.Name
		}
	}
}

// folders lists what a report is about: the folders at the top of the tree,
// and "." if there are Go files at the top itself.
func folders(tree fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(tree, ".")
	if err != nil {
		return nil, err
	}
	var names []string
	top := false
	for _, e := range entries {
		switch {
		case e.IsDir() && !ignored(e.Name()):
			names = append(names, e.Name())
		case isGo(e):
			top = true
		}
	}
	if top {
		names = append([]string{"."}, names...)
	}
	return names, nil
}

// walkGo calls visit with the path of every Go file in or below folder.
func walkGo(tree fs.FS, folder string, visit func(name string) error) error {
	return fs.WalkDir(tree, folder, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != folder && (folder == "." || ignored(d.Name())):
			return fs.SkipDir
		case isGo(d):
			return visit(name)
		}
		return nil
	})
}

func isGo(d fs.DirEntry) bool {
	return d.Type().IsRegular() && strings.HasSuffix(d.Name(), ".go")
}

// ignored reports whether the go command would ignore a folder of that name.
func ignored(name string) bool {
	return name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}
