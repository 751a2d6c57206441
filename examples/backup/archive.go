package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

var (
	// errChanged: a file was written to while it was read. It may be quiet
	// the next time, so this is worth a retry.
	errChanged = errors.New("changed while it was read")
	// errDamaged: an archive does not hold what was put into it.
	errDamaged = errors.New("archive does not match the source")
	// errSpecial: a file has become something that cannot be archived.
	errSpecial = errors.New("not a file, folder or link")
)

// An archiver writes entries of a tree into one compressed tar.
type archiver struct {
	tree  fs.FS
	gzip  *gzip.Writer
	tar   *tar.Writer
	moved func(bytes int64) // is told of progress
}

func newArchiver(w io.Writer, tree fs.FS, moved func(int64)) *archiver {
	zw := gzip.NewWriter(w)
	return &archiver{tree: tree, gzip: zw, tar: tar.NewWriter(zw), moved: moved}
}

// close completes the archive.
func (ar *archiver) close() error {
	return errors.Join(ar.tar.Close(), ar.gzip.Close())
}

// add appends what is at path now, and returns it as it was read: it may have
// changed since the tree was listed.
func (ar *archiver) add(ctx context.Context, path string) (entry, error) {
	info, err := fs.Lstat(ar.tree, path)
	if err != nil {
		return entry{}, err
	}
	if info.Mode().IsRegular() {
		return ar.addFile(ctx, path)
	}
	if t := info.Mode().Type(); t != fs.ModeDir && t != fs.ModeSymlink {
		return entry{}, fmt.Errorf("%s: %w", path, errSpecial)
	}
	e, err := newEntry(ar.tree, path, info)
	if err != nil {
		return entry{}, err
	}
	return e, ar.header(e, info)
}

func (ar *archiver) addFile(ctx context.Context, path string) (entry, error) {
	f, err := ar.tree.Open(path)
	if err != nil {
		return entry{}, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return entry{}, err
	}
	e, err := newEntry(ar.tree, path, before)
	if err != nil {
		return entry{}, err
	}
	if err := ar.header(e, before); err != nil {
		return entry{}, err
	}

	// A file that grows must not write past the size in its header, and one
	// that shrinks cannot fill it. Either way its time or size tells.
	hash := sha256.New()
	n, err := copyAll(ctx, io.MultiWriter(ar.tar, hash), io.LimitReader(f, e.Size), ar.moved)
	if err != nil {
		return entry{}, fmt.Errorf("save %s: %w", path, err)
	}
	after, err := f.Stat()
	if err != nil {
		return entry{}, err
	}
	if n != e.Size || after.Size() != e.Size || !after.ModTime().Equal(e.ModTime) {
		return entry{}, fmt.Errorf("%s: %w", path, errChanged)
	}
	e.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return e, nil
}

func (ar *archiver) header(e entry, info fs.FileInfo) error {
	h, err := tar.FileInfoHeader(info, e.Link)
	if err != nil {
		return err
	}
	h.Name = headerName(e)
	h.Format = tar.FormatPAX // keeps times to the nanosecond, and any name
	return ar.tar.WriteHeader(h)
}

// headerName is an entry's name in a tar, where folders end in a slash.
func headerName(e entry) string {
	if e.Mode.IsDir() {
		return e.Path + "/"
	}
	return e.Path
}

// verify reads an archive to its end and compares it with the entries that
// were written.
func verify(ctx context.Context, r io.Reader, entries []entry, moved func(int64)) error {
	zr, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	tr := tar.NewReader(zr)
	for _, e := range entries {
		if err := verifyNext(ctx, tr, e, moved); err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	if h, err := tr.Next(); err == nil {
		return fmt.Errorf("%s: %w: not of this shard", h.Name, errDamaged)
	}
	// Reading on to the end lets gzip compare its own checksum.
	if _, err := io.Copy(io.Discard, zr); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return nil
}

func verifyNext(ctx context.Context, tr *tar.Reader, e entry, moved func(int64)) error {
	h, err := tr.Next()
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	if h.Name != headerName(e) || h.Linkname != e.Link {
		return fmt.Errorf("%w: found %s", errDamaged, h.Name)
	}
	if !e.Mode.IsRegular() {
		return nil
	}
	hash := sha256.New()
	_, err = copyAll(ctx, hash, tr, moved)
	if ctx.Err() != nil {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != e.SHA256 {
		return fmt.Errorf("%w: SHA-256 is %s, was %s", errDamaged, got, e.SHA256)
	}
	return nil
}

// copyAll is io.Copy for work that can be stopped: it looks at ctx, and calls
// moved, after every chunk.
func copyAll(ctx context.Context, w io.Writer, r io.Reader, moved func(int64)) (int64, error) {
	const chunk = 64 << 10
	var total int64
	for {
		if ctx.Err() != nil {
			return total, context.Cause(ctx)
		}
		n, err := io.CopyN(w, r, chunk)
		total += n
		moved(n)
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}
