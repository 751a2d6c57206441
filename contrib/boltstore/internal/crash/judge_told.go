//go:build unix

package crash

// What is true of a subscription: it is told of the end of each job at least once, and in
// each process in the order in which the jobs have ended.

// endings are what the judge knows of the subscription.
type endings struct {
	areOwed bool   // the store has it
	latest  uint64 // the revision of the end that it was told last in this process
}

// A delivery is what the subscription was told of a job.
type delivery struct {
	isOwed bool   // the job had not ended, or was there, when the store had the subscription
	state  string // how it has ended, as the subscription was told; empty if it was not
	in     int    // the process that has told it last
}

// oweEnd notes that the subscription is to be told of the job's end, as the job is there.
func (r *record) oweEnd() {
	if r.ends.areOwed && !r.deleting {
		r.delivery.isOwed = true
	}
}

func (r *record) readDelivered(l line) {
	r.counts.delivered++
	d, state := &r.delivery, l.Status.State()
	switch {
	case l.Text == string(gone):
		state = l.Text
	case !l.Status.Finished():
		r.find(wrong, "the subscription is told of an end that is none: %s", l.Status)
	}
	switch {
	case d.state != "" && d.state != state:
		r.find(wrong, "the subscription is told that it is %s, and was told %s", state, d.state)
	case d.state != "" && d.in == r.process:
		r.find(duplicated, "the subscription is told twice by one process")
	case r.finished != nil && state != r.finished.State():
		r.find(wrong, "the subscription is told that it is %s, and it was %s", state, r.finished.State())
	case l.Status.Revision < r.ends.latest:
		r.find(wrong, "the subscription is told of revision %d after %d", l.Status.Revision, r.ends.latest)
	}
	d.state, d.in = state, r.process
	r.ends.latest = max(r.ends.latest, l.Status.Revision)
}

// over is called when the last process has stopped. A job that was not declared again
// has not ended.
func (j *judge) over() {
	for _, r := range j.jobs {
		if r.delivery.isOwed && r.delivery.state == "" && r.finished != nil {
			r.find(lost, "the subscription was not told of the end")
		}
	}
}
