package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/runtocompletion/batch"
)

// A request asks for a job. What it leaves out has the default of the kind or
// of package batch.
type request struct {
	Kind string `json:"kind"` // "checksum" or "countdown"
	Name string `json:"name"`

	Path    string `json:"path"`    // checksum: the folder, below the root
	Shards  *int   `json:"shards"`  // checksum: how many parts; 4 if left out
	Seconds int    `json:"seconds"` // countdown: where to begin

	Parallelism *int `json:"parallelism"`
	Retries     *int `json:"retries"` // of each shard
	Suspend     bool `json:"suspend"`
	KeepSeconds *int `json:"keepSeconds"` // remove the job so long after its end
}

// job makes the job that is asked for. The request is its input: so a service that
// starts again finds it in its store, with the job. What package batch finds wrong with
// it is left to Controller.Create.
func (r request) job(root fs.FS) (batch.Job, error) {
	job := batch.Job{
		Name:                   r.Name,
		Labels:                 map[string]string{"kind": r.Kind},
		CompletionMode:         batch.Indexed,
		Parallelism:            r.Parallelism,
		BackoffLimitPerIndex:   r.Retries,
		Backoff:                batch.ExponentialBackoff(time.Second, time.Minute, 0.2),
		TerminationGracePeriod: new(5 * time.Second),
		LogLimit:               new(1 << 20),
		Suspend:                r.Suspend,
		Executor:               requested{root},
	}
	if r.KeepSeconds != nil {
		job.TTLAfterFinished = new(time.Duration(*r.KeepSeconds) * time.Second)
	}
	switch r.Kind {
	case "checksum":
		if info, err := fs.Stat(root, r.Path); err != nil || !info.IsDir() {
			return job, invalid(r.Name, "path", "Invalid", r.Path, "must be a folder below the root, such as net/http or .")
		}
		if r.Shards == nil {
			r.Shards = new(4)
		}
		job.Completions = r.Shards
	case "countdown":
		job.Completions = new(1)
	default:
		return job, invalid(r.Name, "kind", "NotSupported", r.Kind, "must be checksum or countdown")
	}
	job.Input = r
	return job, nil
}

// Requested is the executor of all jobs that are asked for. What one is to do is in its
// input.
type requested struct{ root fs.FS }

// Execute does what was asked for.
func (w requested) Execute(ctx context.Context, a batch.Attempt) error {
	r, err := batch.Input[request](a)
	if err != nil {
		return err
	}
	switch r.Kind {
	case "checksum":
		return checksum{root: w.root, path: r.Path, shards: *r.Shards}.Execute(ctx, a)
	case "countdown":
		return countdown(r.Seconds).Execute(ctx, a)
	}
	return batch.Permanent(fmt.Errorf("kind %q: this version of the service does not have it", r.Kind))
}

// invalid reports a field of the request as package batch reports its own.
func invalid(job, field string, kind string, value, detail string) error {
	return &batch.ValidationError{Job: job, Fields: []batch.FieldError{
		{Field: field, Kind: kind, Value: value, Detail: detail},
	}}
}

// A checksum executor prints the SHA-256 of all files of a folder, as sha256sum
// does. Of n shards, shard i does every n-th file from the i-th on.
type checksum struct {
	root   fs.FS
	path   string
	shards int
}

// Execute does one shard. A file that cannot be read fails it, to be tried
// again.
func (c checksum) Execute(ctx context.Context, a batch.Attempt) error {
	files, err := c.files(a.Index)
	if err != nil {
		return err
	}
	var bytes int64
	for i, name := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		sum, n, err := c.sum(name)
		if err != nil {
			return err
		}
		bytes += n
		fmt.Fprintf(a.Stdout(), "%s  %s\n", sum, name)
		a.Progress(int64(i+1), int64(len(files)), "hashing")
	}
	a.SetOutput(fmt.Sprintf("%d files, %d bytes", len(files), bytes))
	return a.SetResult(total{len(files), bytes})
}

// A total is the result of one shard.
type total struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// files lists the files of one shard. The order of a walk is always the same.
func (c checksum) files(shard int) ([]string, error) {
	var names []string
	count := 0
	err := fs.WalkDir(c.root, c.path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if count%c.shards == shard {
			names = append(names, name)
		}
		count++
		return nil
	})
	return names, err
}

func (c checksum) sum(name string) (sum string, bytes int64, err error) {
	f, err := c.root.Open(name)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	hash := sha256.New()
	bytes, err = io.Copy(hash, f)
	return fmt.Sprintf("%x", hash.Sum(nil)), bytes, err
}

// A countdown executor writes a line each second until it arrives at zero. It
// is there to be suspended, followed, and interrupted.
type countdown int

// Execute counts down.
func (c countdown) Execute(ctx context.Context, a batch.Attempt) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for left := int(c); left > 0; left-- {
		fmt.Fprintln(a.Stdout(), left)
		a.Progress(int64(int(c)-left), int64(c), "counting")
		select {
		case <-ticker.C:
		case <-ctx.Done():
			fmt.Fprintln(a.Stdout(), "interrupted:", context.Cause(ctx))
			return context.Cause(ctx)
		}
	}
	fmt.Fprintln(a.Stdout(), "done")
	return nil
}
