package batch

import "time"

// Check reports every invariant of a job that does not hold.
func Check(c *Controller, name string) error {
	j, err := c.current().Find(name)
	if err != nil {
		return err
	}
	return j.Check()
}

// StepWall has a controller see the wall clock as if it had been set by d, or as if
// the machine had slept for d.
func StepWall(c *Controller, d time.Duration) { c.current().StepWall(d) }
