package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestManifestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	s := shard{number: 1, of: 2, entries: []entry{
		{Path: "a", Mode: 0o644, Size: 3, ModTime: time.Unix(1_700_000_000, 123_456_789)},
		{Path: "l", Mode: os.ModeSymlink | 0o777, Link: "a", ModTime: time.Unix(1, 0)},
	}}
	m := manifest{Source: "/src", Shard: 1, Of: 2, Entries: s.entries}
	require.NoError(t, m.write(dir, s))
	writeTree(t, dir, map[string]string{
		"shard-0-of-2.json": `{`, "shard-9-of-2.json": `{"source": "/src", "shard": 9, "of": 2}`,
	})

	got, err := readManifests(dir, "/src")
	require.NoError(t, err)
	require.Len(t, got, 1, "one that makes no sense is as good as none")
	require.True(t, got[0].describes(s))

	s.entries[0].ModTime = s.entries[0].ModTime.Add(1)
	require.False(t, got[0].describes(s), "a nanosecond is a change")

	_, err = readManifests(dir, "/other")
	require.ErrorContains(t, err, "holds a backup of /src")
}

func TestWriteAtomicKeepsTheOldFileOnFailure(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, []byte("old"), 0o644))
	broken := errors.New("broken")
	err := writeAtomic(name, func(w io.Writer) error {
		io.WriteString(w, "half")
		return broken
	})
	require.ErrorIs(t, err, broken)
	require.Equal(t, map[string]string{"file": "old"}, readFolder(t, filepath.Dir(name)))
}

func TestSumsLine(t *testing.T) {
	require.Equal(t, "ab  a b\n", sumsLine(entry{SHA256: "ab", Path: "a b"}))
	require.Equal(t, `\ab  a\\b\n`+"\n", sumsLine(entry{SHA256: "ab", Path: "a\\b\n"}))
}

func TestRemoveOthers(t *testing.T) {
	dir := t.TempDir()
	keep := map[string]string{"shard-0-of-1.tar.gz": "", "shard-0-of-1.json": "", "SHA256SUMS": "", "notes": ""}
	writeTree(t, dir, keep)
	writeTree(t, dir, map[string]string{"shard-1-of-2.tar.gz": "", "shard-0-of-1.tar.gz.tmp123": ""})
	require.NoError(t, removeOthers(dir, []shard{{number: 0, of: 1}}))
	require.Equal(t, keep, readFolder(t, dir))
}

// readFolder returns the content of the files in a folder, by name.
func readFolder(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	content := make(map[string]string)
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		require.NoError(t, err)
		content[f.Name()] = string(text)
	}
	return content
}
