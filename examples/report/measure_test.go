package main

import (
	"context"
	"errors"
	"go/scanner"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

const twoFunctions = `package p

func small() {}

func (s *Stack[T]) Push(v T) {
	s.items = append(s.items, v)
}
`

func TestMeasureFolder(t *testing.T) {
	tree := tree(map[string]string{
		"p/a.go": twoFunctions, "p/deep/b.go": "package deep\n", "p/notes.txt": "\n\n",
		"p/testdata/c.go": "this is not Go", "p/_old/d.go": "nor is this", "p/.git/e.go": "nor this",
	})
	m, err := measureFolder(t.Context(), tree, "p")
	require.NoError(t, err)
	require.Equal(t, measure{files: 2, lines: 8, functions: 2, biggest: function{"p.(*Stack).Push", 3}}, m)
}

func TestMeasureTopOnly(t *testing.T) {
	m, err := measureFolder(t.Context(), tree(map[string]string{"a.go": "package a\n", "b/b.go": "package b\n"}), ".")
	require.NoError(t, err)
	require.Equal(t, measure{files: 1, lines: 1}, m)
}

func TestMeasureNamesTheSyntaxError(t *testing.T) {
	_, err := measureFolder(t.Context(), tree(map[string]string{"p/bad.go": "package p\n\nfunc {"}), "p")
	_, ok := errors.AsType[scanner.ErrorList](err)
	require.True(t, ok, err)
	require.ErrorContains(t, err, "p/bad.go:3:6")
}

func TestMeasureStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := measureFolder(ctx, tree(map[string]string{"p/a.go": ""}), "p")
	require.ErrorIs(t, err, context.Canceled)
}

func TestFolders(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"folders at the top": {
			files: map[string]string{"b/x.go": "", "a/x.go": "", "_c/x.go": "", "README": ""}, want: []string{"a", "b"},
		},
		"files at the top":         {files: map[string]string{"x.go": "", "a/x.go": ""}, want: []string{".", "a"}},
		"testdata is left out":     {files: map[string]string{"testdata/x.go": ""}},
		"there is nothing to read": {files: nil, want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := folders(tree(test.files))
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func tree(files map[string]string) fstest.MapFS {
	tree := make(fstest.MapFS)
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}
