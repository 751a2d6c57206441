package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBackupCanBeRestored(t *testing.T) {
	src, dst := newSource(t), t.TempDir()
	out := backUpOK(t, src, dst)
	require.Contains(t, out, "verified:    4 of 4 shards, 0 resumed, 0 after a retry")

	restored := restore(t, dst)
	require.Equal(t, snapshot(t, src), snapshot(t, restored))
	require.Equal(t, sums(t, restored), readFolder(t, dst)[sumsName])
	require.Len(t, readFolder(t, dst), 4*2+1, "nothing but archives, manifests and sums")
}

func TestFlakyShardsAreTriedAgain(t *testing.T) {
	src, dst := newSource(t), t.TempDir()
	out := backUpOK(t, src, dst, "-flaky", "2") // shards 0 and 3
	require.Contains(t, out, "shard-0-of-4: attempt 2 failed: ")
	require.Contains(t, out, "injected by -flaky")
	require.Contains(t, out, "4/4 succeeded, 4 failed")
	require.Contains(t, out, "verified:    4 of 4 shards, 0 resumed, 2 after a retry")
	require.Equal(t, snapshot(t, src), snapshot(t, restore(t, dst)))
}

func TestABadShardDoesNotStopTheOthers(t *testing.T) {
	src, dst := newSource(t), t.TempDir()
	out, code := backUpWith(t, src, dst, "-flaky", "99")
	require.Equal(t, 1, code)
	require.Contains(t, out, "verified:    2 of 4 shards")
	require.Contains(t, out, "given up:    shard-0-of-4: ")
	require.Contains(t, out, "given up:    shard-3-of-4: ")
	require.NotContains(t, readFolder(t, dst), sumsName, "the backup is not complete")

	require.Contains(t, backUpOK(t, src, dst), "resumed: 2 of 4 shards already verified")
	require.Equal(t, snapshot(t, src), snapshot(t, restore(t, dst)))
}

func TestSecondRunWritesNothing(t *testing.T) {
	src, dst := newSource(t), t.TempDir()
	backUpOK(t, src, dst)
	before := modTimes(t, dst)
	out := backUpOK(t, src, dst)
	require.Contains(t, out, "resumed: 4 of 4 shards already verified")
	after := modTimes(t, dst)
	delete(before, sumsName)
	delete(after, sumsName)
	require.Equal(t, before, after)
}

