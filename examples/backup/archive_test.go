package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestArchiveVerifies(t *testing.T) {
	archive, entries := smallArchive(t)
	var moved int64
	count := func(n int64) { moved += n }
	require.NoError(t, verify(t.Context(), bytes.NewReader(archive), entries, count))
	require.Equal(t, int64(11), moved)
}

func TestVerifyFindsDamage(t *testing.T) {
	archive, entries := smallArchive(t)
	wrongHash := append([]entry{}, entries...)
	wrongHash[1].SHA256 = strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		archive []byte
		entries []entry
	}{
		"the end is missing":       {archive: archive[:len(archive)-10], entries: entries},
		"nothing is there":         {entries: entries},
		"an entry is missing":      {archive: archive, entries: append([]entry{{Path: "0"}}, entries...)},
		"an entry too many":        {archive: archive, entries: entries[:len(entries)-1]},
		"a file has other content": {archive: archive, entries: wrongHash},
		"the archive ends too early": {
			archive: archive, entries: append(entries[:len(entries):len(entries)], entry{Path: "z"}),
		},
		"what comes first is another": {archive: archive, entries: entries[1:]},
	} {
		t.Run(name, func(t *testing.T) {
			err := verify(t.Context(), bytes.NewReader(test.archive), test.entries, ignore)
			require.ErrorIs(t, err, errDamaged)
		})
	}
}

func TestVerifyFindsEveryFlippedBitThatMatters(t *testing.T) {
	archive, entries := smallArchive(t)
	content, err := gunzip(archive)
	require.NoError(t, err)
	for i := range archive {
		flipped := bytes.Clone(archive)
		flipped[i] ^= 1 << (i % 8)
		if got, err := gunzip(flipped); err == nil && bytes.Equal(got, content) {
			continue // a bit that fills up a byte
		}
		err := verify(t.Context(), bytes.NewReader(flipped), entries, ignore)
		require.ErrorIs(t, err, errDamaged, "byte %d", i)
	}
}

func gunzip(archive []byte) ([]byte, error) {
	zr, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(zr)
}

func TestArchiveStopsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"a": "text"})
	stop := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	_, err := newArchiver(new(bytes.Buffer), os.DirFS(dir), ignore).add(ctx, "a")
	require.ErrorIs(t, err, stop)
}

func TestFilesThatChangeWhileTheyAreRead(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"grows":   func(path string) error { return os.WriteFile(path, []byte("much longer than before"), 0o644) },
		"shrinks": func(path string) error { return os.Truncate(path, 2) },
		"is written over": func(path string) error {
			return errors.Join(os.WriteFile(path, []byte("TEXT"), 0o644), os.Chtimes(path, time.Time{}, time.Unix(1, 0)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeTree(t, dir, map[string]string{"a": "text"})
			tree := &faultyTree{ReadLinkFS: os.DirFS(dir).(fs.ReadLinkFS)}
			tree.beforeRead = func(name string) {
				tree.beforeRead = nil
				require.NoError(t, change(filepath.Join(dir, name)))
			}
			_, err := newArchiver(new(bytes.Buffer), tree, ignore).add(t.Context(), "a")
			require.ErrorIs(t, err, errChanged)
			require.ErrorContains(t, err, "a: ")

			e, err := newArchiver(new(bytes.Buffer), tree, ignore).add(t.Context(), "a")
			require.NoError(t, err, "the next try finds it quiet")
			require.Len(t, e.SHA256, 64)
		})
	}
}

// smallArchive makes an archive of two files, a folder and a link.
func smallArchive(t *testing.T) ([]byte, []entry) {
	t.Helper()
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"dir/hello": "hello world", "empty": ""})
	require.NoError(t, os.Symlink("dir", filepath.Join(dir, "link")))
	var archive bytes.Buffer
	ar := newArchiver(&archive, os.DirFS(dir), ignore)
	var entries []entry
	for _, path := range []string{"dir", "dir/hello", "empty", "link"} {
		e, err := ar.add(t.Context(), path)
		require.NoError(t, err)
		entries = append(entries, e)
	}
	require.NoError(t, ar.close())
	return archive.Bytes(), entries
}

func ignore(int64) {}

// A faultyTree is a tree with something wrong in it.
type faultyTree struct {
	fs.ReadLinkFS
	beforeOpen func(name string) error // may be nil; an error is Open's
	beforeRead func(name string)       // may be nil
}

func (tree *faultyTree) Open(name string) (fs.File, error) {
	if tree.beforeOpen != nil {
		if err := tree.beforeOpen(name); err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
	f, err := tree.ReadLinkFS.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return f, err
	}
	return &faultyFile{File: f, name: name, tree: tree}, nil
}

type faultyFile struct {
	fs.File
	name string
	tree *faultyTree
}

func (f *faultyFile) Read(p []byte) (int, error) {
	if before := f.tree.beforeRead; before != nil {
		before(f.name)
	}
	return f.File.Read(p)
}
