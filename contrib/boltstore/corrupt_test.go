package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/boltstore/internal/boltfile"
)

// aStore makes a file with a bit of everything in it, and returns what it holds.
// It is as the process left it: that it was closed makes no difference.
func aStore(t testing.TB) (image []byte, want model) {
	t.Helper()
	path, w := storePath(t), newWorkload(7)
	w.jobs, w.maxSize = 25, 40
	want = model{}
	s := open(t, path)
	for range 3 {
		records := w.commit(30)
		if len(want) > 0 { // one large value is enough
			records = slices.DeleteFunc(records, func(r batch.Record) bool { return len(r.Value) > largeValue })
		}
		want.apply(records)
		commit(t, s, records...)
	}
	require.NoError(t, s.Close())
	return contents(t, path), want
}

// imageError is what verify says of a file that lies in memory.
func imageError(image []byte) error {
	return verify("image", bytes.NewReader(image), int64(len(image)))
}

// refused reports whether an error says that a file cannot be read.
func refused(err error) bool {
	_, corrupt := errors.AsType[*CorruptError](err)
	return corrupt
}

// requireExactOrRefused requires that a damaged image is refused, or, where the
// damage does not matter, read as if there were none.
func requireExactOrRefused(t *testing.T, image []byte, want model, what string, at int) (isRefused bool) {
	t.Helper()
	if err := imageError(image); err != nil {
		require.True(t, refused(err), "%s %d: %v", what, at, err)
		return true
	}
	got, err := inImage(image)
	require.NoError(t, err)
	require.True(t, maps.Equal(want, got), "%s %d: another state than the one that was committed", what, at)
	return false
}

func TestVerify_FindsAnyChangedByte(t *testing.T) {
	image, want := aStore(t)
	random, found := rand.New(rand.NewPCG(1, 1)), 0
	used := false
	for at := range image {
		if at%boltfile.PageSize == 0 {
			used = inUse(image, at/boltfile.PageSize)
		}
		if !used && at%512 > 0 || at > 2*boltfile.PageSize && at%3 > 0 {
			continue
		}
		change := byte(0xFF)
		if at%4 > 0 {
			change = 1 << random.IntN(8)
		}
		image[at] ^= change
		if requireExactOrRefused(t, image, want, "byte", at) {
			found++
		}
		image[at] ^= change
	}
	t.Logf("%d changes are refused", found)
	require.Greater(t, found, 3000)
}

// inUse reports whether a page matters, as the first two always do.
func inUse(image []byte, page int) bool {
	if page < 2 {
		return true
	}
	was := bytes.Clone(image[page*boltfile.PageSize:][:boltfile.PageSize])
	defer copy(image[page*boltfile.PageSize:], was)
	clear(image[page*boltfile.PageSize:][:boltfile.PageSize])
	return imageError(image) != nil
}

func TestVerify_FindsLostAndMisplacedPages(t *testing.T) {
	image, want := aStore(t)
	pages := len(image) / boltfile.PageSize
	page := func(i int) []byte { return image[i*boltfile.PageSize:][:boltfile.PageSize] }
	zero := make([]byte, boltfile.PageSize)
	for i := range pages {
		was := bytes.Clone(page(i))
		for _, content := range [][]byte{zero, page((i + 1) % pages), page((i + 7) % pages)} {
			copy(page(i), content)
			requireExactOrRefused(t, image, want, "page", i)
			copy(page(i), was)
		}
	}
}

// A disk may take a write for done that it has not done, also that of a meta page.
func TestVerify_FindsLostWrites(t *testing.T) {
	path, w, want := storePath(t), newWorkload(3), model{}
	s := open(t, path)
	images := [][]byte{contents(t, path)}
	found, metas := 0, 0
	for range 60 {
		records := w.commit(10)
		want.apply(records)
		commit(t, s, records...)
		after := contents(t, path)
		for _, before := range images {
			before = append(bytes.Clone(before), make([]byte, len(after)-len(before))...)
			for _, i := range changedPages(before, after) {
				lost := bytes.Clone(after)
				copy(lost[i*boltfile.PageSize:][:boltfile.PageSize], before[i*boltfile.PageSize:])
				if _, foreign := errors.AsType[*ForeignError](imageError(lost)); foreign {
					continue // the page that says whose file it is has gone
				}
				if requireExactOrRefused(t, lost, want, "page", i) {
					found++
					if i < 2 {
						metas++
					}
				}
			}
		}
		images = append(images[max(0, len(images)-3):], after)
	}
	t.Logf("%d lost pages are found, %d of them meta pages", found, metas)
	require.Greater(t, found, 400)
	require.GreaterOrEqual(t, metas, 60, "each commit writes one")
}

