package batch

// Check reports every invariant of a job that does not hold.
func Check(c *Controller, name string) error {
	j, err := c.runner.Find(name)
	if err != nil {
		return err
	}
	return j.Check()
}
