package turns

import "maps"

// A Lack is what a place in line waits for.
type Lack struct {
	Name, Key string
	Limit
	Holders map[string]int // who has it, and how often
	At      int64          // when there is some again; Never if that depends on the holders
}

// Lacks returns what p waits for, as far as is known, and reports whether it waits.
func (t *Turns[T]) Lacks(p *Place[T], now int64) (lack Lack, waits bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.group == nil {
		return Lack{}, false
	}
	r := p.group.lacks(now)
	if r == nil {
		return Lack{}, false
	}
	return Lack{r.of.name, r.key, r.of.Limit, maps.Clone(r.holders), r.nextAt(p.group, now)}, true
}