func TestOnlyWhatIsConcernedIsDoneAgain(t *testing.T) {
	src := newSource(t)
	for name, change := range map[string]func(t *testing.T, dst string){
		"a source file has changed": func(t *testing.T, _ string) {
			require.NoError(t, os.WriteFile(filepath.Join(src, "docs/readme"), []byte(t.Name()), 0o644))
		},
		"a source file is new": func(t *testing.T, _ string) {
			require.NoError(t, os.WriteFile(filepath.Join(src, "docs/new"), []byte("new"), 0o644))
		},
		"a source file is gone": func(t *testing.T, _ string) {
			require.NoError(t, os.Remove(filepath.Join(src, "docs/notes")))
		},
		"only the time has changed": func(t *testing.T, _ string) {
			require.NoError(t, os.Chtimes(filepath.Join(src, "docs/readme"), time.Time{}, time.Unix(1, 0)))
		},
		"an archive is damaged": func(t *testing.T, dst string) {
			name := filepath.Join(dst, "shard-2-of-4.tar.gz")
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			text[len(text)/2] ^= 1
			require.NoError(t, os.WriteFile(name, text, 0o600))
		},
		"an archive is gone": func(t *testing.T, dst string) {
			require.NoError(t, os.Remove(filepath.Join(dst, "shard-2-of-4.tar.gz")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dst := t.TempDir()
			backUpOK(t, src, dst)
			change(t, dst)
			out := backUpOK(t, src, dst)
			require.Contains(t, out, "resumed: 3 of 4 shards already verified")
			require.Equal(t, snapshot(t, src), snapshot(t, restore(t, dst)))
		})
	}
}

func TestAnotherDivisionReplacesTheOldOne(t *testing.T) {
	src, dst := newSource(t), t.TempDir()
	backUpOK(t, src, dst)
	out := backUpOK(t, src, dst, "-shards", "2")
	require.NotContains(t, out, "resumed:")
	require.Len(t, readFolder(t, dst), 2*2+1)
	require.Equal(t, snapshot(t, src), snapshot(t, restore(t, dst)))
}

func TestUnreadableFileIsNamedAndNotTriedAgain(t *testing.T) {
	dst := t.TempDir()
	cfg := testConfig(t, newSource(t), dst)
	tries := 0
	tree := &faultyTree{ReadLinkFS: os.DirFS(cfg.src).(fs.ReadLinkFS)}
	tree.beforeOpen = func(name string) error {
		if name != "docs/readme" {
			return nil
		}
		tries++ // one attempt at a time has that shard
		return fs.ErrPermission
	}
	var out bytes.Buffer
	err := backUp(t.Context(), cfg, tree, &out)
	require.ErrorContains(t, err, "some shards are missing")
	require.Contains(t, out.String(), "open docs/readme: permission denied\n")
	require.Contains(t, out.String(), "3/4 succeeded, 1 failed")
	require.Equal(t, 1, tries)
}

func TestAFileThatChangesIsReadAgain(t *testing.T) {
	cfg := testConfig(t, newSource(t), t.TempDir())
	tree := &faultyTree{ReadLinkFS: os.DirFS(cfg.src).(fs.ReadLinkFS)}
	var once sync.Once
	tree.beforeRead = func(name string) {
		once.Do(func() {
			f, err := os.OpenFile(filepath.Join(cfg.src, name), os.O_APPEND|os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = f.WriteString("one more line\n")
			require.NoError(t, errors.Join(err, f.Close()))
		})
	}
	var out bytes.Buffer
	require.NoError(t, backUp(t.Context(), cfg, tree, &out))
	require.Contains(t, out.String(), errChanged.Error())
	require.Contains(t, out.String(), "1 after a retry")
	require.Equal(t, snapshot(t, cfg.src), snapshot(t, restore(t, cfg.dst)))
}

func TestInterruptedBackupResumes(t *testing.T) {
	// The goroutine that package signal keeps for ever must not be started
	// inside of a bubble.
	_, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	stop()
	for name, test := range map[string]struct {
		grace    time.Duration
		verified int
	}{
		"the running shard may finish": {grace: time.Minute, verified: 2},
		"it may not":                   {grace: 0, verified: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testConfig(t, newSource(t), t.TempDir())
				cfg.parallel, cfg.grace = 1, test.grace
				ctx, interrupt := context.WithCancel(t.Context())
				var out bytes.Buffer
				err := backUp(ctx, cfg, interruptedTree(cfg, interrupt), &out)
				require.ErrorIs(t, err, errInterrupted)
				require.Contains(t, out.String(), fmt.Sprintf("verified:    %d of 4 shards", test.verified))

				again := backUpOK(t, cfg.src, cfg.dst)
				require.Contains(t, again, fmt.Sprintf("resumed: %d of 4 shards already verified", test.verified))
				require.Equal(t, snapshot(t, cfg.src), snapshot(t, restore(t, cfg.dst)))
			})
		})
	}
}

func TestInterruptedAtOnce(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(errors.New("a signal"))
	var out bytes.Buffer
	require.Equal(t, 1, run(ctx, []string{"-src", newSource(t), "-dst", t.TempDir()}, &out, &out))
	require.Equal(t, "backup: interrupted; run it again to resume\n", out.String())
}

// interruptedTree calls interrupt in the midst of the second shard, and goes on
// when all that follows from it has happened.
func interruptedTree(cfg config, interrupt func()) fs.FS {
	tree := &faultyTree{ReadLinkFS: os.DirFS(cfg.src).(fs.ReadLinkFS)}
	tree.beforeOpen = func(string) error {
		if done, err := filepath.Glob(filepath.Join(cfg.dst, "*.json")); err != nil || len(done) == 0 {
			return err
		}
		tree.beforeOpen = nil
		interrupt()
		time.Sleep(time.Second) // in a bubble: until nothing else moves
		return nil
	}
	return tree
}

func TestRefusals(t *testing.T) {
	src := newSource(t)
	other := t.TempDir()
	backUpOK(t, newSource(t), other)
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"help":            {args: []string{"-h"}, code: 0, want: "-flaky times"},
		"an unknown flag": {args: []string{"-x"}, code: 2, want: "not defined: -x"},
		"an argument":     {args: []string{"x"}, code: 2, want: `unexpected argument "x"`},
		"no shards":       {args: []string{"-shards", "0"}, code: 2, want: "must be at least 1"},
		"a negative limit": {
			args: []string{"-src", src, "-dst", t.TempDir(), "-retries", "-1"}, code: 1,
			want: "BackoffLimitPerIndex: Invalid value: -1",
		},
		"no source": {
			args: []string{"-src", src + "/none", "-dst", t.TempDir()}, code: 1, want: "none: stat .: no such file",
		},
		"the destination in source": {
			args: []string{"-src", src, "-dst", src + "/docs"}, code: 1, want: "inside of the source",
		},
		"another tree's backup": {args: []string{"-src", src, "-dst", other}, code: 1, want: "holds a backup of"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), test.args, &stdout, &stderr)
			require.Equal(t, test.code, code, stderr.String())
			require.Contains(t, stderr.String(), test.want)
		})
	}
}

