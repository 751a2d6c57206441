package boltstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// deployVariable has the folder of a process that TestDeploy has started.
const deployVariable = "BATCH_DEPLOY_FOLDER"

const deployed = 1000 // completions

// deploy is a service: it opens its store, declares its job, and shuts down when it is
// asked to. It says what it does.
func deploy(folder string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	store, err := Open(filepath.Join(folder, "jobs.db"), Options{Standby: true})
	if err != nil {
		return err
	}
	c, err := batch.New(ctx, batch.Options{Store: store, Standby: true})
	if err != nil {
		return err
	}
	_, err = c.Apply(ctx, batch.Job{
		Name: "import", CompletionMode: "Indexed", Completions: new(deployed), Parallelism: new(4),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			return item(ctx, folder, a.Index)
		}),
	})
	if err != nil {
		return err
	}
	fmt.Println("ready", c.Claimed(canceled(ctx)) == nil)
	if c.Claimed(ctx) == nil {
		fmt.Println("works")
		if status, err := c.Wait(ctx, "import"); err == nil {
			fmt.Println(status)
		}
	}
	<-ctx.Done()
	last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(c.Shutdown(last), store.Close()) // in this order
}

func canceled(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// item takes a moment, and leaves a line.
func item(ctx context.Context, folder string, index int) error {
	select {
	case <-time.After(10 * time.Millisecond):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	file, err := os.OpenFile(filepath.Join(folder, "done"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, index)
	return errors.Join(err, file.Close())
}

// A service is a process that runs deploy.
type service struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func startService(t *testing.T, folder string) *service {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), deployVariable+"="+folder), t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return &service{cmd, bufio.NewScanner(out)}
}

func (s *service) says(t *testing.T, want string) {
	t.Helper()
	require.True(t, s.lines.Scan(), "it has ended, and not said %q", want)
	require.Equal(t, want, s.lines.Text())
}

// A rolling deploy: the new process is started, waits for the file, and is ready; then
// the old one is asked to stop. Five times, and nothing is lost or done twice.
func TestDeploy(t *testing.T) {
	folder := t.TempDir()
	old := startService(t, folder)
	old.says(t, "ready true")
	old.says(t, "works")
	for range 5 {
		next := startService(t, folder)
		next.says(t, "ready false")
		require.NoError(t, old.cmd.Process.Signal(syscall.SIGTERM))
		next.says(t, "works")
		require.NoError(t, old.cmd.Wait())
		old = next
	}
	old.says(t, fmt.Sprintf("import: Complete, %d/%d succeeded, 0 failed", deployed, deployed))
	require.NoError(t, old.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, old.cmd.Wait())

	done, err := os.ReadFile(filepath.Join(folder, "done"))
	require.NoError(t, err)
	times := make(map[string]int)
	for line := range strings.Lines(string(done)) {
		times[line]++
	}
	require.Len(t, times, deployed)
	for line, n := range times {
		require.Equal(t, 1, n, "index %s", line)
	}
}
