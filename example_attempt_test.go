package batch_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
)

// An attempt knows where it belongs.
func ExampleAttempt() {
	_, _ = batch.Run(context.Background(), batch.Job{
		Name:           "sales",
		CompletionMode: batch.Indexed, Completions: new(2),
		Backoff: batch.ConstantBackoff(time.Millisecond),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			fmt.Printf("job %s, index %d, attempt %d\n", a.Job, a.Index, a.Number)
			if a.Index == 0 && a.Number == 0 {
				return errors.New("database is locked")
			}
			return nil
		}),
	})
	// Output:
	// job sales, index 0, attempt 0
	// job sales, index 0, attempt 1
	// job sales, index 1, attempt 0
}

// Code that is handed only a context finds the attempt in it.
func ExampleAttemptFrom() {
	render := func(ctx context.Context) error {
		if a, ok := batch.AttemptFrom(ctx); ok {
			fmt.Println("page", a.Index, "of", a.Job)
		} else {
			fmt.Println("not run by a job")
		}
		return nil
	}
	_ = render(context.Background())
	_, _ = batch.Run(context.Background(), batch.Job{
		Name: "catalogue", CompletionMode: batch.Indexed, Completions: new(2),
		Executor: batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error { return render(ctx) }),
	})
	// Output:
	// not run by a job
	// page 0 of catalogue
	// page 1 of catalogue
}

// No two attempts share a token, so what one of them has half written cannot be
// taken for the work of another, not even of one that was abandoned.
func ExampleAttempt_Token() {
	_, _ = batch.Run(context.Background(), batch.Job{
		Name:           "export",
		CompletionMode: batch.Indexed, Completions: new(1),
		Backoff: batch.ConstantBackoff(0),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			job, attempt, _ := strings.Cut(a.Token(), "/") // <job UID>/<index>/<number>
			fmt.Println("upload to staging/"+strings.Repeat("x", len(job)), attempt)
			if a.Number == 0 {
				return errors.New("upload interrupted")
			}
			return nil // here, move it from staging to its place
		}),
	})
	// Output:
	// upload to staging/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx 0/0
	// upload to staging/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx 0/1
}

// The scratch directory survives restarts in place, so a restarted attempt can
// go on where it was. It is removed when the attempt has ended.
func ExampleAttempt_Dir() {
	parts := []string{"one ", "two ", "three"}
	_, err := batch.Run(context.Background(), batch.Job{
		Name:           "download",
		RestartPolicy:  batch.RestartOnFailure,
		RestartBackoff: batch.ConstantBackoff(0),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			dir, err := a.Dir()
			if err != nil {
				return err
			}
			for i, part := range parts {
				file := filepath.Join(dir, fmt.Sprint("part-", i))
				if _, err := os.Stat(file); err == nil {
					continue // it is there from before
				}
				fmt.Println("restart", a.Restarts, "fetches part", i)
				if err := os.WriteFile(file, []byte(part), 0o600); err != nil {
					return err
				}
				if i == 1 && a.Restarts == 0 {
					return errors.New("connection reset")
				}
			}
			return nil
		}),
	})
	fmt.Println(err)
	// Output:
	// restart 0 fetches part 0
	// restart 0 fetches part 1
	// restart 1 fetches part 2
	// <nil>
}

// What an attempt logs goes to the controller's logger, with the attempt's
// attributes, and to the attempt's own log.
func ExampleAttempt_Logger() {
	ctx := context.Background()
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "attempt" {
				return slog.Attr{} // they are not the same in each run
			}
			return a
		},
	}))
	c, _ := batch.New(context.Background(), batch.Options{Logger: logger})
	defer c.Shutdown(ctx)

	_ = c.Create(ctx, batch.Job{
		Name:           "import",
		CompletionMode: batch.Indexed, Completions: new(1),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			a.Logger().Warn("row skipped", "line", 1017)
			return nil
		}),
	})
	_, _ = c.Wait(ctx, "import")
	// Output:
	// level=WARN msg="row skipped" job=import index=0 line=1017
}

