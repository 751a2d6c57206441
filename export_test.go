package batch

// Check reports every invariant of a job that does not hold.
func Check(c *Controller, name string) error {
	j, err := c.find(name)
	if err != nil {
		return err
	}
	j.lock()
	defer j.mu.Unlock()
	return j.engine.Check()
}
