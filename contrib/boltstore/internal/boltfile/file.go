// Package boltfile reads files of bbolt without trusting them. Where bbolt,
// which maps the file into memory and follows what it finds, would crash, loop,
// or read what is not there, this package returns an error.
package boltfile

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// PageSize is the size of a page. Files with pages of another size are not
// read.
const PageSize = 4096

// ErrNotBolt: the file was not written by bbolt, or not with pages of PageSize.
var ErrNotBolt = errors.New("not a bbolt file")

// A Damage is something that bbolt did not write.
type Damage struct {
	Offset  int64 // where in the file
	Problem string
}

// Error says where and what.
func (d *Damage) Error() string { return fmt.Sprintf("at offset %d: %s", d.Offset, d.Problem) }

// A File is read by one goroutine at a time, and only once: a page that is met
// a second time is a damage.
type File struct {
	r      io.ReaderAt
	newest Meta
	other  Meta
	seen   []uint64 // a bit for each page that was read
	depth  int      // of the page that is read next
	bufs   [][]byte // by depth
}

// Open reads the meta pages of a file of the given size.
func Open(r io.ReaderAt, size int64) (*File, error) {
	metas, err := ReadMetas(r)
	if err != nil {
		return nil, err
	}
	newest, other := Newest(metas)
	if err := checkMetas(newest, other, size); err != nil {
		return nil, err
	}
	return &File{r: r, newest: newest, other: other, seen: make([]uint64, newest.pages/64+1)}, nil
}

func checkMetas(newest, other Meta, size int64) error {
	switch {
	case !newest.Valid && !newest.magic && !other.magic:
		return ErrNotBolt
	case !newest.Valid:
		return &Damage{Problem: "neither of the two pages that begin the file is whole"}
	case other.Valid && other.Txid == newest.Txid:
		return &Damage{Problem: "both of the two pages that begin the file are of the same transaction"}
	case newest.pageSize != PageSize:
		return ErrNotBolt
	case newest.pages > math.MaxInt64/PageSize || int64(newest.pages)*PageSize > size:
		return &Damage{
			Offset: size, Problem: fmt.Sprintf("the file ends here, but has %d pages of %d bytes", newest.pages, PageSize),
		}
	}
	return nil
}

// Metas returns the meta page that the file is read by, and the other one.
func (f *File) Metas() (newest, other Meta) { return f.newest, f.other }

// Root returns the bucket that has all others in it.
func (f *File) Root() Bucket { return f.newest.root }

// read reads a page, with those that belong to it. The result is valid until
// another page of the same depth is read.
func (f *File) read(id uint64) (page, error) {
	buf, err := f.readAt(id, 1)
	if err != nil {
		return page{}, err
	}
	p := page{at: int64(id) * PageSize, data: buf}
	if got := order.Uint64(buf); got != id {
		return page{}, p.damage("page %d calls itself %d", id, got)
	}
	if more := uint64(order.Uint32(buf[12:])); more > 0 {
		p.data, err = f.readAt(id, 1+more)
	}
	return p, err
}

// readAt reads n pages.
func (f *File) readAt(id, n uint64) ([]byte, error) {
	if id < 2 || id+n < id || id+n > f.newest.pages {
		return nil, &Damage{
			Problem: fmt.Sprintf("something refers to page %d with %d behind it, and the file has %d", id, n-1, f.newest.pages),
		}
	}
	if f.depth == len(f.bufs) {
		f.bufs = append(f.bufs, nil)
	}
	if uint64(cap(f.bufs[f.depth])) < n*PageSize {
		f.bufs[f.depth] = make([]byte, n*PageSize)
	}
	buf := f.bufs[f.depth][:n*PageSize]
	if _, err := f.r.ReadAt(buf, int64(id)*PageSize); errors.Is(err, io.EOF) {
		return nil, &Damage{Offset: int64(id) * PageSize, Problem: "the file ends within a page"}
	} else if err != nil {
		return nil, err
	}
	return buf, nil
}

// take marks the pages of p, which no other may have.
func (f *File) take(p page) error {
	first := uint64(p.at) / PageSize
	for id := first; id < first+uint64(len(p.data))/PageSize; id++ {
		if f.seen[id/64]&(1<<(id%64)) != 0 {
			return p.damage("page %d is referred to twice", id)
		}
		f.seen[id/64] |= 1 << (id % 64)
	}
	return nil
}
