package boltfile

import "bytes"

// bucketHeader is what an entry that is a bucket begins with.
const bucketHeader = 16

// A Bucket is a tree of entries.
type Bucket struct {
	Sequence uint64 // the number that bbolt keeps with it

	root   uint64 // its page
	inline page   // instead of that, if it has data
}

// An Entry is a key with its value, or with a bucket.
type Entry struct {
	Key    []byte
	Value  []byte  // if Bucket is nil
	Bucket *Bucket // may be walked over only during the visit
}

// Walk visits the entries of a bucket in the order of their keys. What is
// visited is valid during the visit only. An error of visit ends the walk, and
// is returned; others are a *Damage, or that of the file.
func (f *File) Walk(b Bucket, visit func(Entry) error) error {
	if b.inline.data != nil {
		return f.walkLeaf(b.inline, nil, nil, visit)
	}
	return f.walk(b.root, nil, nil, visit)
}

// walk visits what is below a page. The first key there must be first, unless
// that is nil, and all must come before end, unless that is nil.
func (f *File) walk(id uint64, first, end []byte, visit func(Entry) error) error {
	p, err := f.read(id)
	if err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	if err := f.take(p); err != nil {
		return err
	}
	f.depth++
	defer func() { f.depth-- }()
	if p.kind() == branchPage {
		return f.walkBranch(p, first, end, visit)
	}
	return f.walkLeaf(p, first, end, visit)
}

func (f *File) walkBranch(p page, first, end []byte, visit func(Entry) error) error {
	key, id, err := p.child(0)
	if err != nil {
		return err
	}
	if first != nil && !bytes.Equal(key, first) {
		return p.damage("a page begins with another key than what refers to it")
	}
	for i := 1; i < p.count(); i++ {
		next, nextID, err := p.child(i)
		if err != nil {
			return err
		}
		if err := f.walk(id, key, next, visit); err != nil {
			return err
		}
		key, id = next, nextID
	}
	return f.walk(id, key, end, visit)
}

func (f *File) walkLeaf(p page, first, end []byte, visit func(Entry) error) error {
	if p.count() == 0 && first != nil {
		return p.damage("a page that something refers to is empty")
	}
	var last []byte
	for i := range p.count() {
		key, value, bucket, err := p.entry(i)
		switch {
		case err != nil:
			return err
		case i == 0 && first != nil && !bytes.Equal(key, first):
			return p.damage("a page begins with another key than what refers to it")
		case i > 0 && bytes.Compare(last, key) >= 0, end != nil && bytes.Compare(key, end) >= 0:
			return p.damage("element %d is out of order", i)
		}
		last = key
		entry := Entry{Key: key, Value: value}
		if bucket {
			if entry, err = p.bucket(i, key, value); err != nil {
				return err
			}
		}
		if err := visit(entry); err != nil {
			return err
		}
	}
	return nil
}

// bucket returns the entry of a bucket, whose header value is.
func (p page) bucket(i int, key, value []byte) (Entry, error) {
	if len(value) < bucketHeader {
		return Entry{}, p.damage("element %d is a bucket of %d bytes", i, len(value))
	}
	b := &Bucket{root: order.Uint64(value), Sequence: order.Uint64(value[8:])}
	if b.root != 0 {
		return Entry{Key: key, Bucket: b}, nil
	}
	b.inline = page{at: p.at, data: value[bucketHeader:]}
	if len(b.inline.data) < pageHeader || b.inline.kind() != leafPage {
		return Entry{}, p.damage("element %d is a small bucket without entries of its own", i)
	}
	return Entry{Key: key, Bucket: b}, b.inline.check()
}
