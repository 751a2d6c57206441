package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"p/a.go": twoFunctions, "q/b.go": "package q\n\nfunc q() {}\n"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	out, code := runReport(t, "-src", dir)
	require.Zero(t, code, out)
	require.Equal(t, []string{
		"FOLDER FILES LINES FUNCTIONS BIGGEST FUNCTION",
		"p 1 7 2 p.(*Stack).Push, 3 lines",
		"q 1 3 1 q.q, 1 lines",
		"total 2 10 3 p.(*Stack).Push, 3 lines",
		"",
		"report: Complete, 2/2 succeeded, 0 failed",
	}, squeeze(out)[:6])
}

func TestASyntaxErrorFailsOnlyItsFolder(t *testing.T) {
	var out bytes.Buffer
	err := report(t.Context(), config{parallel: 2, retries: 2, enough: 100}, mixedTree(), &out)
	require.ErrorContains(t, err, "not complete")
	require.Contains(t, out.String(), "report: Failed, 3/4 succeeded, 1 failed\n", "it is not tried again")
	require.Contains(t, out.String(), "failed:   index 1, bad: bad/bad.go:1:1: expected 'package'")
}

func TestEnoughFoldersMakeAReport(t *testing.T) {
	var out bytes.Buffer
	err := report(t.Context(), config{parallel: 1, retries: 2, enough: 50}, mixedTree(), &out)
	require.NoError(t, err)
	require.Contains(t, out.String(), "report: Complete, 2/4 succeeded, 1 failed\n")
	require.Contains(t, out.String(), "failed:   index 1, bad: ")
	require.Contains(t, out.String(), "left out: 1 folders")
}

func TestTheLastFolderDecides(t *testing.T) {
	var out bytes.Buffer
	err := report(t.Context(), config{parallel: 1, retries: 2, enough: 75}, mixedTree(), &out)
	require.ErrorContains(t, err, "not complete", "three of four are enough only while another might succeed")
	require.Contains(t, out.String(), "report: Failed, 3/4 succeeded, 1 failed\n")
}

func TestWhatMayWorkLaterIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := tree(map[string]string{"good/a.go": "package good\n", "more/a.go": "package more\n"})
		tree := &flakyTree{FS: files, name: "good/a.go", failures: 2, err: errors.New("disk on fire")}
		var out bytes.Buffer
		err := report(t.Context(), config{parallel: 1, retries: 2, enough: 100}, tree, &out)
		require.NoError(t, err, out.String())
		require.Contains(t, out.String(), "report: Complete, 2/2 succeeded, 2 failed\n")
	})
}

func TestWhatMayNotBeReadIsNotTriedAgain(t *testing.T) {
	tree := &flakyTree{FS: mixedTree(), name: "good/a.go", failures: 1, err: fs.ErrPermission}
	var out bytes.Buffer
	require.Error(t, report(t.Context(), config{parallel: 1, retries: 2, enough: 100}, tree, &out))
	require.Contains(t, out.String(), "2/4 succeeded, 2 failed")
	require.Contains(t, out.String(), "failed:   index 2, good: open good/a.go: permission denied")
}

func TestInterruptedReport(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	err := report(ctx, config{parallel: 1, retries: 2, enough: 100}, mixedTree(), &out)
	require.ErrorIs(t, err, context.Canceled)
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"help":               {args: []string{"-h"}, code: 0, want: "-enough percent"},
		"an argument":        {args: []string{"x"}, code: 2, want: `unexpected argument "x"`},
		"too much is enough": {args: []string{"-enough", "101"}, code: 2, want: "not between 1 and 100"},
		"no source": {
			args: []string{"-src", filepath.Join(t.TempDir(), "none")}, code: 1, want: "none: open .: no such file",
		},
		"a job on hold": {args: []string{"-parallel", "0"}, code: 2, want: "-parallel must be at least 1"},
		"a negative limit": {
			args: []string{"-src", t.TempDir(), "-retries", "-1"}, code: 1, want: "BackoffLimitPerIndex: Invalid value: -1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, code := runReport(t, test.args...)
			require.Equal(t, test.code, code, out)
			require.Contains(t, out, test.want)
		})
	}
}

func TestDefaultSource(t *testing.T) {
	cfg, err := parseFlags(nil, new(bytes.Buffer))
	require.NoError(t, err)
	require.DirExists(t, filepath.Join(cfg.src, "go", "parser"))
}

// runReport runs the program and returns all it prints.
func runReport(t *testing.T, args ...string) (output string, code int) {
	t.Helper()
	var out bytes.Buffer
	code = run(t.Context(), args, &out, &out)
	return out.String(), code
}

// mixedTree has four folders, of which one is not Go.
func mixedTree() fstest.MapFS {
	return tree(map[string]string{
		"also/a.go": "package also\n", "bad/bad.go": "what is this", "good/a.go": "package good\n",
		"more/a.go": "package more\n",
	})
}

// squeeze splits text into lines, without the padding of columns.
func squeeze(text string) []string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return lines
}

// A flakyTree fails to open one file so many times.
type flakyTree struct {
	fs.FS
	name     string
	failures int // only the attempts of one index get at it
	err      error
}

func (tree *flakyTree) Open(name string) (fs.File, error) {
	if name == tree.name && tree.failures > 0 {
		tree.failures--
		return nil, &fs.PathError{Op: "open", Path: name, Err: tree.err}
	}
	return tree.FS.Open(name)
}
