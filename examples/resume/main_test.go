package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/boltstore"
	"github.com/runtocompletion/batch/internal/leaktest"
)

// With this variable, the test binary is the program.
const programVariable = "RESUME_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
	}
	leaktest.Main(m)
}

// A place is where an import is made.
type place struct{ src, db, state string }

func newPlace(t *testing.T, src string) place {
	db := filepath.Join(t.TempDir(), "source.db")
	return place{src, db, db + ".state"}
}

// packageNet is a part of the Go sources.
func packageNet(t *testing.T) string {
	t.Helper()
	cfg, err := parseFlags(nil, os.Stderr)
	require.NoError(t, err)
	return filepath.Join(cfg.src, "net")
}

// A program is one that runs, in a process of its own.
type program struct {
	*exec.Cmd
	stdout, stderr output
	ended          chan struct{} // closed when Wait has returned
}

func (p place) start(t *testing.T, more ...string) *program {
	t.Helper()
	r := &program{ended: make(chan struct{})}
	r.Cmd = exec.Command(os.Args[0], append([]string{"-src", p.src, "-db", p.db}, more...)...)
	r.Env = append(os.Environ(), programVariable+"=1")
	r.Stdout, r.Stderr = &r.stdout, &r.stderr
	require.NoError(t, r.Start())
	go func() {
		defer close(r.ended)
		r.Wait()
	}()
	t.Cleanup(func() {
		r.Process.Kill()
		<-r.ended
	})
	return r
}

// kill ends the program as a crash would, and reports whether it was in time.
func (r *program) kill(t *testing.T) bool {
	t.Helper()
	r.Process.Kill() // fails if the program has ended
	<-r.ended
	if !r.ProcessState.Success() {
		require.Equal(t, -1, r.ProcessState.ExitCode(), "ended otherwise: %v", &r.stderr)
	}
	return !r.ProcessState.Success()
}

// await waits until the program has printed a text, and returns false if it has
// ended without.
func (r *program) await(text string) bool {
	for !strings.Contains(r.stdout.String(), text) {
		select {
		case <-r.ended:
			return strings.Contains(r.stdout.String(), text)
		case <-time.After(time.Millisecond):
		}
	}
	return true
}

// An output is what a program prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// run runs the program in this process.
func (p place) run(t *testing.T, more ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"-src", p.src, "-db", p.db}, more...), &out, &errs)
	return strings.ReplaceAll(out.String(), p.db, "source.db"), strings.ReplaceAll(errs.String(), p.db, "source.db"), code
}

// complete runs the program to its end and returns what it prints.
func (p place) complete(t *testing.T) string {
	t.Helper()
	stdout, stderr, code := p.run(t)
	require.Zero(t, code, stderr)
	require.Empty(t, stderr)
	return stdout
}

// saved returns the cursor in the state, and what the next run must begin to
// print. It reads a copy of the state, with an iteration that does nothing.
func (p place) saved(t *testing.T) (cursor, firstWords string) {
	t.Helper()
	state, err := os.ReadFile(p.state)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "starting: "
	}
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "state")
	require.NoError(t, os.WriteFile(path, state, 0o600))
	store, err := boltstore.Open(path, boltstore.Options{})
	require.NoError(t, err)
	defer store.Close()
	c, err := batch.New(t.Context(), batch.Options{Store: store})
	require.NoError(t, err)
	defer c.Shutdown(t.Context())

	job := (&importer{}).job()
	job.Executor = batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		result, err := batch.Iteration[string, string]{
			Items: func(_ context.Context, after string) iter.Seq2[string, error] {
				firstWords = "starting: "
				if after != "" {
					firstWords = "resuming behind " + after + ": "
				}
				return func(func(string, error) bool) {}
			},
			Cursor: func(path string) string { return path },
			Do:     func(context.Context, string) error { return nil },
		}.Run(ctx, a)
		if result.ResumedFrom != nil {
			cursor = *result.ResumedFrom
		}
		return err
	})
	if status, err := c.Get(job.Name); err == nil && status.Finished() {
		return "~", "already complete: " // behind all paths
	}
	_, err = c.Apply(t.Context(), job)
	require.NoError(t, err)
	_, err = c.Wait(t.Context(), job.Name)
	require.NoError(t, err)
	return cursor, firstWords // none if all is done but the end of the attempt
}

