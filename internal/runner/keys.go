package runner

import "runtime/debug"

// The keys of limits are found by a function of the user. It is called on a goroutine of
// the job's own, for one attempt after the other: it holds nothing up but its job.

// keyLocked puts an attempt in line once its key is known.
func (j *Job) keyLocked(w waiting) {
	j.unkeyed = append(j.unkeyed, w)
	if j.isKeying {
		return
	}
	j.isKeying = true
	j.r.enter()
	j.r.launch(j.findKeys)
}

func (j *Job) findKeys() {
	defer j.r.leave()
	for {
		w, find, index, ok := j.nextUnkeyed()
		if !ok {
			return
		}
		key, fault := callKey(find, index)
		if fault != nil {
			j.failUnkeyed(w, fault)
			continue
		}
		var e effects
		j.lock()
		if w.isWanted() && !j.engine.IsHalted() {
			j.standLocked(w, key)
		}
		j.unlock()
		j.r.perform(&e)
	}
}

// nextUnkeyed takes the first attempt whose key is not known.
func (j *Job) nextUnkeyed() (w waiting, find func(int) string, index int, ok bool) {
	j.lock()
	defer j.unlock()
	for len(j.unkeyed) > 0 {
		w = j.unkeyed[0]
		j.unkeyed = j.unkeyed[1:]
		if w.isWanted() {
			return w, j.def.Load().LimitKey, w.attempt.Index, true
		}
	}
	j.unkeyed, j.isKeying = nil, false
	return w, nil, 0, false
}

// A keyFault is that the function has panicked or called runtime.Goexit.
type keyFault struct {
	value any
	stack []byte
}

// callKey calls the function where it can do no harm.
func callKey(find func(int) string, index int) (key string, fault *keyFault) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() {
			if value := recover(); !returned { // also after runtime.Goexit
				fault = &keyFault{value, debug.Stack()}
			}
		}()
		key = find(index)
		returned = true
	}()
	<-done
	return key, fault
}

// failUnkeyed has an attempt fail without a key, as if its executor had panicked.
func (j *Job) failUnkeyed(w waiting, fault *keyFault) {
	var e effects
	j.lock()
	wanted := w.isWanted() && !j.engine.IsHalted()
	if wanted {
		j.pinLocked(&e, w.attempt)
	}
	j.unlock()
	j.r.perform(&e)
	if wanted {
		j.r.enter()
		j.r.launch(func() { j.r.work(j.hasPanicked(runOf(w.attempt), fault.value, fault.stack)) })
	}
}
