package runner

import "time"

// Check reports every invariant of the job's state that does not hold. It is for
// tests.
func (j *Job) Check() error {
	j.lock()
	defer j.unlock()
	return j.engine.Check()
}

// StepWall has the runner see the wall clock as if it had been set by d. It is for
// tests.
func (r *Runner) StepWall(d time.Duration) { r.clock.StepWall(d) }
