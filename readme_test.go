package batch_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/internal/effort"
)

// The tests of this file hold README.md to what it says. Its fenced blocks are
//
//	go       a whole program, which is run, or text of a test file
//	text     the output of the program, or of the command, before it
//	sh       commands; see readmeCommands
//	console  commands, each after "$ ", with their output
//
// In an output, "..." stands for any text, and for any lines if it is a line.

// A block is a fenced block of README.md.
type block struct {
	kind, text string
	line       int // of its first line
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return string(text)
}

// blocks returns the fenced blocks, without the indentation of their fences.
func blocks(t *testing.T) []block {
	var list []block
	var open *block
	indent := ""
	n := 0
	for line := range strings.Lines(readme(t)) {
		n++
		before, kind, isFence := strings.Cut(strings.TrimRight(line, "\n"), "```")
		switch {
		case !isFence && open != nil:
			open.text += strings.TrimPrefix(line, indent)
		case isFence && open == nil:
			require.Empty(t, strings.TrimSpace(before), "line %d", n)
			open, indent = &block{kind: kind, line: n + 1}, before
		case isFence:
			list = append(list, *open)
			open = nil
		}
	}
	require.Nil(t, open, "a block is not closed")
	return list
}

func (b block) isProgram() bool { return b.kind == "go" && strings.HasPrefix(b.text, "package ") }

func TestReadmeBlocks(t *testing.T) {
	list := blocks(t)
	programs := 0
	for i, b := range list {
		require.Contains(t, []string{"go", "text", "sh", "console"}, b.kind, "line %d", b.line)
		if b.kind == "text" {
			require.True(t, i > 0 && (list[i-1].isProgram() || list[i-1].kind == "sh"), "line %d: output of nothing", b.line)
		}
		if b.isProgram() {
			programs++
		}
	}
	require.NotZero(t, programs)
}

func TestReadmePrograms(t *testing.T) {
	t.Parallel()
	list := blocks(t)
	for i, b := range list {
		if !b.isProgram() {
			continue
		}
		require.True(t, i+1 < len(list) && list[i+1].kind == "text", "line %d: a program without its output", b.line)
		file := filepath.Join(t.TempDir(), "main.go")
		require.NoError(t, os.WriteFile(file, []byte(b.text), 0o600))
		wantOutput(t, list[i+1].text, command(t, "go", "run", file))
	}
}

// TestReadmeFragments wants those parts of a program that are shown, in blocks and
// between back quotes, to be parts of tests that run.
func TestReadmeFragments(t *testing.T) {
	var all strings.Builder
	for _, folder := range []string{".", "contrib/boltstore", "contrib/cron", "contrib/kube", "contrib/page",
		"contrib/pgstore", "contrib/prometheus"} {
		files, err := filepath.Glob(folder + "/*_test.go")
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			all.Write(text)
		}
	}
	tests := all.String()
	for _, b := range blocks(t) {
		if b.kind == "go" && !b.isProgram() {
			require.True(t, containsIndented(tests, b.text), "line %d: in no test:\n%s", b.line, b.text)
		}
	}
	for _, span := range spans(withoutBlocks(t)) {
		if strings.HasSuffix(span, ")") {
			require.True(t, strings.Contains(tests, span), "in no test: %s", span)
		}
	}
}

// containsIndented reports whether the text has the part at any indentation.
func containsIndented(text, part string) bool {
	const deepest = 5
	for range deepest {
		if strings.Contains(text, "\n"+part) {
			return true
		}
		part = "\t" + strings.ReplaceAll(strings.TrimSuffix(part, "\n"), "\n", "\n\t") + "\n"
		part = strings.ReplaceAll(part, "\n\t\n", "\n\n")
	}
	return false
}

// readmeCommands has a check for each command of the sh blocks.
var readmeCommands = map[string]func(t *testing.T){
	"go run ./examples/backup": func(t *testing.T) { // of a smaller tree
		out := command(t, "go", "run", "./examples/backup", "-src", "batchtest", "-dst", t.TempDir())
		require.Contains(t, out, "backup: Complete, 16/16 succeeded, 0 failed")
	},
	"go test work": func(t *testing.T) { // this very test is part of it
		script, err := os.ReadFile(".ci/run")
		require.NoError(t, err)
		require.Contains(t, string(script), "\ngo test work\n")
	},
	"go test .": func(t *testing.T) { // this very test is part of it; a small part of it, so
		require.Contains(t, command(t, "go", "test", "-run", "TestWantOutput", "."), "ok")
	},
	"go get github.com/runtocompletion/batch": func(t *testing.T) {
		mod, err := os.ReadFile("go.mod")
		require.NoError(t, err)
		require.Contains(t, string(mod), "module github.com/runtocompletion/batch\n")
	},
}

