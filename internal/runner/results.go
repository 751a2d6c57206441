package runner

import "github.com/runtocompletion/batch/internal/results"

// A Result is what an attempt leaves that counts if it succeeds. It does not change.
type Result struct {
	Data  []byte // as JSON
	Value any    // instead, for Definition.Keep
}

// SetResult keeps what the attempt results in, in the place of what it has set before.
func (a Attempt) SetResult(r Result) error {
	err := ErrAttemptEnded
	a.with(func(x *run) {
		limit := x.job.def.Load().ResultLimit
		if len(r.Data) > limit {
			err = tooLarge("result", len(r.Data), limit)
			return
		}
		x.result, err = &r, nil
		if alone := x.job.alone(); alone != nil {
			alone.result = &r
		}
	})
	return err
}

// keepResultLocked keeps the result of an attempt of that index which has just been
// counted as a success.
func (j *Job) keepResultLocked(r *Result, index int) {
	if index < 0 { // it has the number of its completion
		index = j.engine.Succeeded - 1
	}
	if r.Data != nil {
		j.addResultLocked(index, r.Data)
	} else if keep := j.def.Load().Keep; keep != nil {
		keep(index, r.Value)
	}
}

func (j *Job) addResultLocked(index int, data []byte) {
	if j.results == nil {
		j.results = &results.Book{IsStored: j.stored != nil}
	}
	j.results.Add(index, data)
}

// dropResultsLocked drops the results of what does not count as done any more.
func (j *Job) dropResultsLocked() {
	switch e := j.engine; {
	case e.Succeeded == 0:
		j.results.Truncate(0)
	case e.Spec.Indexed:
		j.results.Truncate(e.Spec.Completions)
	}
}

// Results returns the results of the job as they are now. Those of indexes that were
// cut off are left out.
func (j *Job) Results() []results.Result {
	j.lock()
	view, completed, indexed := j.results.View(), j.engine.Completed.Snapshot(), j.engine.Spec.Indexed
	j.unlock()
	list := view.Sorted()
	if !indexed {
		return list
	}
	kept := list[:0]
	for _, r := range list {
		if completed.Contains(r.Index) {
			kept = append(kept, r)
		}
	}
	return kept
}
