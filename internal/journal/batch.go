package journal

import (
	"slices"
	"time"
)

// A parcel is what one source, or one request, has to store. The parcels of a
// commit are independent of each other.
type parcel struct {
	records []Record
	place   *Place   // nil for a request
	request *request // nil for a source
	tries   int      // in vain, since it is stuck
}

// A batch is what the next commit has.
type batch struct {
	parcels []*parcel
	waiters []*request // for all of it, with nothing of their own
	tries   int        // in vain
	last    bool       // the next try is the last one
}

// add collects what a round has to store. Requests come first, in order. What a
// stuck source has goes to the parcel that was put aside, and is reported.
func (b *batch) add(r round) (stuck bool) {
	for _, q := range r.requests {
		if len(q.records) == 0 {
			b.waiters = append(b.waiters, q)
			continue
		}
		b.parcels = append(b.parcels, &parcel{records: q.records, request: q})
	}
	for _, p := range r.places {
		if p.parcel == nil {
			p.parcel = &parcel{place: p}
			b.parcels = append(b.parcels, p.parcel)
		}
		stuck = stuck || p.parcel.tries > 0
		records := &p.parcel.records
		p.Source.Collect(func(r Record) { *records = append(*records, r) })
	}
	return stuck
}

// withdraw prepares the next try after one that failed: what was asked for is not
// tried again but undone, and of the rest each key is written once.
func (b *batch) withdraw(err error) {
	b.tries++
	b.answer(err)
	for _, p := range b.parcels {
		p.withdraw(err)
	}
	b.parcels = slices.DeleteFunc(b.parcels, func(p *parcel) bool { return len(p.records) == 0 && p.place == nil })
}

func (p *parcel) withdraw(err error) {
	if p.request == nil {
		p.records = latest(p.records)
		return
	}
	p.request.answer(err)
	p.records, p.request = p.request.undo, nil
}

// answer answers those who wait for the whole batch.
func (b *batch) answer(err error) {
	for _, q := range b.waiters {
		q.answer(err)
	}
	b.waiters = nil
}

// settled empties the batch when each parcel has been stored or put aside.
func (b *batch) settled() {
	b.answer(nil)
	*b = batch{}
}

// delay is how long to wait before the next try.
func (b *batch) delay() time.Duration { return delayAfter(b.tries) }

func delayAfter(tries int) time.Duration {
	const first, most = 100 * time.Millisecond, 5 * time.Second
	return min(first<<min(max(tries-1, 0), 10), most)
}

// recordsOf returns all records of some parcels.
func recordsOf(parcels []*parcel) []Record {
	if len(parcels) == 1 {
		return parcels[0].records
	}
	var records []Record
	for _, p := range parcels {
		records = append(records, p.records...)
	}
	return records
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
