package boltfile

import "fmt"

// The kinds of a page, and the mark of a bucket among the elements of a leaf.
const (
	branchPage    = 0x01
	leafPage      = 0x02
	bucketElement = 0x01
)

const elementSize = 16

// A page is a node of a bucket's tree: of elements that refer to other pages,
// or of entries. One that lies within an entry is that of a small bucket.
type page struct {
	at   int64  // its place in the file, to tell of
	data []byte // with its header
}

func (p page) kind() uint16 { return order.Uint16(p.data[8:]) }
func (p page) count() int   { return int(order.Uint16(p.data[10:])) }

func (p page) damage(format string, args ...any) error {
	return &Damage{Offset: p.at, Problem: fmt.Sprintf(format, args...)}
}

// check looks at the header, and whether the elements fit in the page.
func (p page) check() error {
	switch kind := p.kind(); {
	case kind != branchPage && kind != leafPage:
		return p.damage("a page of kind %#x where one of a tree should be", kind)
	case pageHeader+p.count()*elementSize > len(p.data):
		return p.damage("a page of %d bytes has %d elements", len(p.data), p.count())
	case kind == branchPage && p.count() == 0:
		return p.damage("a page that should refer to others is empty")
	}
	return nil
}

// child returns the key of an element, and the page that it refers to.
func (p page) child(i int) (key []byte, id uint64, err error) {
	e := p.data[pageHeader+i*elementSize:]
	key, _, err = p.cut(i, order.Uint32(e), order.Uint32(e[4:]), 0)
	return key, order.Uint64(e[8:]), err
}

// entry returns the key and the value of an element.
func (p page) entry(i int) (key, value []byte, bucket bool, err error) {
	e := p.data[pageHeader+i*elementSize:]
	flags := order.Uint32(e)
	if flags&^bucketElement != 0 {
		return nil, nil, false, p.damage("element %d has flags %#x", i, flags)
	}
	key, value, err = p.cut(i, order.Uint32(e[4:]), order.Uint32(e[8:]), order.Uint32(e[12:]))
	return key, value, flags == bucketElement, err
}

// cut returns the key and the value that begin pos bytes behind the element.
func (p page) cut(i int, pos, keySize, valueSize uint32) (key, value []byte, err error) {
	start := uint64(pageHeader+i*elementSize) + uint64(pos)
	middle := start + uint64(keySize)
	end := middle + uint64(valueSize)
	if start < uint64(pageHeader+p.count()*elementSize) || end > uint64(len(p.data)) {
		return nil, nil, p.damage("element %d lies outside of its page", i)
	}
	if keySize == 0 {
		return nil, nil, p.damage("element %d has no key", i)
	}
	return p.data[start:middle:middle], p.data[middle:end:end], nil
}