func TestVerify_FindsAnyTruncation(t *testing.T) {
	image, want := aStore(t)
	random := rand.New(rand.NewPCG(1, 1))
	for size := 1; size < len(image); size += 1 + random.IntN(97) {
		_, err := inImage(image[:size])
		if _, foreign := errors.AsType[*ForeignError](err); foreign {
			require.Less(t, size, 64, "nothing is left that bbolt would have written")
			continue
		}
		requireExactOrRefused(t, image[:size], want, "size", size)
	}
	for size := boltfile.PageSize; size < len(image); size += boltfile.PageSize {
		requireExactOrRefused(t, image[:size], want, "size", size)
	}
}

// FuzzVerify changes some bytes in a row, and lets the meta page that is read
// have its checksum nevertheless if sum is set: then anything may be in it.
func FuzzVerify(f *testing.F) {
	image, want := aStore(f)
	f.Add(uint32(16), []byte{1}, false)
	f.Add(uint32(16+16), []byte{3, 0, 0, 0, 0, 0, 0, 0}, true)
	f.Add(uint32(boltfile.PageSize+16+40), []byte{0xFF, 0xFF, 0xFF, 0xFF}, true)
	f.Add(uint32(5*boltfile.PageSize+10), []byte{9, 0, 1}, false)
	f.Fuzz(func(t *testing.T, at uint32, change []byte, sum bool) {
		damaged := bytes.Clone(image)
		start := int(at) % len(damaged)
		copy(damaged[start:], change)
		if !sum {
			requireExactOrRefused(t, damaged, want, "byte", start)
			return
		}
		for slot := range 2 {
			meta := damaged[slot*boltfile.PageSize:]
			h := fnv.New64a()
			_, _ = h.Write(meta[16:72])
			binary.NativeEndian.PutUint64(meta[72:], h.Sum64())
		}
		_ = imageError(damaged) // must come to an end
	})
}

// What verify lets pass bbolt can read, and what it does not it never sees; the
// file is not touched either way.
func TestOpen_DamagedFile(t *testing.T) {
	image, want := aStore(t)
	path := filepath.Join(t.TempDir(), "jobs.db")
	random := rand.New(rand.NewPCG(2, 2))
	found := 0
	for i := range 400 {
		damaged := bytes.Clone(image)
		for range 1 + random.IntN(3) {
			damaged[random.IntN(len(damaged))] ^= byte(1 + random.IntN(255))
		}
		if i%10 == 0 {
			damaged = damaged[:boltfile.PageSize+random.IntN(len(damaged)-boltfile.PageSize)]
		}
		write(t, path, damaged)
		got, err := inFile(path)
		if err != nil {
			require.True(t, refused(err), "%v", err)
			found++
		} else {
			requireSame(t, want, got)
			clearReceipts(damaged)
		}
		after := contents(t, path)
		if err == nil {
			clearReceipts(after)
		}
		require.True(t, bytes.Equal(damaged, after), "it was written to")
	}
	require.Greater(t, found, 100)
}

// clearReceipts removes what Open writes into a file that it accepts.
func clearReceipts(image []byte) {
	for slot := range 2 {
		clear(image[slot*boltfile.PageSize+receiptAt:][:receiptSize])
	}
}

func TestCorruptError_SaysWhat(t *testing.T) {
	path := storePath(t)
	s := open(t, path)
	commit(t, s, record("a", "b", "something to be found again"))
	require.NoError(t, s.Close())
	image := contents(t, path)
	at := bytes.LastIndex(image, []byte("something"))
	require.Positive(t, at)
	image[at]++
	write(t, path, image)

	_, err := Open(path, Options{})
	require.EqualError(t, err, "boltstore: "+path+` is damaged: record "b" of job "a" does not have its checksum`)
	write(t, path, image[:boltfile.PageSize+500])
	_, err = Open(path, Options{})
	require.ErrorContains(t, err, " is damaged: ")
	require.True(t, refused(err))
}

