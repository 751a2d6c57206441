package engine

import "fmt"

// Check reports the first invariant that does not hold, or nil (R275 to R288).
// It costs time in proportion to the job's size.
func (j *Job) Check() error {
	var active, ready, terminating, restarts, settling int
	for i, a := range j.live {
		if int(a.slot) != i || a.terminal() {
			return fmt.Errorf("attempt %d is misplaced", a.Seq)
		}
		if a.active() {
			active++
			if a.Ready {
				ready++
			}
		} else {
			terminating++
		}
		restarts += a.Restarts
		if a.settleAt != 0 {
			settling++
		}
	}
	switch {
	case active != j.Active || ready != j.Ready || terminating != j.Terminating:
		return fmt.Errorf("counted %d active, %d ready, %d terminating; status has %d, %d, %d",
			active, ready, terminating, j.Active, j.Ready, j.Terminating)
	case restarts != j.restarts || settling != j.settling:
		return fmt.Errorf("counted %d restarts, %d settling; have %d, %d", restarts, settling, j.restarts, j.settling)
	}
	return nil
}
