package engine

import "time"

// An Event is something that happened, for [Job.Step].
// It is one type for all kinds, and small enough to be passed by value: a step allocates
// nothing.
type Event struct {
	Kind    EventKind
	At      Time
	Attempt *Attempt      // for Started to RestartDelayKnown, and SignKnown; nil otherwise
	Result  Result        // for Ended
	Delay   time.Duration // for DelayKnown and RestartDelayKnown; negative: no retry
	Index   int           // for DelayKnown: as in NeedDelay
	N       int           // for DelayKnown: as in NeedDelay
	Ready   bool          // for ReadyChanged
	Reason  string        // for Disrupted; for Cancelled: the text of the cause; or a message
	Indexes []int         // for Cancelled: which ones; none: the job
	Last    Time          // for SignKnown
	Spec    *Spec         // for Updated; for Rerun: nil is that of the run before
	Pause   bool          // for Paused: whether to, or to go on; for Created: begin so
	Orphan  bool          // for Deleted: let the attempts run on
	Linger  bool          // for Deleted: keep the job until its attempts have ended
	Keep    bool          // for Interrupted: leave attempts alone of which nothing runs; for Rerun: what has succeeded
	Await   bool          // for Created and Recovered: do not begin before DependenciesMet
	Cond    Condition     // for ConditionSet
	Report  *Report       // for Reported; nil: there is no other status
}

// EventKind is the kind of an [Event].
type EventKind uint8

const (
	Created           EventKind = iota // the job was created
	Started                            // the executor of a Pending attempt got going
	Ended                              // the executor returned
	ReadyChanged                       // the attempt said whether it is ready
	ConditionSet                       // the attempt set a condition
	AttemptDeleted                     // a user asked the attempt to stop
	Disrupted                          // the attempt was evicted or lost
	RestartDelayKnown                  // answers NeedRestartDelay
	DelayKnown                         // answers NeedDelay
	Updated                            // the spec was changed
	Deleted                            // the job was deleted
	Tick                               // Due has come
	Halted                             // nothing more is to start
	Interrupted                        // what runs is to stop, uncounted
	Paused                             // nothing is to start for now, or may again
	Recovered                          // the job was loaded: what ran then does not run any more; see recover
	Cancelled                          // the job, or some of its indexes, are to fail
	Rerun                              // a finished job is to run once more
	SignKnown                          // answers NeedSign
	DependenciesMet                    // the jobs after which this one is to start are complete
	DependencyFailed                   // one of them never will be
	Reported                           // the manager of the job says how it is
)

// An Action is something that the caller of [Job.Step] is to do.
type Action struct {
	Kind    ActionKind
	Cause   Cause // for Stop
	N       int   // for NeedDelay and NeedRestartDelay: which failure in a row
	Attempt *Attempt
	Index   int // for NeedDelay: the index, or -1 for the job
}

// ActionKind is the kind of an [Action].
type ActionKind uint8

const (
	Start            ActionKind = iota // run the executor: a new attempt, or a restart of one
	Stop                               // cancel the attempt's context
	Close                              // an attempt with Notify has ended
	Abandon                            // the grace period is over and the executor has not returned
	NeedDelay                          // find the delay before the next retry, and answer with DelayKnown
	NeedRestartDelay                   // find the delay before the restart, and answer
	NeedSign                           // find when the attempt last gave a sign of life, and answer with SignKnown
	Finished                           // the job is Complete or Failed
	Gone                               // the job is removed
)

// Cause is why an attempt is to stop.
type Cause uint8

const (
	CauseDeleted    Cause = iota // the attempt, or its job
	CauseFinished                // the job is decided
	CauseSuspended               // the job is
	CauseScaledDown              // the job wants fewer attempts, or other indexes
	CauseDisrupted               // something outside has ended it
	CauseTimeout                 // it ran for too long
	CauseShutdown                // the process is to end
	CauseCancelled               // the job, or the index, was cancelled
	CauseStalled                 // it gave no sign of life for too long
)