func TestOpen_NotAStore(t *testing.T) {
	type made = func(t *testing.T, path string)
	for name, c := range map[string]struct {
		file made
		want string
	}{
		"empty": {
			file: func(t *testing.T, path string) { write(t, path, nil) }, want: "it is empty (remove it to begin a new one)",
		},
		"text": {
			file: func(t *testing.T, path string) { write(t, path, bytes.Repeat([]byte("text\n"), 1e4)) },
			want: "no file of bbolt",
		},
		"short text": {file: func(t *testing.T, path string) { write(t, path, []byte("text\n")) }, want: "no file of bbolt"},
		"zeros": {
			file: func(t *testing.T, path string) { write(t, path, make([]byte, 1<<16)) }, want: "no file of bbolt",
		},
		"a device": {file: func(t *testing.T, path string) {
			require.NoError(t, os.Symlink(os.DevNull, path))
		}, want: "not a regular file"},
		"bbolt, nothing in it": {
			file: func(t *testing.T, path string) { foreign(t, path, 4096) }, want: "another program has made",
		},
		"bbolt, of others": {file: func(t *testing.T, path string) {
			foreign(t, path, 4096, "jobs", "users")
		}, want: "another program has made"},
		"bbolt, of others with other pages": {file: func(t *testing.T, path string) {
			foreign(t, path, 16384, "jobs")
		}, want: "no file of bbolt, or one with pages of another size"},
	} {
		t.Run(name, func(t *testing.T) {
			path := storePath(t)
			c.file(t, path)
			before := contents(t, path)
			_, err := Open(path, Options{})
			foreign, ok := errors.AsType[*ForeignError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, path, foreign.Path)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, before, contents(t, path))
		})
	}
}

// foreign makes a file of bbolt that is none of ours.
func foreign(t *testing.T, path string, pageSize int, buckets ...string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: pageSize})
	require.NoError(t, err)
	for _, name := range buckets {
		require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			return b.Put([]byte("key"), make([]byte, 100))
		}))
	}
	require.NoError(t, db.Close())
}

func TestOpen_OtherFormat(t *testing.T) {
	path := storePath(t)
	require.NoError(t, open(t, path).Close())
	db, err := bbolt.Open(path, 0o600, boltOptions(os.OpenFile))
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		if err := tx.DeleteBucket(jobsBucket); err != nil { // and with it what we know about jobs
			return err
		}
		if _, err := tx.CreateBucket([]byte("something new")); err != nil {
			return err
		}
		return tx.Bucket(formatBucket).Put(formatKey, sealedFormat(formatVersion+1))
	}))
	require.NoError(t, db.Close())
	before := contents(t, path)

	_, err = Open(path, Options{})
	other, ok := errors.AsType[*FormatError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, &FormatError{Path: path, Found: formatVersion + 1, Known: formatVersion}, other)
	require.EqualError(t, err, "boltstore: "+path+" has format 2, and this program knows format 1")
	require.Equal(t, before, contents(t, path))
}

// `bbolt compact` makes a smaller file of one from which much was removed. It
// writes the list of free pages.
func TestOpen_CompactedFile(t *testing.T) {
	image, want := aStore(t)
	folder := t.TempDir()
	from, to := filepath.Join(folder, "from.db"), filepath.Join(folder, "to.db")
	write(t, from, image)
	source, err := bbolt.Open(from, 0o600, &bbolt.Options{ReadOnly: true})
	require.NoError(t, err)
	target, err := bbolt.Open(to, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, bbolt.Compact(target, source, 1<<10))
	require.NoError(t, source.Close())
	require.NoError(t, target.Close())

	compacted := contents(t, to)
	for at := 0; at < len(compacted); at += 37 {
		compacted[at] ^= 0x10
		requireExactOrRefused(t, compacted, want, "byte", at)
		compacted[at] ^= 0x10
	}
	s := open(t, to)
	requireHolds(t, want, s)
	added := record("new", "key", "value")
	commit(t, s, added)
	want.apply([]batch.Record{added})
	requireHolds(t, want, s)
}