func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	for _, b := range blocks(t) {
		switch b.kind {
		case "sh":
			for line := range strings.Lines(b.text) {
				line = strings.TrimSpace(line)
				require.Contains(t, readmeCommands, line, "line %d", b.line)
				t.Run(line, readmeCommands[line])
			}
		case "console":
			t.Run(fmt.Sprint("line ", b.line), func(t *testing.T) {
				t.Parallel()
				runSession(t, b.text)
			})
		}
	}
}

// runSession runs the commands of a console block and compares their output.
func runSession(t *testing.T, text string) {
	_, err := exec.LookPath("sh")
	effort.Need(t, err)
	for _, folder := range []string{"/tmp/backup", "/tmp/import"} {
		text = strings.ReplaceAll(text, folder, filepath.Join(t.TempDir(), filepath.Base(folder)))
	}
	for step := range strings.SplitSeq(strings.TrimPrefix(text, "$ "), "\n$ ") {
		line, want, _ := strings.Cut(step, "\n")
		wantOutput(t, want, command(t, "sh", "-c", line))
	}
}

// command runs a program in the root of the repository and returns its output.
func command(t *testing.T, args ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs other programs: ", args)
	}
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%v: %s", args, out)
	return string(out)
}

func wantOutput(t testing.TB, want, got string) {
	t.Helper()
	pattern := regexp.QuoteMeta(strings.TrimSpace(want))
	pattern = regexp.MustCompile(`(?m)^\\\.\\\.\\\.\n`).ReplaceAllString(pattern+"\n", `(?:.*\n)*?`)
	pattern = strings.ReplaceAll(pattern, `\.\.\.`, `.*`)
	require.Regexp(t, `\A`+pattern+`\z`, strings.TrimSpace(got)+"\n")
}

func TestWantOutput(t *testing.T) {
	wantOutput(t, "one\n...\nfour", "one\ntwo\nthree\nfour\n")
	wantOutput(t, "one\n...\ntwo", "one\ntwo")
	wantOutput(t, "one\n...", "one\ntwo\nthree")
	wantOutput(t, "after ... s (all)", "after 3.14 s (all)")

	failing := &recordedTB{TB: t}
	wantOutput(failing, "one\ntwo", "one\ntwo\nthree")
	wantOutput(failing, "two ...", "one\ntwo three")
	require.Equal(t, 2, failing.failures)
}

// A recordedTB counts failures in place of failing.
type recordedTB struct {
	testing.TB
	failures int
}

func (r *recordedTB) Errorf(string, ...any) { r.failures++ }
func (r *recordedTB) FailNow()              {}

// TestReadmeExamples wants each example to be listed with its command. The
// commands themselves are run by the tests of the examples, which is quicker and
// sees more.
func TestReadmeExamples(t *testing.T) {
	folders, err := filepath.Glob("examples/*/main.go")
	require.NoError(t, err)
	var commands []string
	for _, match := range regexp.MustCompile("(?m)^- `(go run [^` ]*)").FindAllStringSubmatch(section(t, "Examples"), -1) {
		commands = append(commands, match[1])
	}
	var want []string
	for _, folder := range folders {
		folder = filepath.ToSlash(filepath.Dir(folder))
		want = append(want, "go run ./"+folder)
		tests, err := filepath.Glob(folder + "/*_test.go")
		require.NoError(t, err)
		require.NotEmpty(t, tests, "%s has no tests", folder)
	}
	require.ElementsMatch(t, want, commands)
}

// TestReadmeCounts wants the number of recordings to be that of the cases.
func TestReadmeCounts(t *testing.T) {
	files, err := filepath.Glob("internal/conformance/testdata/*.json")
	require.NoError(t, err)
	sum := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var recordings []json.RawMessage
		require.NoError(t, json.Unmarshal(text, &recordings))
		sum += len(recordings)
	}
	require.Equal(t, []string{fmt.Sprintf("%d,%03d", sum/1000, sum%1000)},
		slices.Compact(regexp.MustCompile(`\d+,\d{3}`).FindAllString(readme(t), -1)))
}

// TestNightlyReport is what README shows of package batchtest.
func TestNightlyReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		status, err := batchtest.Run(t, batch.Job{
			Name: "nightly-report",
			Executor: batchtest.Script{
				batchtest.Exit(3).Times(2), // two failures,
				batchtest.Succeed(),        // and all is well
			},
		})
		require.NoError(t, err)
		batchtest.WantComplete(t, status)
		require.Equal(t, 30*time.Second, time.Since(start)) // 10 s, then 20 s
	})
}
