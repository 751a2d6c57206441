package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// made is a file of bbolt.
func made(t *testing.T, fill func(tx *bbolt.Tx) error) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: PageSize})
	require.NoError(t, err)
	require.NoError(t, db.Update(fill))
	require.NoError(t, db.Close())
	image, err := os.ReadFile(path)
	require.NoError(t, err)
	return image
}

// listed are the entries of an image, one a line.
func listed(image []byte) (string, error) {
	f, err := Open(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		return "", err
	}
	var text strings.Builder
	if err := list(f, f.Root(), "", &text); err != nil {
		return "", err
	}
	return text.String(), f.CheckFreelist()
}

func list(f *File, b Bucket, indent string, text *strings.Builder) error {
	return f.Walk(b, func(e Entry) error {
		if e.Bucket == nil {
			fmt.Fprintf(text, "%s%s=%d\n", indent, e.Key, len(e.Value))
			return nil
		}
		fmt.Fprintf(text, "%s%s #%d\n", indent, e.Key, e.Bucket.Sequence)
		return list(f, *e.Bucket, indent+" ", text)
	})
}

// fill makes buckets of all kinds: inline, of one page, of several levels, one
// within another; and an entry of several pages.
func fill(tx *bbolt.Tx) error {
	var errs []error
	bucket := func(name string, keys, size int) *bbolt.Bucket {
		b, err := tx.CreateBucket([]byte(name))
		errs = append(errs, err, b.SetSequence(uint64(keys)))
		for i := range keys {
			errs = append(errs, b.Put(fmt.Appendf(nil, "%04d", i), make([]byte, size)))
		}
		return b
	}
	bucket("deep", 2000, 200)
	bucket("empty", 0, 0)
	bucket("inline", 2, 100)
	page := bucket("page", 3, 900)
	within, err := page.CreateBucket([]byte("within"))
	return errors.Join(append(errs, err, within.Put([]byte("long"), make([]byte, 5*PageSize)))...)
}

func TestWalk_AsBboltDoes(t *testing.T) {
	text, err := listed(made(t, fill))
	require.NoError(t, err)
	var want strings.Builder
	want.WriteString("deep #2000\n")
	for i := range 2000 {
		fmt.Fprintf(&want, " %04d=200\n", i)
	}
	want.WriteString(
		"empty #0\ninline #2\n 0000=100\n 0001=100\npage #3\n 0000=900\n 0001=900\n 0002=900\n within #0\n  long=20480\n",
	)
	require.Equal(t, want.String(), text)
}

func TestWalk_EndsWithTheVisitor(t *testing.T) {
	image := made(t, fill)
	f, err := Open(bytes.NewReader(image), int64(len(image)))
	require.NoError(t, err)
	enough := errors.New("enough")
	require.ErrorIs(t, f.Walk(f.Root(), func(Entry) error { return enough }), enough)
}

// A brokenDisk cannot read beyond a place.
type brokenDisk struct {
	*bytes.Reader
	end int64
}

var errDisk = errors.New("broken disk")

func (d brokenDisk) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > d.end {
		return 0, errDisk
	}
	return d.Reader.ReadAt(p, at)
}

// An error of the disk is no damage.
func TestOpenAndWalk_ErrorsOfTheDisk(t *testing.T) {
	image := made(t, fill)
	for _, end := range []int64{10, PageSize + 10, 3 * PageSize} {
		f, err := Open(brokenDisk{bytes.NewReader(image), end}, int64(len(image)))
		if err == nil {
			err = f.Walk(f.Root(), func(Entry) error { return nil })
		}
		require.ErrorIs(t, err, errDisk)
	}
}

// setMeta changes the newest meta page, and gives it its checksum.
func setMeta(image []byte, field int, value uint64) {
	metas, _ := ReadMetas(bytes.NewReader(image))
	newest, _ := Newest(metas)
	page := image[newest.Slot*PageSize:]
	order.PutUint64(page[pageHeader+field:], value)
	sum := fnv.New64a()
	_, _ = sum.Write(page[pageHeader:sumAt])
	order.PutUint64(page[sumAt:], sum.Sum64())
}

// rootPage is the page of the root, which is a leaf.
func rootPage(image []byte) []byte {
	metas, _ := ReadMetas(bytes.NewReader(image))
	newest, _ := Newest(metas)
	return image[newest.root.root*PageSize:]
}

const (
	rootField     = 16
	freelistField = 32
	pagesField    = 40
)

