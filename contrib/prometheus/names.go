package prometheus

import (
	"maps"
	"slices"
	"sync"
)

const (
	maxNames  = 100
	otherName = "other"
)

// names are the values of a label, which are told apart up to a number.
type names struct {
	mu    sync.Mutex
	known map[string]struct{}
}

// label is a name, or otherName if there are too many.
func (n *names) label(name string) string {
	name = valid(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil {
		n.known = make(map[string]struct{})
	}
	if _, ok := n.known[name]; !ok && len(n.known) >= maxNames {
		name = otherName
	}
	n.known[name] = struct{}{}
	return name
}

// all are the values that there have been.
func (n *names) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.known))
}
