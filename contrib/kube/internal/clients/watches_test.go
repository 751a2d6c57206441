package clients

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube"
)

// watches is a program that watches jobs: its arguments are a kubeconfig and a number of
// watches. It prints "ready" when all of them are open, and ends with its input.
func watches() {
	if err := openWatches(os.Args[1], os.Args[2]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // however it ends
}

func openWatches(kubeconfig, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	for range n {
		clientset, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		w, err := clientset.BatchV1().Jobs(namespace).Watch(context.Background(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		go func() {
			for range w.ResultChan() {
			}
		}()
	}
	return nil
}

// BenchmarkWatchesOverTLS tells by how much 1,000 watches of another process slow down jobs
// with about 1,000 attempts a second: the budget is a tenth. That process gives way to this
// one. With -short there is a tenth of everything.
//
//	go test -run '^$' -bench WatchesOverTLS -benchtime 3x ./contrib/kube/internal/clients
func BenchmarkWatchesOverTLS(b *testing.B) {
	n := newScale()
	c, err := batch.New(b.Context(), batch.Options{})
	require.NoError(b, err)
	w := newWorldOf(b, c, kube.Options{})
	var slower []float64
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), longestLoad)
		alone := runJobs(ctx, b, c, n)
		end := startWatches(ctx, b, w.kubeconfig, n.watches)
		watched := runJobs(ctx, b, c, n)
		end()
		cancel()
		slower = append(slower, 100*(watched.Seconds()/alone.Seconds()-1))
	}
	slices.Sort(slower)
	b.ReportMetric(slower[len(slower)/2], "%slower")
}

// runJobs runs 20 jobs of 200 attempts, which work for a hundredth of their time, and
// returns how long that takes.
func runJobs(ctx context.Context, b *testing.B, c *batch.Controller, n scale) time.Duration {
	begun := time.Now()
	work := batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
		for end := time.Now().Add(200 * time.Microsecond); time.Now().Before(end); {
		}
		select {
		case <-time.After(20 * time.Millisecond):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	inParallel(loadChanges, func(i int) {
		_, err := c.Run(ctx, batch.Job{Name: fmt.Sprintf("load-%d-%d", begun.UnixNano(), i),
			Completions: new(n.watches / 5), Parallelism: new(1), Executor: work})
		require.NoError(b, err)
	})
	return time.Since(begun)
}

// startWatches starts the program that watches, and returns when it does.
func startWatches(ctx context.Context, b *testing.B, kubeconfig string, n int) (end func()) {
	self, err := os.Executable()
	require.NoError(b, err)
	program := filepath.Join(b.TempDir(), "watches")
	require.NoError(b, os.Symlink(self, program))
	cmd := exec.CommandContext(ctx, "nice", "-n", "19", program, kubeconfig, fmt.Sprint(n))
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	require.NoError(b, err)
	output, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(b, err)
	require.Equal(b, "ready\n", line)
	return func() {
		require.NoError(b, input.Close())
		require.NoError(b, cmd.Wait())
	}
}
