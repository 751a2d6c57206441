package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/runtocompletion/batch"
)

// An importer is the executor of the job. There is one attempt at a time.
type importer struct {
	config
	tree     fs.FS
	db       *database
	progress progress
	stop     context.CancelCauseFunc // ends this process's part in the job
}

// Execute imports the files that earlier attempts have not. What goes wrong, such
// as a full disk, is for somebody to mend: the attempt does not fail, but waits
// for the shutdown, and the next process goes on.
func (im *importer) Execute(ctx context.Context, a batch.Attempt) error {
	err := im.importFiles(ctx, a)
	if err != nil && ctx.Err() == nil {
		im.stop(err)
		<-ctx.Done()
	}
	return err
}

func (im *importer) importFiles(ctx context.Context, a batch.Attempt) error {
	paths, err := list(ctx, im.tree)
	if err != nil {
		return fmt.Errorf("list the Go files of %s: %w", im.src, err)
	}
	if err := im.claimDatabase(ctx, a); err != nil {
		return err
	}
	im.progress.total = len(paths)
	files := batch.Iteration[file, string]{
		Items:      func(_ context.Context, after string) iter.Seq2[file, error] { return im.filesBehind(paths, after) },
		Cursor:     func(f file) string { return f.path },
		DoChunk:    im.importChunk,
		ChunkSize:  20,
		MaxSkipped: im.skip,
		SkipOn:     batch.ErrorAs[*fs.PathError](), // it is the file's fault
		SaveEvery:  100 * time.Millisecond,
		Total:      len(paths),
	}
	result, err := files.Run(ctx, a)
	if err != nil {
		return err
	}
	return im.db.noteSkipped(ctx, result.Skipped)
}

// claimDatabase makes sure that files go where those before have gone. The job's
// first attempt takes a database of its own, and a checkpoint, beside that of the
// iteration, tells those after it that it has.
func (im *importer) claimDatabase(ctx context.Context, a batch.Attempt) error {
	job, _, _ := strings.Cut(a.Token(), "/")
	if a.Checkpoint() != nil {
		return im.db.check(ctx, origin{job, im.src})
	}
	if err := im.db.claim(ctx, origin{job, im.src}); err != nil {
		return err
	}
	return a.SaveCheckpoint(ctx, []byte("claimed"))
}

// A file is one to import.
type file struct {
	path   string
	number int // in the order of the tree, from 1
}

// list returns the paths of the Go files, in an order in which a path is enough
// to say which files come behind it.
func list(ctx context.Context, tree fs.FS) ([]string, error) {
	var paths []string
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || ctx.Err() != nil:
			return errors.Join(err, context.Cause(ctx))
		case !d.Type().IsRegular() || !strings.HasSuffix(path, ".go"):
			return nil
		case !utf8.ValidString(path):
			return fmt.Errorf("%q: the name is not UTF-8", path) // no cursor can be
		}
		paths = append(paths, path)
		return nil
	})
	if err == nil && len(paths) == 0 {
		err = errors.New("there are none")
	}
	slices.Sort(paths)
	return paths, err
}

// filesBehind walks over the files behind a path.
func (im *importer) filesBehind(paths []string, after string) iter.Seq2[file, error] {
	return func(yield func(file, error) bool) {
		first, found := slices.BinarySearch(paths, after)
		if found {
			first++
		}
		im.progress.start(after, first)
		for i, path := range paths[first:] {
			if !yield(file{path, first + i + 1}, nil) {
				return
			}
		}
	}
}

// importChunk imports some files, all or none. Doing it again changes nothing.
func (im *importer) importChunk(ctx context.Context, files []file) error {
	rows := make([]row, len(files))
	for i, f := range files {
		if err := sleep(ctx, im.slow); err != nil {
			return err
		}
		text, err := fs.ReadFile(im.tree, f.path)
		if err == nil && !utf8.Valid(text) {
			err = &fs.PathError{Op: "read", Path: f.path, Err: errors.New("not UTF-8")}
		}
		if err != nil {
			return err
		}
		rows[i] = row{f.path, string(text)}
	}
	if err := im.db.put(ctx, rows); err != nil {
		return err
	}
	im.progress.reach(files[len(files)-1].number)
	return nil
}

// sleep returns early, with an error, if ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
