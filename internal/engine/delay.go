package engine

import "time"

// This file is how long a job waits after a failure: the delays of the Job controller,
// and what it remembers to find the next one.

// maxRetryDelay is the longest delay before a failed attempt is replaced.
const maxRetryDelay = 600 * time.Second

// doubling is 10 s after the first failure and twice as long after each
// further one, up to limit.
func doubling(n int, limit time.Duration) time.Duration {
	// The shift below would overflow for a job that fails for days: from the eleventh
	// failure on it is past any limit anyway.
	const first = 10 * time.Second
	if n <= 0 {
		return 0
	}
	if n > 10 {
		return limit
	}
	return min(first<<(n-1), limit)
}

// RetryDelay is Kubernetes' delay after the n-th failure in a row.
func RetryDelay(n int) time.Duration { return doubling(n, maxRetryDelay) }

// retryDelay is the delay after the n-th failure in a row, if the engine knows.
func (s *Spec) retryDelay(n int) time.Duration {
	if s.FixedDelay {
		return s.Delay
	}
	return RetryDelay(n)
}

// A retry is the delay that holds back all new attempts of a job without a
// per-index limit.
type retry struct {
	n       int  // failures since the last success
	success Time // when that was
	last    Time // end of the latest attempt that failed in the latest look
	seen    Time // when that look began: failures within settleTime are of one look
	until   Time // when the delay after the latest failure is over; Never while not known
	asleep  Time // when the latest snooze is
	wake    Time // heldUntil, if something waits for it; Never otherwise
}

// heldUntil is when attempts may be created again, or zero if they may.
func (r *retry) heldUntil() Time {
	if r.n == 0 {
		return r.asleep // there is no failure that a delay could follow
	}
	return max(r.until, r.asleep)
}

// note records one more failure, seen now, of an attempt that ended at end. It
// reports false if the failure does not count, because a success of the same look
// ended no earlier. A failure that is seen later counts, however old it is: so does
// the reference, which compares only what it sees in one look. For the same reason
// the delay counts from the latest end within the latest look, which may be earlier
// than that of a look before.
func (r *retry) note(end, now Time) bool {
	if end <= r.success && now < r.success.Add(settleTime) {
		return false
	}
	if r.n > 0 && now < r.seen.Add(settleTime) {
		r.last = max(r.last, end)
	} else {
		r.last, r.seen = end, now
	}
	r.n++
	return true
}
