package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runtocompletion/batch"
)

const jobName = "backup"

// errInterrupted: the backup was stopped before all shards were verified.
var errInterrupted = errors.New("interrupted; run it again to resume")

// A backup is one run of the program. It is the executor of its job.
type backup struct {
	config
	tree    fs.FS
	shards  []shard
	earlier []manifest // left by earlier runs, perhaps of another division

	mu   sync.Mutex    // guards the field below
	done map[int]saved // the shards that are verified, by number
}

// A saved shard has an archive and a manifest that match the source.
type saved struct {
	manifest manifest
	attempts int // how many it took; 0 if an earlier run did it
}

// backUp saves tree, which is the folder cfg.src, to cfg.dst.
func backUp(ctx context.Context, cfg config, tree fs.FS, out io.Writer) error {
	b := &backup{config: cfg, tree: tree, done: make(map[int]saved)}
	if err := b.prepare(ctx, out); err != nil {
		return err
	}
	if err := b.resume(ctx); err != nil {
		return err
	}
	if n := len(b.done); n > 0 {
		fmt.Fprintf(out, "resumed: %d of %d shards already verified\n", n, len(b.shards))
	}
	start := time.Now()
	status, err := b.run(ctx, out)
	if err == nil {
		err = b.finish()
	}
	if status.Name != "" {
		b.summarize(out, status, time.Since(start))
	}
	if failed, ok := errors.AsType[*batch.JobError](err); ok {
		return b.missing(out, status, failed)
	}
	return err
}

// prepare finds out what there is to do.
func (b *backup) prepare(ctx context.Context, out io.Writer) error {
	entries, special, err := scan(ctx, b.tree)
	if err != nil {
		return fmt.Errorf("list %s: %w", b.src, err)
	}
	if err := os.MkdirAll(b.dst, 0o700); err != nil {
		return err
	}
	if err := checkApart(b.src, b.dst); err != nil {
		return err
	}
	if b.earlier, err = readManifests(b.dst, b.src); err != nil {
		return err
	}
	b.earlier = slices.DeleteFunc(b.earlier, func(m manifest) bool { return m.Of != b.shardCount })
	b.shards = divide(entries, b.shardCount, b.earlier)

	var size int64
	for _, s := range b.shards {
		size += s.size
	}
	fmt.Fprintf(out, "source:      %s (%d entries, %s)\n", b.src, len(entries), humanBytes(size))
	fmt.Fprintf(out, "destination: %s (%d shards, %d at once)\n", b.dst, len(b.shards), b.parallel)
	for _, path := range special {
		fmt.Fprintf(out, "left out:    %s: %v\n", path, errSpecial)
	}
	return nil
}

// checkApart refuses a destination inside of the source, which would grow by
// being backed up.
func checkApart(src, dst string) error {
	realSrc, err := filepath.EvalSymlinks(src)
	if err != nil {
		return err
	}
	realDst, err := filepath.EvalSymlinks(dst)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(realSrc, realDst)
	if err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return fmt.Errorf("the destination %s is inside of the source", dst)
	}
	return nil
}

// resume finds the shards that an earlier run has verified and that have not
// changed since. If any is left to do, the backup is not complete any more,
// and SHA256SUMS goes.
func (b *backup) resume(ctx context.Context) error {
	job := batch.Job{Name: "resume", Parallelism: new(b.parallel), BackoffLimit: new(0)}
	intact, err := batch.Map(ctx, job, b.earlier, func(ctx context.Context, m manifest) (bool, error) {
		if m.Shard >= len(b.shards) || !m.describes(b.shards[m.Shard]) {
			return false, nil
		}
		return m.archiveIntact(ctx, b.dst)
	})
	if err != nil {
		return err
	}
	for i, m := range b.earlier {
		if intact[i] {
			b.done[m.Shard] = saved{manifest: m}
		}
	}
	if len(b.done) == len(b.shards) {
		return nil
	}
	err = os.Remove(filepath.Join(b.dst, sumsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// job describes the work: an index for each shard.
func (b *backup) job() batch.Job {
	return batch.Job{
		Name:           jobName,
		CompletionMode: batch.Indexed,
		Completions:    new(len(b.shards)),
		Parallelism:    new(b.parallel),
		// A bad shard is given up after so many failures; the others go on.
		BackoffLimitPerIndex: new(b.retries),
		Backoff:              batch.ExponentialBackoff(b.backoff, 10*time.Second, 0.2),
		// Two attempts must never work on the same shard at once.
		ReplacementPolicy: batch.ReplaceFailed,
		// All attempts stay known, for the display and the summary.
		History:  new(len(b.shards) * (b.retries + 1)),
		Executor: b,
	}
}

// run runs the job to its end, or until ctx ends.
func (b *backup) run(ctx context.Context, out io.Writer) (batch.Status, error) {
	c, err := batch.New(ctx, batch.Options{})
	if err != nil {
		return batch.Status{}, err
	}
	if err := c.Create(ctx, b.job()); err != nil {
		return batch.Status{}, err
	}
	d := newDisplay(out, c, b.shards)
	stop := d.start(context.WithoutCancel(ctx))
	defer stop()

	status, err := c.Wait(ctx, jobName)
	if ctx.Err() != nil {
		d.say("stopping: running shards may finish; press Ctrl-C again to stop them too")
	}
	if err := shutdown(ctx, c, b.grace); err != nil {
		return status, err
	}
	if status.Finished() {
		return status, err
	}
	// The last running shards may have ended the job after all.
	status, err = c.Wait(context.WithoutCancel(ctx), jobName)
	if errors.Is(err, batch.ErrShutdown) {
		err = errInterrupted
	}
	return status, err
}

// shutdown ends the controller. Running attempts may go on until grace is over
// or Ctrl-C is pressed (once more); then they are cancelled.
func shutdown(ctx context.Context, c *batch.Controller, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	return c.Shutdown(ctx)
}

// finish completes the destination once all shards are verified. The folder is
// flushed only now: a shard whose rename a crash undoes is just done again.
func (b *backup) finish() error {
	if err := writeSums(b.dst, b.manifests()); err != nil {
		return err
	}
	if err := removeOthers(b.dst, b.shards); err != nil {
		return err
	}
	return syncFolder(b.dst)
}

// manifests returns those of the verified shards, in order of their number.
func (b *backup) manifests() []manifest {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []manifest
	for _, number := range slices.Sorted(maps.Keys(b.done)) {
		all = append(all, b.done[number].manifest)
	}
	return all
}
