package api

import (
	"sync"

	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
)

const (
	// keptBundles is how many bundles are kept: watchers that are woken up
	// together ask for the same one within a moment.
	keptBundles = 16
	// longestBundle is how many changes a bundle has at most.
	longestBundle = 1000
)

// bundles are what watchers that see everything were last sent, so that a
// thousand of them cost little more than one.
type bundles struct {
	mu   sync.Mutex // guards the fields below
	kept [keptBundles]*bundle
	next int // which one is replaced next
}

// A bundle is a row of changes, written in one form.
type bundle struct {
	key  bundleKey
	once sync.Once
	data []byte
	err  error
}

// A bundleKey tells bundles apart: which changes, and in which form.
type bundleKey struct {
	resource    *kinds.Kind
	form        form
	from, until uint64
}

// get returns a bundle of changes as the frames that they are sent as.
func (b *bundles) get(key bundleKey, changes []*watchcache.Change) ([]byte, error) {
	kept := b.find(key)
	kept.once.Do(func() { kept.data, kept.err = key.form.changes(key.resource, changes) })
	return kept.data, kept.err
}

func (b *bundles) find(key bundleKey) *bundle {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, kept := range b.kept {
		if kept != nil && kept.key == key {
			return kept
		}
	}
	made := &bundle{key: key}
	b.kept[b.next] = made
	b.next = (b.next + 1) % keptBundles
	return made
}

// changes writes changes for somebody who sees everything.
func (f form) changes(r *kinds.Kind, changes []*watchcache.Change) ([]byte, error) {
	var data []byte
	for _, c := range changes {
		frame, err := f.change(r, c, string(c.Type), c.Object)
		if err != nil {
			return nil, err
		}
		data = append(data, frame...)
	}
	return data, nil
}