// stored returns the files of the database with their numbers of lines, and
// requires that each is there once, and as it is in the tree.
func (p place) stored(t *testing.T) map[string]int {
	t.Helper()
	db, err := openDatabase(t.Context(), p.db)
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.Query("SELECT path, package, lines, bytes, text FROM files")
	require.NoError(t, err)
	defer rows.Close()
	files := map[string]int{}
	for rows.Next() {
		var path, folder, text string
		var lines, bytes int
		require.NoError(t, rows.Scan(&path, &folder, &lines, &bytes, &text))
		require.NotContains(t, files, path)
		files[path] = lines
		want, err := os.ReadFile(filepath.Join(p.src, path))
		require.NoError(t, err)
		require.True(t, string(want) == text, "the text of %s", path)
		require.Equal(t, len(want), bytes, path)
		require.Equal(t, filepath.ToSlash(filepath.Dir(path)), folder)
	}
	require.NoError(t, rows.Err())
	return files
}

// inTree returns the Go files of the tree with their numbers of lines.
func (p place) inTree(t *testing.T) map[string]int {
	t.Helper()
	files := map[string]int{}
	require.NoError(t, filepath.WalkDir(p.src, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		name, err := filepath.Rel(p.src, path)
		require.NoError(t, err)
		files[filepath.ToSlash(name)] = len(slices.Collect(strings.Lines(string(text))))
		return nil
	}))
	return files
}

func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	p := newPlace(t, packageNet(t))
	kills, resumed, before := 0, 0, ""
	const patience = 40
	for inTime := true; inTime && resumed < 10 && kills < patience; kills++ {
		cursor, firstWords := p.saved(t)
		require.GreaterOrEqual(t, cursor, before, "the cursor has gone back")
		before = cursor
		r := p.start(t, "-slow", "5ms")
		if kills%4 > 0 { // otherwise also before it has begun
			r.await(": ")
		}
		time.Sleep(rand.N(300 * time.Millisecond))
		inTime = r.kill(t)
		if out := r.stdout.String(); out != "" {
			requirePrefix(t, firstWords, out)
		}
		if strings.HasPrefix(r.stdout.String(), "resuming behind ") {
			resumed++
		}
	}
	_, firstWords := p.saved(t)
	out := p.complete(t)
	requirePrefix(t, firstWords, out)
	require.NotZero(t, resumed)
	t.Logf("%d kills, resumed %d times, then %s", kills, resumed, firstWords)

	files := p.inTree(t)
	require.Equal(t, files, p.stored(t))
	lines := 0
	for _, n := range files {
		lines += n
	}
	require.Contains(t, out, fmt.Sprintf("%s files, %s lines, ", grouped(len(files)), grouped(lines)))
}

func requirePrefix(t *testing.T, want, text string) {
	t.Helper()
	require.True(t, strings.HasPrefix(text, want), "want %q at the beginning of:\n%s", want, text)
}

// An import that is interrupted keeps all that it has told.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, packageNet(t))
			r := p.start(t, "-slow", "2ms")
			require.True(t, r.await("files done\n"), "%v", &r.stderr)
			require.NoError(t, r.Process.Signal(signal))
			<-r.ended
			require.Equal(t, 130, r.ProcessState.ExitCode())
			require.Equal(t, "resume: "+signal.String()+" signal received; start it again to go on\n", r.stderr.String())

			_, firstWords := p.saved(t)
			require.Contains(t, firstWords, "resuming behind ")
			out := p.complete(t)
			requirePrefix(t, firstWords, out)
			require.GreaterOrEqual(t, lastNumber(t, firstLine(out)), lastNumber(t, r.stdout.String()))
			require.Equal(t, p.inTree(t), p.stored(t))
		})
	}
}

// lastNumber returns how many files are done according to the last line that
// says so.
func lastNumber(t *testing.T, text string) int {
	t.Helper()
	all := regexp.MustCompile(`([\d,]+) of [\d,]+ files done\n`).FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, all, text)
	n, err := strconv.Atoi(strings.ReplaceAll(all[len(all)-1][1], ",", ""))
	require.NoError(t, err)
	return n
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line + "\n"
}

func TestInterruptedAtOnce(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(errors.New("a signal"))
	p := newPlace(t, newTree(t))
	var out bytes.Buffer
	require.Equal(t, 130, run(ctx, []string{"-src", p.src, "-db", p.db}, &out, &out))
	require.Contains(t, out.String(), "; start it again to go on\n")
	requirePrefix(t, "starting: ", p.complete(t))
}

func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t, newTree(t))
	first := p.start(t, "-slow", "1h")
	require.True(t, first.await("starting: "), "%v", &first.stderr)
	stdout, stderr, code := p.run(t)
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	who := "another process"
	if runtime.GOOS == "linux" {
		who = fmt.Sprint("process ", first.Process.Pid)
	}
	require.Equal(t, "resume: boltstore: source.db.state is in use by "+who+"\n", stderr)
	require.True(t, first.kill(t))
	p.complete(t)
	require.Equal(t, p.inTree(t), p.stored(t))
}

