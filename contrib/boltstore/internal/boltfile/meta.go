package boltfile

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
)

const (
	magic   = 0xED0CDAED
	version = 2
	// noFreelist is where a meta page says the list of free pages is, if the
	// file has none.
	noFreelist = ^uint64(0)
)

// The parts of a meta page: the header of every page, what is summed up, and
// the sum.
const (
	pageHeader = 16
	sumAt      = pageHeader + 56
	metaEnd    = sumAt + 8
)

var order = binary.NativeEndian // which is what bbolt writes

// A Meta is one of the two pages that a file begins with. A transaction writes
// its own over that of the last but one.
type Meta struct {
	Slot  int    // which of the two pages it is
	Valid bool   // whether it is whole
	Txid  uint64 // the number of the transaction that wrote it
	Sum   uint64 // the checksum that it has

	right    uint64 // the checksum that it should have
	magic    bool
	version  uint32
	pageSize uint32
	freelist uint64
	pages    uint64 // how many pages of the file are in use, or free
	root     Bucket
}

// TornOver reports whether a page that is not valid is what is left of a write
// that was cut short, over a page with the given checksum. The checksum is
// the last that is written.
func (m Meta) TornOver(sum uint64) bool {
	var torn, right, was [8]byte
	order.PutUint64(torn[:], m.Sum)
	order.PutUint64(right[:], m.right)
	order.PutUint64(was[:], sum)
	for written := range len(torn) {
		mixed := was
		copy(mixed[:written], right[:])
		if torn == mixed {
			return true
		}
	}
	return false
}

// ReadMetas reads the two meta pages. Pages that the file is too short for are
// not valid.
func ReadMetas(r io.ReaderAt) ([2]Meta, error) {
	var metas [2]Meta
	for slot := range metas {
		var page [metaEnd]byte
		if _, err := r.ReadAt(page[:], int64(slot)*PageSize); err != nil && !errors.Is(err, io.EOF) {
			return metas, err
		}
		metas[slot] = parseMeta(slot, page[:])
	}
	return metas, nil
}

func parseMeta(slot int, page []byte) Meta {
	body := page[pageHeader:]
	sum := fnv.New64a()
	_, _ = sum.Write(page[pageHeader:sumAt])
	m := Meta{
		Slot:     slot,
		Sum:      order.Uint64(page[sumAt:]),
		right:    sum.Sum64(),
		magic:    order.Uint32(body) == magic,
		version:  order.Uint32(body[4:]),
		pageSize: order.Uint32(body[8:]),
		root:     Bucket{root: order.Uint64(body[16:])},
		freelist: order.Uint64(body[32:]),
		pages:    order.Uint64(body[40:]),
		Txid:     order.Uint64(body[48:]),
	}
	m.Valid = m.magic && m.version == version && m.Sum == m.right
	return m
}

// Newest returns the meta page that bbolt goes by, and the other one.
func Newest(metas [2]Meta) (newest, other Meta) {
	if metas[1].Valid && (!metas[0].Valid || metas[1].Txid > metas[0].Txid) {
		return metas[1], metas[0]
	}
	return metas[0], metas[1]
}