// What an attempt prints is kept with it, the last 64 KiB of it by default.
func ExampleAttempt_Stdout() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	_ = c.Create(ctx, batch.Job{
		Name: "vacuum",
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			out := bufio.NewWriter(a.Stdout())
			defer out.Flush()
			fmt.Fprintln(out, "table users: 120 pages freed")
			fmt.Fprintln(out, "table orders: 7 pages freed")
			return nil
		}),
	})
	_, _ = c.Wait(ctx, "vacuum")

	attempts, _ := c.Attempts(context.Background(), "vacuum")
	for line := range c.Logs(ctx, "vacuum", attempts[0].Name, 1, false) {
		fmt.Println(line.Stream+":", line.Text)
	}
	// Output:
	// stdout: table orders: 7 pages freed
}

// Progress shows in the attempt's status while it runs.
func ExampleAttempt_Progress() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	halfway, goOn := make(chan struct{}), make(chan struct{})
	_ = c.Create(ctx, batch.Job{
		Name: "copy",
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			a.Progress(32<<20, 64<<20, "copying")
			close(halfway)
			<-goOn
			a.Progress(64<<20, 64<<20, "verifying")
			return nil
		}),
	})
	<-halfway
	attempts, _ := c.Attempts(context.Background(), "copy")
	p := attempts[0].Progress
	fmt.Printf("%s: %d %%\n", p.Phase, 100*p.Done/p.Total)
	close(goOn)
	// Output:
	// copying: 50 %
}

// The output is a short message that the attempt leaves, such as what a pod
// writes to its termination log.
func ExampleAttempt_SetOutput() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	_ = c.Create(ctx, batch.Job{
		Name: "reindex",
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			a.SetOutput("48213 documents, 17 skipped")
			return nil
		}),
	})
	_, _ = c.Wait(ctx, "reindex")
	attempts, _ := c.Attempts(context.Background(), "reindex")
	fmt.Println(attempts[0].Phase, attempts[0].Output)
	// Output:
	// Succeeded 48213 documents, 17 skipped
}

// An attempt is ready from its start unless it says otherwise.
func ExampleAttempt_SetReady() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	warm, goOn := make(chan struct{}), make(chan struct{})
	_ = c.Create(ctx, batch.Job{
		Name: "replay",
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			a.SetReady(false)
			warm <- struct{}{} // its caches are still cold
			<-goOn
			a.SetReady(true)
			warm <- struct{}{}
			<-goOn
			return nil
		}),
	})
	for range 2 {
		<-warm
		status, _ := c.Get("replay")
		fmt.Println("active", status.Active, "ready", status.Ready)
		goOn <- struct{}{}
	}
	// Output:
	// active 1 ready 0
	// active 1 ready 1
}

// A result counts only if its attempt succeeds, so it can be set as soon as it is known.
func ExampleAttempt_SetResult() {
	ctx := context.Background()
	c, err := batch.New(ctx, batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Shutdown(ctx)
	_, err = c.Run(ctx, batch.Job{
		Name: "digest", Backoff: batch.ConstantBackoff(0), ResultLimit: new(100),
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			if err := a.SetResult(fmt.Sprint("from attempt ", a.Number)); err != nil {
				return err
			}
			if a.Number == 0 {
				return fmt.Errorf("the connection is lost")
			}
			return nil
		}),
	})
	fmt.Println(err)
	results, err := batch.Results[string](ctx, c, "digest")
	for completion, text := range results {
		fmt.Println(completion, text, err)
	}
	// Output:
	// <nil>
	// 0 from attempt 1 <nil>
}

// An attempt says how far it has come, and the next one goes on from there.
func ExampleAttempt_SaveCheckpoint() {
	_, err := batch.Run(context.Background(), batch.Job{
		Name:    "copy",
		Backoff: batch.ConstantBackoff(0),
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			done := 0
			if saved := a.Checkpoint(); saved != nil {
				var err error
				if done, err = strconv.Atoi(string(saved)); err != nil {
					return batch.Permanent(err)
				}
			}
			for part := done; part < 4; part++ {
				if part == 2 && a.Number == 0 {
					return fmt.Errorf("part %d: connection lost", part)
				}
				fmt.Println("attempt", a.Number, "copies part", part)
				if err := a.SaveCheckpoint(context.Background(), fmt.Append(nil, part+1)); err != nil {
					return err
				}
			}
			return nil
		}),
	})
	fmt.Println(err)
	// Output:
	// attempt 0 copies part 0
	// attempt 0 copies part 1
	// attempt 1 copies part 2
	// attempt 1 copies part 3
	// <nil>
}
