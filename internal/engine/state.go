package engine

// This file is the state of an attempt. It is one value and not several flags, because
// what may happen to an attempt follows from it alone: whether it counts as active,
// whether something runs that takes time to stop, and what is lost when the process
// ends. What is kept beside it, such as times and how it was counted, never decides that.
//
//	Queued ──> Starting ──> Running ──> Ended
//	  ^  └────────────────────^  │ └──> Stopping ──> Ended
//	  └──────── Backoff <────────┘
//
// From any state but Ended an attempt can end at once: it was lost, or nothing ran.

// A State is how far an attempt has come. The order matters: what comes before
// StateStopping counts as active.
type State uint8

const (
	// StateQueued is that of an attempt that is to be executed, for the first time
	// or again in place. It waits for a slot, or for the caller to say that it has started.
	StateQueued State = iota
	// StateStarting is that of an attempt whose executor was called for the first
	// time, and has not said yet that it has started.
	StateStarting
	// StateRunning is that of an attempt whose executor runs. One that has run out of
	// its own time stays so while it is being stopped, as it still counts as active.
	StateRunning
	// StateBackoff is that of an attempt whose last run has failed, and which is to be
	// restarted in place after a delay.
	StateBackoff
	// StateStopping is that of an attempt that was asked to stop and whose executor has
	// not returned.
	StateStopping
	// StateEnded is final.
	StateEnded
)

// Phase is how far an attempt has come in the words of Kubernetes. It follows from the
// state, and from whether the attempt has ever started.
type Phase uint8

const (
	Pending   Phase = iota // no executor has started
	Running                // one has, or had and is to be started again
	Succeeded              // its last run ended with exit code 0
	Failed                 // anything else has ended it
)

// Phase returns the phase of the attempt. A failed run before a restart in place does
// not end the Pending phase if the executor never said that it had started.
func (a *Attempt) Phase() Phase {
	switch {
	case a.State == StateEnded && a.succeeded:
		return Succeeded
	case a.State == StateEnded:
		return Failed
	case a.StartedAt == 0:
		return Pending
	}
	return Running
}

// HasEnded reports whether nothing happens to the attempt any more. Its executor may
// still run if it was lost.
func (a *Attempt) HasEnded() bool { return a.State == StateEnded }

// failed reports whether the attempt has ended without success.
func (a *Attempt) failed() bool { return a.State == StateEnded && !a.succeeded }

// active reports whether the attempt has neither ended nor been asked to stop.
func (a *Attempt) active() bool { return a.State < StateStopping }

// idle reports whether no executor runs for the attempt: it can end at once.
func (a *Attempt) idle() bool { return a.State == StateQueued || a.State == StateBackoff }

// IsRestart reports whether an attempt that is queued ran before: it is to run again
// in place.
func (a *Attempt) IsRestart() bool { return a.idle() && a.runEndAt != 0 }

// Pin notes that an executor runs for the attempt.
func (j *Job) Pin(a *Attempt) {
	a.Pinned = true
	// One that is restarted is queued as well, and Started distinguishes it from a first run.
	if a.State == StateQueued {
		a.State = StateStarting
	}
	j.touch(a)
}