var damagesTests = map[string]struct {
	change func(image []byte)
	want   string
}{
	"the root is the first page": {
		change: func(image []byte) { setMeta(image, rootField, 1) }, want: "refers to page 1",
	},
	"the root has no page": {
		change: func(image []byte) { setMeta(image, rootField, 0) }, want: "refers to page 0",
	},
	"the root is beyond the end": {
		change: func(image []byte) { setMeta(image, rootField, 1<<40) }, want: "refers to page",
	},
	"the root is nowhere": {
		change: func(image []byte) { setMeta(image, rootField, 1<<63) }, want: "refers to page",
	},
	"more pages than the file has": {
		change: func(image []byte) { setMeta(image, pagesField, 1<<30) }, want: "the file ends here",
	},
	"more pages than there can be": {
		change: func(image []byte) { setMeta(image, pagesField, 1<<63) }, want: "the file ends here",
	},
	"the free pages are those of root": {
		change: func(image []byte) { setMeta(image, freelistField, order.Uint64(rootPage(image))) },
		want:   "referred to twice",
	},
	"the free pages are nowhere": {
		change: func(image []byte) { setMeta(image, freelistField, 1<<50) }, want: "refers to page",
	},
	"a page calls itself another": {change: func(image []byte) { rootPage(image)[0]++ }, want: "calls itself"},
	"a page of another kind": {
		change: func(image []byte) { rootPage(image)[8] = 0x10 }, want: "a page of kind 0x10",
	},
	"a page of the other kind": {change: func(image []byte) { rootPage(image)[8] = branchPage }},
	"too many elements": {
		change: func(image []byte) { order.PutUint16(rootPage(image)[10:], 60000) }, want: "has 60000 elements",
	},
	"too many pages behind a page": {
		change: func(image []byte) { order.PutUint32(rootPage(image)[12:], 1<<31) }, want: "refers to page",
	},
	"pages behind a page are others": {change: func(image []byte) { order.PutUint32(rootPage(image)[12:], 1) }},
	"an element with unknown flags":  {change: func(image []byte) { rootPage(image)[16] = 7 }, want: "flags 0x7"},
	"an element in the header": {
		change: func(image []byte) { order.PutUint32(rootPage(image)[20:], 8) }, want: "lies outside",
	},
	"an element beyond the end": {
		change: func(image []byte) { order.PutUint32(rootPage(image)[20:], 5000) }, want: "lies outside",
	},
	"an element of any length": {
		change: func(image []byte) { order.PutUint32(rootPage(image)[28:], 1<<32-1) }, want: "lies outside",
	},
	"an element without a key": {
		change: func(image []byte) { order.PutUint32(rootPage(image)[24:], 0) }, want: "has no key",
	},
	"elements out of order": {
		change: func(image []byte) { image[bytes.Index(image, []byte("inline"))] = 'a' }, want: "out of order",
	},
	"a bucket of no size": {
		change: func(image []byte) { order.PutUint32(rootPage(image)[28:], 3) }, want: "a bucket of 3 bytes",
	},
}

func TestDamages(t *testing.T) {
	for name, c := range damagesTests {
		t.Run(name, func(t *testing.T) {
			image := made(t, fill)
			c.change(image)
			_, err := listed(image)
			_, damaged := errors.AsType[*Damage](err)
			require.True(t, damaged, "%v", err)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// A tree that refers to itself has no end.
func TestWalk_Circles(t *testing.T) {
	image := made(t, fill)
	root := rootPage(image)
	id := order.Uint64(root)
	clear(root[8:])
	order.PutUint16(root[8:], branchPage)
	order.PutUint16(root[10:], 1)
	order.PutUint32(root[16:], 16)
	order.PutUint32(root[20:], 1)
	order.PutUint64(root[24:], id)
	root[32] = 'k'
	_, err := listed(image)
	require.ErrorContains(t, err, "referred to twice")
}

func TestOpen_NotBolt(t *testing.T) {
	for name, image := range map[string][]byte{
		"nothing": nil,
		"text":    bytes.Repeat([]byte("text"), 5000),
		"zeros":   make([]byte, 5*PageSize),
	} {
		_, err := listed(image)
		require.ErrorIs(t, err, ErrNotBolt, name)
	}
	image := made(t, fill)
	clear(image[:2*PageSize])
	_, err := listed(image)
	require.ErrorIs(t, err, ErrNotBolt)
}

// TornOver tells a write that was cut from bytes that have changed.
func TestMeta_TornOver(t *testing.T) {
	image := made(t, fill)
	metas, err := ReadMetas(bytes.NewReader(image))
	require.NoError(t, err)
	newest, other := Newest(metas)
	before, after := image[other.Slot*PageSize:][:metaEnd], image[newest.Slot*PageSize:][:metaEnd]
	for cut := range metaEnd {
		torn := append(bytes.Clone(after[:cut]), before[cut:]...)
		m := parseMeta(0, torn)
		require.True(t, m.Valid || m.TornOver(other.Sum), "cut at %d", cut)
	}
	for at := pageHeader; at < metaEnd; at++ {
		changed := bytes.Clone(after)
		changed[at] ^= 0x40
		m := parseMeta(0, changed)
		require.False(t, m.Valid || m.TornOver(other.Sum), "changed at %d", at)
	}
}
