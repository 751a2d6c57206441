package kube

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// watchersVariable asks a process of this binary to be a client with watches.
const watchersVariable = "BATCH_TEST_WATCHERS"

// A client says where a client with watches finds a server, and what as.
type client struct {
	URL, Token string
	Watches    int
	HTTP2      bool
}

// run watches until its standard input ends. It prints "ready" when all watches are
// open, and at the end how many bytes it was sent. It gives way to the server.
func (c client) run() {
	var received atomic.Int64
	var open sync.WaitGroup
	opening := make(chan struct{}, 16) // handshakes take time, and the server does not wait for ever
	for i := range c.Watches {
		open.Add(1)
		opening <- struct{}{}
		go func() {
			transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: c.HTTP2}
			r, err := http.NewRequest("GET", c.URL+"/apis/batch/v1/jobs?watch=1", nil)
			if err == nil {
				r.Header.Set("Authorization", "Bearer "+c.Token)
			}
			answer, err := (&http.Client{Transport: transport}).Do(r)
			if err != nil || answer.StatusCode != http.StatusOK {
				fmt.Println("watch", i, answer, err)
				os.Exit(1)
			}
			<-opening
			open.Done()
			buffer := make([]byte, 64<<10)
			for err == nil {
				var n int
				n, err = answer.Body.Read(buffer)
				received.Add(int64(n))
			}
		}()
	}
	open.Wait()
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19); err != nil {
		fmt.Println(err)
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	fmt.Println(received.Load())
	os.Exit(0)
}

// asClient makes this process a client, if it was started as one.
func asClient() {
	var c client
	if text := os.Getenv(watchersVariable); text != "" && json.Unmarshal([]byte(text), &c) == nil {
		c.run()
	}
}

// BenchmarkWatchersOverTLS tells by how much 1,000 watches of another process slow down
// jobs with 1,000 attempts a second: the budget is a tenth. The client has the lowest
// priority, and its time on the processors is told apart from the server's.
//
//	go test -run '^$' -bench WatchersOverTLS -benchtime 3x ./contrib/kube
func BenchmarkWatchersOverTLS(b *testing.B) {
	const attempts, watches = 4_000, 1_000
	c, err := batch.New(b.Context(), batch.Options{})
	require.NoError(b, err)
	listener, err := Listen(c, Options{}, ListenOptions{})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	served := make(chan error, 1)
	go func() { served <- listener.Serve(ctx) }()
	defer func() {
		cancel()
		require.NoError(b, <-served)
		require.NoError(b, c.Shutdown(context.Background()))
	}()
	var slower, busy, clients, sent []float64
	for b.Loop() {
		alone, aloneCPU := load(b, c, attempts)
		process, done := startClient(b, client{URL: listener.URL(), Token: listener.token, Watches: watches})
		watched, watchedCPU := load(b, c, attempts)
		bytes := done()
		slower = append(slower, 100*(watched.Seconds()/alone.Seconds()-1))
		busy = append(busy, 100*(watchedCPU-aloneCPU).Seconds()/watched.Seconds())
		clients = append(clients, 100*(process.ProcessState.UserTime()+process.ProcessState.SystemTime()).Seconds()/watched.Seconds())
		sent = append(sent, float64(bytes)/1e6/watched.Seconds())
	}
	for unit, list := range map[string][]float64{
		"%slower": slower, "%core-server": busy, "%core-client": clients, "MB/s": sent} {
		slices.Sort(list)
		b.ReportMetric(list[len(list)/2], unit)
	}
}

func startClient(b *testing.B, c client) (process *exec.Cmd, done func() (received int64)) {
	text, err := json.Marshal(c)
	require.NoError(b, err)
	process = exec.CommandContext(b.Context(), os.Args[0])
	process.Env = append(os.Environ(), watchersVariable+"="+string(text))
	process.Stderr = os.Stderr
	stdin, err := process.StdinPipe()
	require.NoError(b, err)
	stdout, err := process.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, process.Start())
	var ready string
	_, err = fmt.Fscan(stdout, &ready)
	require.NoError(b, err)
	rest, _ := bufio.NewReader(stdout).ReadString('\n')
	require.Equal(b, "ready", ready, rest)
	return process, func() (received int64) {
		require.NoError(b, stdin.Close())
		_, err := fmt.Fscan(stdout, &received)
		require.NoError(b, err)
		require.NoError(b, process.Wait())
		return received
	}
}

const loadJobs = 20

// load runs jobs whose attempts take some work each, and returns how long they took,
// and how much time of the processors this process has had.
func load(b *testing.B, c *batch.Controller, attempts int) (wall, cpu time.Duration) {
	started, before := time.Now(), processTime(b)
	work := batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
		for end := time.Now().Add(200 * time.Microsecond); time.Now().Before(end); {
		}
		time.Sleep(20 * time.Millisecond)
		return nil
	})
	var group sync.WaitGroup
	for i := range loadJobs {
		name := fmt.Sprintf("load-%d-%d", started.UnixNano(), i)
		require.NoError(b, c.Create(b.Context(), batch.Job{Name: name, Completions: new(attempts / loadJobs),
			Parallelism: new(1), Executor: work}))
		group.Go(func() { _, _ = c.Wait(b.Context(), name) })
	}
	group.Wait()
	return time.Since(started), processTime(b) - before
}

func processTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