// newTree makes a tree whose order by path is not that of a walk.
func newTree(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "src")
	for path, text := range map[string]string{
		"main.go":            "package main\n\nfunc main() {}\n",
		"b/b.go":             "package b\n",
		"b/empty.go":         "",
		"b/c/c.go":           "package c\n" + strings.Repeat("// c\n", 1500),
		"b-c/no_last_end.go": "package bc // „§“\n// end",
		"b.go":               "package main\n",
		"README.md":          "no Go",
		"folder.go/text":     "no Go",
	} {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return root
}

func TestOutput(t *testing.T) {
	p := newPlace(t, newTree(t))
	const summary = `6 files, 1,508 lines, 7,591 bytes in source.db

LARGEST PACKAGES  FILES  LINES
b/c               1      1,501
.                 2      4
b-c               1      2
b                 2      1
`
	require.Equal(t, "starting: 6 files to import\n6 of 6 files done\n"+summary, p.complete(t))
	require.Equal(t, p.inTree(t), p.stored(t))

	// Complete is complete: nothing is looked at, and nothing changes.
	require.NoError(t, os.RemoveAll(p.src))
	before, err := os.ReadFile(p.db)
	require.NoError(t, err)
	again := p.complete(t)
	require.Regexp(t, `\Aalready complete: since \d{4}-\d\d-\d\dT\S+\n`, again)
	require.Equal(t, summary, again[len(firstLine(again)):])
	after, err := os.ReadFile(p.db)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestTheProgressIsBounded(t *testing.T) {
	p := newPlace(t, packageNet(t))
	out := p.complete(t)
	progress := regexp.MustCompile(`(?m)^[\d,]+ of [\d,]+ files done$`).FindAllString(out, -1)
	require.Len(t, progress, 10)
	files := grouped(len(p.inTree(t)))
	require.Equal(t, files+" of "+files+" files done", progress[9])
}

// hostile is a tree with a file that may not be read.
type hostile struct{ fs.FS }

func (h hostile) Open(name string) (fs.File, error) {
	if name == "b/b.go" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return h.FS.Open(name)
}

func TestBadFilesAreSkippedUpToALimit(t *testing.T) {
	p := newPlace(t, newTree(t))
	require.NoError(t, os.WriteFile(filepath.Join(p.src, "b/latin1.go"), []byte("package b // \xff\n"), 0o600))
	cfg := config{src: p.src, db: p.db, state: p.state, skip: 1}
	var out bytes.Buffer
	importBad := func() error {
		out.Reset()
		return importTree(t.Context(), cfg, hostile{os.DirFS(p.src)}, &out, slog.New(slog.DiscardHandler))
	}

	require.EqualError(t, importBad(), "batch: item at cursor b/latin1.go: read b/latin1.go: not UTF-8")
	require.Contains(t, out.String(), "starting: 7 files to import\n")
	require.EqualError(t, importBad(), "batch: item at cursor b/latin1.go: read b/latin1.go: not UTF-8")
	require.Equal(t, "resuming behind b/empty.go: 5 of 7 files done\n", out.String())

	cfg.skip = 2
	require.NoError(t, importBad())
	requirePrefix(t, "resuming behind b/empty.go: 5 of 7 files done\n", out.String())
	require.Contains(t, out.String(), "\nskipped: open b/b.go: permission denied\nskipped: read b/latin1.go: not UTF-8\n")
	want := p.inTree(t)
	delete(want, "b/b.go")
	delete(want, "b/latin1.go")
	require.Equal(t, want, p.stored(t))
}

// A database that fails is not the fault of the files: none is skipped.
func TestAFailingDatabase(t *testing.T) {
	p := newPlace(t, newTree(t))
	db, err := openDatabase(t.Context(), p.db)
	require.NoError(t, err)
	_, err = db.Exec(
		"CREATE TRIGGER full BEFORE INSERT ON files WHEN NEW.path > 'b/c' BEGIN SELECT raise(ABORT, 'no more room'); END",
	)
	require.NoError(t, err)
	_, stderr, code := p.run(t)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "resume: batch: item at cursor b/c/c.go: source.db: ")
	require.Contains(t, stderr, "no more room")

	_, err = db.Exec("DROP TRIGGER full")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	requirePrefix(t, "resuming behind b/b.go: 3 of 6 files done\n", p.complete(t))
	require.Equal(t, p.inTree(t), p.stored(t))
}

