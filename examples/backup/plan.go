package main

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"
)

// An entry is one file, folder or symbolic link of the tree. All but SHA256 is
// its fingerprint: while that stays the same, the content is taken to be.
type entry struct {
	Path    string      `json:"path"` // relative, with slashes
	Mode    fs.FileMode `json:"mode"`
	Size    int64       `json:"size,omitempty"`   // of a file
	ModTime time.Time   `json:"modTime,omitzero"` // of a file or link
	Link    string      `json:"link,omitempty"`   // where a link leads
	SHA256  string      `json:"sha256,omitempty"` // of a file's content, in hex
}

// newEntry describes a file, folder or link by its info. The time of a folder
// is left out: it changes with every file that comes or goes, which other
// entries tell already.
func newEntry(tree fs.FS, path string, info fs.FileInfo) (entry, error) {
	e := entry{Path: path, Mode: info.Mode()}
	switch e.Mode.Type() {
	case 0:
		e.Size, e.ModTime = info.Size(), info.ModTime()
	case fs.ModeSymlink:
		link, err := fs.ReadLink(tree, path)
		if err != nil {
			return entry{}, err
		}
		e.Link, e.ModTime = link, info.ModTime()
	}
	return e, nil
}

// sameFingerprint compares everything but the content's hash.
func sameFingerprint(a, b entry) bool {
	return a.Path == b.Path && a.Mode == b.Mode && a.Size == b.Size &&
		a.ModTime.Equal(b.ModTime) && a.Link == b.Link
}

// scan lists the tree in order of path. Sockets, pipes and devices have no
// content that could be saved; they are listed apart.
func scan(ctx context.Context, tree fs.FS) (entries []entry, special []string, err error) {
	err = fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil || path == "." {
			return err
		}
		if t := d.Type(); t != 0 && t != fs.ModeDir && t != fs.ModeSymlink {
			special = append(special, path)
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e, err := newEntry(tree, path, info)
		entries = append(entries, e)
		return err
	})
	slices.SortFunc(entries, byPath)
	return entries, special, err
}

func byPath(a, b entry) int { return cmp.Compare(a.Path, b.Path) }

// A shard is the part of the tree that goes into one archive.
type shard struct {
	number, of int
	entries    []entry // in order of path
	size       int64   // of all files, in bytes
}

// name is the shard's name without extension, such as "shard-03-of-16". The
// number of shards is in it so that a new division of the tree leaves the
// archives of the old one alone until it is complete.
func (s shard) name() string {
	width := len(strconv.Itoa(s.of))
	return fmt.Sprintf("shard-%0*d-of-%d", width, s.number, s.of)
}

func (s shard) archive() string  { return s.name() + ".tar.gz" }
func (s shard) manifest() string { return s.name() + ".json" }

func (s *shard) add(e entry) {
	s.entries = append(s.entries, e)
	s.size += e.Size
}

// divide assigns every entry to one of n shards of about the same size. The
// same tree is always divided in the same way. A file that an earlier run has
// put into a shard stays there, so that a changed file concerns one shard only.
//
// All folders go into the last shard. When the archives are unpacked in order,
// a folder gets its mode, perhaps read-only, after its files were written.
func divide(entries []entry, n int, earlier []manifest) []shard {
	shards := make([]shard, n)
	for i := range shards {
		shards[i].number, shards[i].of = i, n
	}
	home := homes(earlier)
	var homeless []entry
	for _, e := range entries {
		number, known := home[e.Path]
		switch {
		case e.Mode.IsDir():
			shards[n-1].add(e)
		case known:
			shards[number].add(e)
		default:
			homeless = append(homeless, e)
		}
	}
	fill(shards, homeless)
	for _, s := range shards {
		slices.SortFunc(s.entries, byPath)
	}
	return shards
}

// homes says which shard each path was in.
func homes(earlier []manifest) map[string]int {
	home := make(map[string]int)
	for _, m := range earlier {
		for _, e := range m.Entries {
			if _, taken := home[e.Path]; !taken {
				home[e.Path] = m.Shard
			}
		}
	}
	return home
}

// fill puts each entry, the largest first, into the shard that weighs least by
// then.
func fill(shards []shard, entries []entry) {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), byPath(a, b))
	})
	for _, e := range entries {
		lightest := 0
		for i := range shards {
			if shards[i].weight() < shards[lightest].weight() {
				lightest = i
			}
		}
		shards[lightest].add(e)
	}
}

// weight is about what the shard takes in a tar: its files, and a header for
// each entry. Without the headers, all empty files would go into one shard.
func (s shard) weight() int64 { return s.size + 512*int64(len(s.entries)) }
