package boltfile

const freelistPage = 0x10

// manyFree is the count of a list of free pages that has its length in front.
const manyFree = 0xFFFF

// CheckFreelist looks at the list of free pages, if the file has one: none may
// be among those that the walk over the root, which must have been done, has
// met.
func (f *File) CheckFreelist() error {
	if f.newest.freelist == noFreelist {
		return nil
	}
	p, err := f.read(f.newest.freelist)
	if err != nil {
		return err
	}
	if err := f.take(p); err != nil {
		return err
	}
	start, count := pageHeader, uint64(p.count())
	if count == manyFree {
		start, count = start+8, order.Uint64(p.data[start:])
	}
	if p.kind() != freelistPage || count > uint64(len(p.data)-start)/8 {
		return p.damage("the list of free pages is none")
	}
	for i := range int(count) {
		if err := f.free(p, order.Uint64(p.data[start+8*i:])); err != nil {
			return err
		}
	}
	return nil
}

// free marks a page as free, which it may be once.
func (f *File) free(list page, id uint64) error {
	if id < 2 || id >= f.newest.pages {
		return list.damage("page %d is free, and the file has %d", id, f.newest.pages)
	}
	return f.take(page{at: int64(id) * PageSize, data: list.data[:PageSize]})
}