func TestRefusals(t *testing.T) {
	src, other := newTree(t), newTree(t)
	done := newPlace(t, src)
	done.complete(t)
	empty := t.TempDir()
	text := filepath.Join(empty, "text")
	require.NoError(t, os.WriteFile(text, bytes.Repeat([]byte("text\n"), 1000), 0o600))
	fresh := func(name string) string { return filepath.Join(t.TempDir(), name) }
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"help":             {args: []string{"-h"}, code: 0, want: "-slow time"},
		"an unknown flag":  {args: []string{"-x"}, code: 2, want: "not defined: -x"},
		"an argument":      {args: []string{"x"}, code: 2, want: `unexpected argument "x"`},
		"a negative limit": {args: []string{"-skip", "-1"}, code: 2, want: "must not be negative"},
		"no source": {
			args: []string{"-src", src + "/none", "-db", fresh("db")}, code: 1, want: "none: stat .: no such file",
		},
		"a source without Go": {args: []string{"-src", empty, "-db", fresh("db")}, code: 1, want: empty + ": there are none"},
		"no folder": {
			args: []string{"-src", src, "-db", fresh("db"), "-state", fresh("none/state")}, code: 1,
			want: "its folder is missing",
		},
		"a state that is none": {
			args: []string{"-src", src, "-db", fresh("db"), "-state", text}, code: 1, want: "boltstore: " + text,
		},
		"a database that is none": {
			args: []string{"-src", src, "-db", text, "-state", fresh("state")}, code: 1, want: text + ": file is not a database",
		},
		"another tree": {args: []string{"-src", other, "-db", done.db}, code: 1, want: "are of an import of " + src},
		"a new state": {
			args: []string{"-src", src, "-db", done.db, "-state", fresh("state")}, code: 1,
			want: "not of the same import; to begin anew, remove both",
		},
		"the database is not there": {
			args: []string{"-src", src, "-db", fresh("db"), "-state", done.state}, code: 1, want: "not of the same import",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), test.args, &stdout, &stderr)
			require.Equal(t, test.code, code, stderr.String())
			require.Contains(t, stderr.String(), test.want)
			require.NotContains(t, stdout.String(), "LARGEST")
		})
	}
	requirePrefix(t, "already complete: ", done.complete(t))
}

// interruptedPlace is where an import has come some way.
func interruptedPlace(t *testing.T) place {
	t.Helper()
	p := newPlace(t, packageNet(t))
	r := p.start(t, "-slow", "2ms")
	require.True(t, r.await("files done\n"), "%v", &r.stderr)
	require.NoError(t, r.Process.Signal(os.Interrupt))
	<-r.ended
	return p
}

// What was imported behind the last checkpoint before a crash is imported again.
func TestTheDatabaseIsAheadOfTheState(t *testing.T) {
	t.Parallel()
	p := interruptedPlace(t)
	state, err := os.ReadFile(p.state)
	require.NoError(t, err)
	_, firstWords := p.saved(t)
	p.complete(t)
	require.NoError(t, os.WriteFile(p.state, state, 0o600))
	requirePrefix(t, firstWords, p.complete(t))
	require.Equal(t, p.inTree(t), p.stored(t))
}

// A database that has gone on the way is not replaced by one with the rest of
// the files.
func TestTheDatabaseIsRemovedOnTheWay(t *testing.T) {
	t.Parallel()
	p := interruptedPlace(t)
	require.NoError(t, os.Remove(p.db))
	stdout, stderr, code := p.run(t)
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "not of the same import; to begin anew, remove both")
}

func TestANameThatIsNotUTF8(t *testing.T) {
	_, err := list(t.Context(), fstest.MapFS{"a.go": {}, "b\xff.txt": {}})
	require.NoError(t, err)
	_, err = list(t.Context(), fstest.MapFS{"a.go": {}, "b\xff.go": {}})
	require.EqualError(t, err, `"b\xff.go": the name is not UTF-8`)
}

func TestDefaults(t *testing.T) {
	cfg, err := parseFlags(nil, io.Discard)
	require.NoError(t, err)
	require.DirExists(t, filepath.Join(cfg.src, "archive", "tar"), "the source of Go")
	require.Equal(t, filepath.Join(os.TempDir(), "gosource.db"), cfg.db)
	require.Equal(t, cfg.db+".state", cfg.state)
	require.Equal(t, 100, cfg.skip)
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1002003: "1,002,003", 45678: "45,678"} {
		require.Equal(t, want, grouped(n))
	}
}
