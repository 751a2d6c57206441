package main

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cluster"
)

// functions are those of this program, here and in its pods.
var functions = &cluster.Functions{Executors: map[string]batch.Executor{"save-shard": batch.ExecutorFunc(saveShard)}}

// A plan is the input of the job.
type plan struct {
	From, To string
	Shards   int
}

// A shard is the result of one index.
type shard struct {
	Files  int
	Bytes  int64
	SHA256 string // of the archive
	Host   string
}

// saveShard writes the files of one shard into an archive, and reads that again. The
// archive has its name only when it is right: an attempt that is cut short leaves none.
func saveShard(ctx context.Context, a batch.Attempt) error {
	p, err := batch.Input[plan](a)
	if err != nil {
		return err
	}
	name := filepath.Join(p.To, fmt.Sprintf("shard-%d.tar", a.Index))
	temp := name + "." + a.UID()
	s, err := p.write(ctx, a, temp)
	if err == nil {
		err = verify(temp, s)
	}
	if err == nil {
		err = os.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if s.Host, err = os.Hostname(); err != nil {
		return err
	}
	a.Logger().Info("shard saved", "files", s.Files)
	return a.SetResult(s)
}

func (p *plan) write(ctx context.Context, a batch.Attempt, path string) (s shard, err error) {
	file, err := os.Create(path)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	hash := sha256.New()
	archive := tar.NewWriter(io.MultiWriter(file, hash))
	tree := os.DirFS(p.From)
	err = fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !entry.Type().IsRegular() || p.shardOf(path) != a.Index:
			return nil
		}
		n, err := add(archive, tree, path)
		s.Files++
		s.Bytes += n
		a.Progress(s.Bytes, 0, "saving")
		return err
	})
	err = errors.Join(err, archive.Close())
	s.SHA256 = fmt.Sprintf("%x", hash.Sum(nil))
	return s, err
}

// shardOf spreads files by their names.
func (p *plan) shardOf(path string) int {
	h := fnv.New32a()
	h.Write([]byte(path))
	return int(h.Sum32() % uint32(p.Shards))
}

func add(archive *tar.Writer, tree fs.FS, path string) (int64, error) {
	file, err := tree.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	header, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return 0, err
	}
	header.Name = path
	if err := archive.WriteHeader(header); err != nil {
		return 0, err
	}
	return io.Copy(archive, file)
}

// verify reads an archive, which is to have what was written.
func verify(path string, s shard) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	hash := sha256.New()
	files, archive := 0, tar.NewReader(io.TeeReader(file, hash))
	for {
		_, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		files++
	}
	if _, err := io.Copy(hash, file); err != nil {
		return err
	}
	if sum := fmt.Sprintf("%x", hash.Sum(nil)); sum != s.SHA256 || files != s.Files {
		return fmt.Errorf("%s: %d files with SHA-256 %s, want %d with %s", path, files, sum, s.Files, s.SHA256)
	}
	return nil
}
