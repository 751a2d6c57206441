package engine

import "slices"

// largeBuffer is how many actions a job keeps room for from one step to the next.
const largeBuffer = 256

// begin makes room for the actions of a step. Those of the step before are let go of:
// they may be the last that refer to an attempt.
func (j *Job) begin() {
	if cap(j.out) > largeBuffer {
		j.out = nil
		return
	}
	clear(j.out)
	j.out = j.out[:0]
}

// Release lets go of all that the job need not keep. The caller calls it when it has
// done what the last step returned, which Release takes back. A job that has finished
// keeps what can be asked about: its counters, sets, events and history. One that is
// gone and has no attempts keeps its counters, sets and conditions. Any other job
// lets go of the actions only: the rest is for its next attempts.
func (j *Job) Release() {
	j.out = nil
	if j.FinishedAt == 0 && !j.gone || len(j.live) > 0 {
		return
	}
	h, x := &j.history, &j.indexes
	// Lanes are let go of below, with what they hold.
	h.settle()
	h.free, h.finder, h.lanes = nil, nil, nil
	j.live = nil
	j.emptyQueues()
	// What has not been saved yet is still needed.
	if j.tracker != nil && len(j.tracker.attempts) == 0 {
		j.tracker.attempts, j.tracker.ended = nil, slices.Clip(j.tracker.ended)
	}
	// The numbers stay, as they are saved with the job.
	if j.FinishedAt != 0 {
		j.indexes = indexes{next: x.next, again: x.again, againFrom: x.againFrom, highest: x.highest, touched: x.touched}
	}
	if j.gone {
		j.history = history{limit: h.limit}
		j.indexes, j.retained, j.events, j.failJob = indexes{}, nil, nil, nil
	}
}
