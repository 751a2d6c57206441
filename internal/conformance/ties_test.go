package conformance

import "math"

// A tieOrder says in which order the things happen that fall together at one
// instant. The recorded controller takes what its pods do at one instant in an
// arbitrary order, and sees all of it in one look. The library looks after each.
// So a case may answer otherwise in one order and not in another: it agrees if it
// does in the first of tieOrders, and is excused if it does in any other. A case
// in which nothing falls together has the same answer in each.
type tieOrder struct {
	reversed        bool // pods with a high index or ordinal go first
	userFirst       bool // what the user does goes before what pods do
	disruptionFirst bool // a disruption goes before the end of the same pod's run
	punctual        bool // pods that are created for what happened to another are not late, see reaction
}

// tieOrders are all orders. In the first one a run ends before the pod is
// disrupted: a disruption befalls only what still runs.
func tieOrders() (orders []tieOrder) {
	for i := range 16 {
		orders = append(orders, tieOrder{i&1 != 0, i&2 != 0, i&4 != 0, i&8 != 0})
	}
	return orders
}

// ofUser is the rank of what the user does.
func (o tieOrder) ofUser() int {
	if o.userFirst {
		return math.MinInt
	}
	return math.MaxInt
}

// ofRun is the rank of what the container of a pod does by itself; pod is an index
// or ordinal.
func (o tieOrder) ofRun(pod int) int {
	if o.reversed {
		return -2 * pod
	}
	return 2 * pod
}

// ofDisruption is the rank of a disruption of a pod.
func (o tieOrder) ofDisruption(pod int) int {
	if o.disruptionFirst {
		return o.ofRun(pod) - 1
	}
	return o.ofRun(pod) + 1
}

// reaction is how late the recorded controller noticed what happened to a pod, in
// the ideal recording. A pod that was created for it is as much later.
const reaction Seconds = 0.001

// lateness is how late a pod is that was created for what happened to another.
func (o tieOrder) lateness() Seconds {
	if o.punctual {
		return 0
	}
	return reaction
}

// inSomeOrder plays a case in one order after the other, until it agrees. It
// returns the differences of the first order, and whether another has none. Asked
// is false if the case does not concern the implementation.
func inSomeOrder(c *Case, play func(tieOrder) (*Observation, []string)) (differences []string, tie, asked bool) {
	for i, order := range tieOrders() {
		got, faults := play(order)
		if got == nil {
			return nil, false, false
		}
		found := append(faults, Compare(c, got)...)
		switch {
		case i == 0:
			differences = found
			if len(Unexcused(c.Name, found)) == 0 {
				return differences, false, true
			}
		case len(found) == 0:
			return differences, true, true
		}
	}
	return differences, false, true
}
