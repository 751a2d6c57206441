package engine

// This file is what users do to a job as a whole: change its spec, and remove it.

// update applies a changed spec.
func (j *Job) update(spec *Spec, now Time) {
	old := j.Spec
	j.Spec = spec
	// Also of a finished job: less memory is wanted at once.
	j.history.trim(spec.History)
	if j.FinishedAt != 0 {
		return // nothing but the TTL acts on a finished job
	}
	// Without indexes the number alone matters, which is looked at in every step.
	if spec.Indexed && spec.Completions != old.Completions {
		j.outOfRange = spec.Completions < old.Completions
		j.resize(old.Completions, spec.Completions)
	}
	switch {
	case j.target != nil: // every attempt has been counted
	case spec.ReplaceFailed == old.ReplaceFailed:
	case spec.ReplaceFailed:
		j.holdAgain()
	default:
		j.replaceTerminating(now)
	}
}

// replaceTerminating follows a change of the replacement policy to
// TerminatingOrFailed: what is stopping has failed.
func (j *Job) replaceTerminating(now Time) {
	for _, a := range j.live {
		if a.State != StateStopping {
			continue
		}
		j.settled(a)
		if a.account == open {
			j.countFailure(a, now)
		}
		j.freeIndex(a)
	}
}

// delete removes the job, at once or when its attempts have ended. A job that
// is removed at once with all it has leaves no time to count what was retained.
func (j *Job) delete(ev Event) {
	if j.DeletedAt == 0 {
		j.DeletedAt = ev.At
	}
	// Then the counts are still to be seen.
	if ev.Orphan || ev.Linger {
		j.recordAll()
	} else {
		j.forgetAll()
	}
	for i := len(j.live) - 1; i >= 0; i-- {
		a := j.live[i]
		if !ev.Orphan {
			j.stopUncounted(a, DeletedByGC, CauseDeleted, ev.At)
		}
		// Nothing counts any more, also of what runs on.
		j.exempt(a)
	}
	if !ev.Linger {
		j.remove()
	}
}

// expire removes a finished job whose time to live is over.
func (j *Job) expire(now Time) {
	if j.DeletedAt != 0 || j.Spec.TTL >= 0 && now >= j.FinishedAt.Add(j.Spec.TTL) {
		j.remove()
	}
}

// removeWhenEmpty removes a deleted job that has waited for its attempts to end.
func (j *Job) removeWhenEmpty() {
	// A job of another controller has attempts that are not live here.
	if j.DeletedAt != 0 && len(j.live) == 0 && !(j.Spec.Unmanaged && j.Active+j.Terminating > 0) {
		j.remove()
	}
}

// remove makes the job gone. Attempts of an orphaned one may still be live.
func (j *Job) remove() {
	// It may be asked for several times: by a user, and by the end of the last attempt.
	if !j.gone {
		j.gone = true
		j.emit(Gone, nil)
	}
}
