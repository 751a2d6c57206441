package journal

import (
	"slices"
	"time"
)

// A batch is what the next commit has, but for what was asked for.
type batch struct {
	records []Record
	places  []*Place // whose records these are
	tries   int      // in vain
	last    bool     // the next try is the last one
}

// add collects what the places of a round have to store.
func (b *batch) add(r round) {
	for _, p := range r.places {
		p.Source.Collect(b.put)
		if !p.collected {
			p.collected = true
			b.places = append(b.places, p)
		}
	}
}

func (b *batch) put(r Record) { b.records = append(b.records, r) }

// with returns all records of a commit.
func (b *batch) with(r round) []Record {
	if len(r.requests) == 0 {
		return b.records
	}
	var records []Record
	for _, request := range r.requests {
		records = append(records, request.records...)
	}
	return append(records, b.records...)
}

// withdraw takes in that a commit has failed: what was asked for is not to be,
// and the rest is tried again, each key once.
func (b *batch) withdraw(r round) {
	b.tries++
	for _, request := range r.requests {
		b.records = append(b.records, request.undo...)
	}
	b.records = latest(b.records)
}

// latest returns the last record of each key, in order; those of a job that is
// removed are not needed.
func latest(records []Record) []Record {
	type key struct{ job, key string }
	seen := make(map[key]bool)
	var kept []Record
	for _, r := range slices.Backward(records) {
		if seen[key{r.Job, r.Key}] || seen[key{r.Job, ""}] {
			continue
		}
		seen[key{r.Job, r.Key}] = true
		kept = append(kept, r)
	}
	slices.Reverse(kept)
	return kept
}

// delay is how long to wait before the next try.
func (b *batch) delay() time.Duration {
	const first, most = 100 * time.Millisecond, 5 * time.Second
	return min(first<<min(b.tries-1, 10), most)
}

// stored tells the sources, and begins anew.
func (b *batch) stored() {
	for _, p := range b.places {
		p.collected = false
		p.Source.Stored()
	}
	clear(b.places)
	clear(b.records)
	b.places, b.records = b.places[:0], b.records[:0]
	b.tries, b.last = 0, false
}
