package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScanListsEverythingInOrder(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"b/two": "22", "a": "1", "b/empty": ""})
	require.NoError(t, os.Symlink("b/two", filepath.Join(dir, "link")))

	entries, special, err := scan(t.Context(), os.DirFS(dir))
	require.NoError(t, err)
	require.Empty(t, special)
	require.Equal(t, []string{"a", "b", "b/empty", "b/two", "link"}, paths(entries))
	require.Equal(t, int64(2), entries[3].Size)
	require.Equal(t, "b/two", entries[4].Link)
}

func TestDivide(t *testing.T) {
	tree := []entry{
		{Path: "a", Size: 5000}, {Path: "b", Size: 3000}, {Path: "c", Size: 2000}, {Path: "d", Size: 1000},
		{Path: "dir", Mode: fs.ModeDir}, {Path: "e"}, {Path: "f"},
	}
	for name, test := range map[string]struct {
		entries []entry
		shards  int
		earlier []manifest
		want    [][]string
	}{
		"shards have about the same size, and folders go into the last": {
			entries: tree, shards: 2,
			want: [][]string{{"a", "d", "f"}, {"b", "c", "dir", "e"}},
		},
		"there may be more shards than files": {
			entries: tree[:2], shards: 3,
			want: [][]string{{"a"}, {"b"}, nil},
		},
		"files stay where they were, although they have grown": {
			entries: []entry{{Path: "a", Size: 1}, {Path: "b", Size: 99}, {Path: "new", Size: 5}}, shards: 2,
			earlier: []manifest{{Shard: 0, Of: 2, Entries: tree[0:2]}},
			want:    [][]string{{"a", "b"}, {"new"}},
		},
		"a file that was in two shards stays in the first": {
			entries: []entry{{Path: "a"}}, shards: 2,
			earlier: []manifest{{Shard: 0, Entries: tree[0:1]}, {Shard: 1, Entries: tree[0:1]}},
			want:    [][]string{{"a"}, nil},
		},
		"an empty tree": {shards: 1, want: [][]string{nil}},
	} {
		t.Run(name, func(t *testing.T) {
			var got [][]string
			for _, s := range divide(test.entries, test.shards, test.earlier) {
				got = append(got, paths(s.entries))
			}
			require.Equal(t, test.want, got)
		})
	}
}

func TestDivideIsBalanced(t *testing.T) {
	var entries []entry
	var total int64
	for i := range 1000 {
		size := int64(i * i % 977)
		total += size
		entries = append(entries, entry{Path: fmt.Sprint(i), Size: size})
	}
	shards := divide(entries, 16, nil)
	for _, s := range shards {
		require.InDelta(t, total/16+1000/16*512, s.weight(), 977+512, "shard %d", s.number)
	}
	slices.Reverse(entries)
	require.Equal(t, shards, divide(entries, 16, nil), "the order of the list does not matter")
}

func TestShardNames(t *testing.T) {
	require.Equal(t, "shard-3-of-7.tar.gz", shard{number: 3, of: 7}.archive())
	require.Equal(t, "shard-003-of-128.json", shard{number: 3, of: 128}.manifest())
}

func paths(entries []entry) []string {
	var names []string
	for _, e := range entries {
		names = append(names, e.Path)
	}
	return names
}

// writeTree makes files below dir, and the folders they are in.
func writeTree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
}
