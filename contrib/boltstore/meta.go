package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"runtime/debug"

	"github.com/runtocompletion/batch/contrib/boltstore/internal/boltfile"
)

// A metaPage is one of the two pages that bbolt goes by.
type metaPage struct {
	at   int64
	data []byte
}

// errNoMeta: what was read is not the file that bbolt has open.
var errNoMeta = errors.New("the pages that begin the file cannot be read")

// newestMeta reads what bbolt goes by now.
func newestMeta(r io.ReaderAt) (boltfile.Meta, error) {
	metas, err := boltfile.ReadMetas(r)
	if err != nil {
		return boltfile.Meta{}, err
	}
	newest, _ := boltfile.Newest(metas)
	if !newest.Valid {
		return boltfile.Meta{}, errNoMeta
	}
	return newest, nil
}

// newestMetaPage reads the page that bbolt goes by now.
func newestMetaPage(r io.ReaderAt) (*metaPage, error) {
	newest, err := newestMeta(r)
	if err != nil {
		return nil, err
	}
	page := &metaPage{at: int64(newest.Slot) * boltfile.PageSize, data: make([]byte, boltfile.PageSize)}
	_, err = r.ReadAt(page.data, page.at)
	return page, err
}

// A disk is what rewrite needs of a file.
type disk interface {
	io.WriterAt
	Sync() error
}

// rewrite makes sure that a meta page is on the disk. One that was written may
// not be there: its sync has failed, and then the system takes it for written,
// so that another sync would do nothing; or the process was killed before it.
// Before anything is told of what the page stands for, or the pages that only
// the one before it refers to are written over, it is written again.
func (p *metaPage) rewrite(d disk) error {
	if _, err := d.WriteAt(p.data, p.at); err != nil {
		return err
	}
	return d.Sync()
}

// readLast reads what the file goes by now: that is what it went by before or, if
// a commit has failed, perhaps what that has written. Otherwise others have
// written to it.
func (s *Store) readLast() error {
	metas, err := boltfile.ReadMetas(s.file)
	if err != nil {
		return err
	}
	newest, other := boltfile.Newest(metas)
	if !newest.Valid {
		return errNoMeta
	}
	follows := s.unsure && newest.Txid == s.last.Txid+1 && isSame(other, s.last)
	if s.last.Valid && !follows && !isSame(newest, s.last) {
		return s.overwritten()
	}
	s.last, s.unsure = newest, false
	return nil
}

func isSame(a, b boltfile.Meta) bool { return a.Valid == b.Valid && a.Txid == b.Txid && a.Sum == b.Sum }

// overwritten gives up a file that is not as it was left. It may be again, if what
// it was is put back.
func (s *Store) overwritten() error {
	s.db = nil
	const problem = "it is not what was committed last: somebody else has written to it while it was open"
	return &CorruptError{Path: s.path, Problem: problem}
}

// checkName checks that the file has its name: one that was removed is not found,
// renamed or replaced.
func (s *Store) checkName() error {
	named, err := os.Stat(s.absolute)
	switch {
	case err == nil && os.SameFile(named, s.info):
		return nil
	case err == nil:
		return ErrMoved
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", ErrMoved, err)
	case errors.Is(err, fs.ErrPermission): // it was opened with more rights
		return s.checkLinks()
	}
	return err
}

func (s *Store) checkLinks() error {
	info, err := s.file.Stat()
	if err == nil && isUnlinked(info) {
		err = ErrMoved
	}
	return err
}

// A receipt says which transaction is on the disk. It is written after that into
// the free part of the other meta page, and not synced: where it is found, its
// transaction must be. Without it, a meta page that is lost could not be told from
// a commit that was cut short.
type receipt struct{ txid, sum uint64 }

const (
	receiptAt    = 2048 // in a meta page, far behind what bbolt writes
	receiptMagic = "batch/ok"
	receiptSize  = len(receiptMagic) + 8 + 8 + 4
)

func writeReceipt(w io.WriterAt, slot int, of boltfile.Meta) error {
	data := append(make([]byte, 0, receiptSize), receiptMagic...)
	data = binary.LittleEndian.AppendUint64(data, of.Txid)
	data = binary.LittleEndian.AppendUint64(data, of.Sum)
	data = binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
	_, err := w.WriteAt(data, int64(slot)*boltfile.PageSize+receiptAt)
	return err
}

// readReceipt returns the receipt in a meta page; nil if there is none.
func readReceipt(r io.ReaderAt, slot int) (*receipt, error) {
	data := make([]byte, receiptSize)
	if _, err := r.ReadAt(data, int64(slot)*boltfile.PageSize+receiptAt); err != nil {
		return nil, err
	}
	body, sum := data[:receiptSize-4], binary.LittleEndian.Uint32(data[receiptSize-4:])
	if crc32.Checksum(body, castagnoli) != sum || string(body[:len(receiptMagic)]) != receiptMagic {
		return nil, nil
	}
	body = body[len(receiptMagic):]
	return &receipt{binary.LittleEndian.Uint64(body), binary.LittleEndian.Uint64(body[8:])}, nil
}

// contradicts reports whether the receipt is for something else than the newest
// meta page, and not for one before it.
func (r *receipt) contradicts(newest boltfile.Meta) bool {
	return r.txid > newest.Txid || r.txid == newest.Txid && r.sum != newest.Sum
}

// guard calls f, which calls bbolt, and turns a panic into an error: bbolt
// panics if the file is not as it should be, or, as it maps the file into
// memory, if the disk cannot be read or the file was cut.
func guard(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{CorruptError{Path: path, Problem: fmt.Sprintf("reading it panicked: %v", p)}}
		}
	}()
	return f()
}