func TestDefaultFolders(t *testing.T) {
	cfg, err := parseFlags(nil, io.Discard)
	require.NoError(t, err)
	require.DirExists(t, filepath.Join(cfg.src, "archive", "tar"), "the source of Go")
	require.True(t, strings.HasPrefix(cfg.dst, os.TempDir()))
	require.Equal(t, "usr-local-go", slug("/usr/local/go"))
}

// backUpOK runs the program and returns what it prints.
func backUpOK(t *testing.T, src, dst string, more ...string) string {
	t.Helper()
	out, code := backUpWith(t, src, dst, more...)
	require.Zero(t, code, out)
	return out
}

func backUpWith(t *testing.T, src, dst string, more ...string) (output string, code int) {
	t.Helper()
	var out bytes.Buffer
	args := []string{"-src", src, "-dst", dst, "-shards", "4", "-backoff", "1ms"}
	code = run(t.Context(), append(args, more...), &out, &out)
	return out.String(), code
}

func testConfig(t *testing.T, src, dst string) config {
	t.Helper()
	cfg, err := parseFlags([]string{"-src", src, "-dst", dst, "-shards", "4", "-backoff", "1ms"}, io.Discard)
	require.NoError(t, err)
	return cfg
}

// newSource makes a tree with something of everything in it.
func newSource(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"docs/readme": "read me\n", "docs/notes": "notes\n", "empty": "",
		"a very/deep/folder/with spaces/ünïcödé.txt":                             "text\n",
		"long/" + strings.Repeat("path-", 20) + "/" + strings.Repeat("name", 40): "names beyond what old tar can hold\n",
	}
	random := rand.NewChaCha8([32]byte{1})
	for i := range 20 {
		text := make([]byte, 1<<(i%14))
		random.Read(text)
		files[fmt.Sprintf("data/%02d.bin", i)] = string(text)
	}
	files["data/big.txt"] = strings.Repeat("more than one chunk\n", 5000)
	writeTree(t, dir, files)
	require.NoError(t, os.Symlink("docs/readme", filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty folder"), 0o755))
	require.NoError(t, os.Chmod(filepath.Join(dir, "empty"), 0o400))
	require.NoError(t, os.Chmod(filepath.Join(dir, "docs/notes"), 0o755))
	return dir
}

// restore unpacks all archives of dst, in order of name, into a new folder.
func restore(t *testing.T, dst string) string {
	t.Helper()
	target := t.TempDir()
	archives, err := filepath.Glob(filepath.Join(dst, "*.tar.gz"))
	require.NoError(t, err)
	for _, name := range archives {
		f, err := os.Open(name)
		require.NoError(t, err)
		zr, err := gzip.NewReader(f)
		require.NoError(t, err)
		for tr := tar.NewReader(zr); ; {
			h, err := tr.Next()
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			restoreEntry(t, filepath.Join(target, h.Name), h, tr)
		}
		require.NoError(t, f.Close())
	}
	return target
}

func restoreEntry(t *testing.T, path string, h *tar.Header, content io.Reader) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	switch h.Typeflag {
	case tar.TypeDir:
		require.NoError(t, os.MkdirAll(path, 0o755))
	case tar.TypeSymlink:
		require.NoError(t, os.Symlink(h.Linkname, path))
		return
	case tar.TypeReg:
		text, err := io.ReadAll(content)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, text, 0o600))
	}
	require.NoError(t, os.Chmod(path, h.FileInfo().Mode()))
	require.NoError(t, os.Chtimes(path, time.Time{}, h.ModTime))
}

// snapshot describes everything in a tree that a backup must keep.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	seen := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var text []byte
		switch {
		case d.Type() == fs.ModeSymlink:
			link, err := os.Readlink(path)
			seen[path[len(dir):]] = "-> " + link
			return err
		case !d.IsDir():
			text, err = os.ReadFile(path)
			seen[path[len(dir):]] = fmt.Sprintf("%v %d %s", info.Mode(), info.ModTime().UnixNano(), hashOf(text))
		default:
			seen[path[len(dir):]] = info.Mode().String()
		}
		return err
	})
	require.NoError(t, err)
	return seen
}

// sums is what SHA256SUMS should be for a tree.
func sums(t *testing.T, dir string) string {
	t.Helper()
	hashes := make(map[string]string)
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		hashes[path] = hashOf(text)
		return err
	})
	require.NoError(t, err)
	var all strings.Builder
	for _, path := range slices.Sorted(maps.Keys(hashes)) {
		fmt.Fprintf(&all, "%s  %s\n", hashes[path], path)
	}
	return all.String()
}

func hashOf(text []byte) string { return fmt.Sprintf("%x", sha256.Sum256(text)) }

func modTimes(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	times := make(map[string]time.Time)
	for _, f := range files {
		info, err := f.Info()
		require.NoError(t, err)
		times[f.Name()] = info.ModTime()
	}
	return times
}
