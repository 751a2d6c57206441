package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/runtocompletion/batch"
)

// errInjected: this is what -flaky does.
var errInjected = errors.New("injected by -flaky")

// Execute saves one shard. It may be called again for a shard, by this run or
// a later one: what is verified is left alone.
func (b *backup) Execute(ctx context.Context, a batch.Attempt) error {
	if b.isDone(a.Index) {
		return nil
	}
	m, err := b.save(ctx, a, b.shards[a.Index])
	switch {
	case unreadable(err):
		return batch.Permanent(err)
	case err != nil:
		return err
	}
	b.mu.Lock()
	b.done[a.Index] = saved{manifest: m, attempts: a.Number + 1}
	b.mu.Unlock()
	a.SetOutput(describe(m))
	return nil
}

func (b *backup) isDone(number int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.done[number]
	return ok
}

// unreadable reports whether another try would fail too: a file may not be
// read, is gone since the tree was listed, has a name that package fs refuses,
// or has become a device.
func unreadable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) ||
		errors.Is(err, fs.ErrInvalid) || errors.Is(err, errSpecial)
}

// save writes the shard's archive under a temporary name and verifies it. Only
// then does it take the place of an older one, and get its manifest.
func (b *backup) save(ctx context.Context, a batch.Attempt, s shard) (manifest, error) {
	f, err := os.CreateTemp(b.dst, s.archive()+".tmp*")
	if err != nil {
		return manifest{}, err
	}
	defer os.Remove(f.Name()) // finds nothing once the file was renamed
	m, err := b.writeAndVerify(ctx, a, s, f)
	if err != nil {
		return manifest{}, errors.Join(err, f.Close())
	}
	if err := commit(f, filepath.Join(b.dst, s.archive())); err != nil {
		return manifest{}, err
	}
	return m, m.write(b.dst, s)
}

// writeAndVerify fills f. Reading back is half of the work, and so the
// progress is out of twice the shard's size.
func (b *backup) writeAndVerify(ctx context.Context, a batch.Attempt, s shard, f *os.File) (manifest, error) {
	var done int64
	phase := "archiving"
	moved := func(n int64) {
		done += n
		a.Progress(done, 2*s.size, phase)
	}
	entries, err := b.write(ctx, a, s, f, moved)
	if err != nil {
		return manifest{}, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return manifest{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return manifest{}, err
	}
	phase = "verifying"
	hash := sha256.New()
	if err := verify(ctx, io.TeeReader(f, hash), entries, moved); err != nil {
		return manifest{}, err
	}
	return manifest{
		Source: b.src, Shard: s.number, Of: s.of,
		Archive: s.archive(), Size: size, SHA256: hex.EncodeToString(hash.Sum(nil)),
		Entries: entries,
	}, nil
}

// write archives the shard's entries and returns them as they were read. With
// -flaky it fails half-way now and then.
func (b *backup) write(ctx context.Context, a batch.Attempt, s shard, w io.Writer, moved func(int64)) ([]entry, error) {
	ar := newArchiver(w, b.tree, moved)
	entries := make([]entry, 0, len(s.entries))
	for i, e := range s.entries {
		if i == len(s.entries)/2 && a.Index%3 == 0 && a.Number < b.flaky {
			return nil, fmt.Errorf("after %d of %d entries: %w", i, len(s.entries), errInjected)
		}
		read, err := ar.add(ctx, e.Path)
		if err != nil {
			return nil, err
		}
		entries = append(entries, read)
	}
	return entries, ar.close()
}
