package runner

// Check reports every invariant of the job's state that does not hold. It is for
// tests.
func (j *Job) Check() error {
	j.lock()
	defer j.mu.Unlock()
	return j.engine.Check()
}
