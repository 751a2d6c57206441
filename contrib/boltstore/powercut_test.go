package boltstore

import (
	"bytes"
	"maps"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/contrib/boltstore/internal/boltfile"
)

// changedPages are the pages that differ, of two images of the same size.
func changedPages(before, after []byte) []int {
	var changed []int
	for at := 0; at < len(after); at += boltfile.PageSize {
		if !bytes.Equal(before[at:at+boltfile.PageSize], after[at:at+boltfile.PageSize]) {
			changed = append(changed, at/boltfile.PageSize)
		}
	}
	return changed
}

// A power cut leaves what had been written until then. bbolt writes data pages,
// in the order of the file, syncs, writes a meta page, and syncs; then we write the
// receipt into the other one. Wherever that is cut, the store is as it was before
// the commit, unless the meta page is there as a whole.
func TestPowerCut(t *testing.T) {
	cuts := 0
	for seed := range uint64(3) {
		w, path := newWorkload(seed), storePath(t)
		s := open(t, path)
		states := []model{{}}
		images := [][]byte{contents(t, path)}
		for range 40 {
			records := w.commit(1 + w.IntN(25))
			next := maps.Clone(states[len(states)-1])
			next.apply(records)
			commit(t, s, records...)
			states, images = append(states, next), append(images, contents(t, path))
		}
		for i := range len(images) - 1 {
			cuts += cutPower(t, images[i], images[i+1], states[i], states[i+1])
		}
	}
	t.Logf("%d cuts", cuts)
}

// cutPower tries what a commit can leave of one image on the way to the next.
func cutPower(t *testing.T, before, after []byte, was, is model) (cuts int) {
	t.Helper()
	requireImage(t, before, was) // the file has not been extended yet
	before = append(bytes.Clone(before), make([]byte, len(after)-len(before))...)
	requireImage(t, before, was)
	pages := changedPages(before, after)
	require.Equal(t, []int{0, 1}, pages[:2])
	meta, pages := newestSlot(t, after), pages[2:]
	image := before
	for _, page := range pages {
		at := page * boltfile.PageSize
		copy(image[at:], after[at:at+boltfile.PageSize/2])
		requireImage(t, image, was)
		copy(image[at:], after[at:at+boltfile.PageSize])
		requireImage(t, image, was)
	}
	const size, metaEnd = boltfile.PageSize, 80
	cuts = 2*len(pages) + cutBytes(t, image, after, meta*size, meta*size+metaEnd, was) +
		cutBytes(t, image, after, meta*size+metaEnd, (meta+1)*size, is) +
		cutBytes(t, image, after, (1-meta)*size, (2-meta)*size, is)
	requireImage(t, image, is)
	return cuts
}

// cutBytes writes a part of a file byte by byte. Before each the image must hold
// what it should.
func cutBytes(t *testing.T, image, after []byte, start, end int, want model) (cuts int) {
	t.Helper()
	for at := start; at < end; at++ {
		if image[at] == after[at] {
			continue
		}
		requireImage(t, image, want)
		image[at] = after[at]
		cuts++
	}
	return cuts
}

// newestSlot is the meta page that an image goes by.
func newestSlot(t *testing.T, image []byte) int {
	t.Helper()
	newest, err := newestMeta(bytes.NewReader(image))
	require.NoError(t, err)
	return newest.Slot
}

func requireImage(t *testing.T, image []byte, want model) {
	t.Helper()
	got, err := inImage(image)
	require.NoError(t, err)
	require.True(t, maps.Equal(want, got), "another state than the one that was committed")
}

// After a power cut the store goes on, and what it commits then can be cut short
// in the same way.
func TestPowerCut_GoesOn(t *testing.T) {
	w, path := newWorkload(5), storePath(t)
	want := model{}
	s := open(t, path)
	for range 60 {
		records := w.commit(1 + w.IntN(10))
		before := contents(t, path)
		require.NoError(t, s.Commit(t.Context(), records))
		after := contents(t, path)
		require.NoError(t, s.Close())

		grown := append(bytes.Clone(before), make([]byte, len(after)-len(before))...)
		copy(grown[2*boltfile.PageSize:], after[2*boltfile.PageSize:])
		meta := newestSlot(t, after) * boltfile.PageSize
		torn := meta + 16 + w.IntN(64) // in the midst of the meta page
		copy(grown[meta:torn], after[meta:])
		require.NoError(t, os.WriteFile(path, grown, 0o600))

		s = open(t, path)
		requireHolds(t, want, s)
		records = w.commit(1 + w.IntN(10))
		want.apply(records)
		commit(t, s, records...)
		requireHolds(t, want, s)
		requireNoPageLost(t, s)
	}
}
