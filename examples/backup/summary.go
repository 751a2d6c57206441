package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/runtocompletion/batch"
)

// summarize says how the job has ended and what the destination holds.
func (b *backup) summarize(out io.Writer, status batch.Status, elapsed time.Duration) {
	t := b.totals()
	fmt.Fprintf(out, "\n%v\n%s\n", status, status.Explain())
	fmt.Fprintf(out, "verified:    %d of %d shards, %d resumed, %d after a retry\n",
		t.shards, len(b.shards), t.resumed, t.retried)
	fmt.Fprintf(out, "content:     %d files, %s, compressed to %s\n",
		t.files, humanBytes(t.bytes), humanBytes(t.compressed))
	fmt.Fprintf(out, "this run:    %s in %v, %s/s\n", humanBytes(t.written),
		elapsed.Round(10*time.Millisecond), humanBytes(perSecond(t.written, elapsed)))
}

// totals add up what is known of the verified shards.
type totals struct {
	shards, resumed, retried, files int
	bytes, compressed               int64
	written                         int64 // bytes of shards that this run has saved
}

func (b *backup) totals() totals {
	b.mu.Lock()
	defer b.mu.Unlock()
	var t totals
	for _, s := range b.done {
		files, bytes := s.manifest.files()
		t.shards++
		t.files += files
		t.bytes += bytes
		t.compressed += s.manifest.Size
		switch {
		case s.attempts == 0:
			t.resumed++
		default:
			t.written += bytes
		}
		if s.attempts > 1 {
			t.retried++
		}
	}
	return t
}

// missing names the shards that were given up, each with its last error.
func (b *backup) missing(out io.Writer, status batch.Status, failed *batch.JobError) error {
	if status.FailedIndexes == nil {
		return failed
	}
	last := make(map[int]error)
	for _, a := range failed.Attempts { // oldest first
		last[a.Index] = a.Err
	}
	for i := range status.FailedIndexes.All() {
		fmt.Fprintf(out, "given up:    %s: %v\n", b.shards[i].name(), last[i])
	}
	return errors.New("some shards are missing; mend the cause and run it again")
}

// describe says in a few words what a shard holds.
func describe(m manifest) string {
	files, bytes := m.files()
	return fmt.Sprintf("%d files, %s in %s", files, humanBytes(bytes), humanBytes(m.Size))
}

// perSecond is a rate; it is 0 for no time at all.
func perSecond(bytes int64, elapsed time.Duration) int64 {
	if elapsed <= 0 {
		return 0
	}
	return int64(float64(bytes) / elapsed.Seconds())
}

// humanBytes writes a number of bytes with a decimal unit, such as "9.8 MB".
func humanBytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1000, 0
	const units = "kMGTPE"
	for ; value >= 999.95; unit++ {
		value /= 1000
	}
	return fmt.Sprintf("%.1f %cB", value, units[unit])
}
