package pod

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/runtocompletion/batch"
)

// RunsCondition is a condition of attempts whose containers run one after the
// other, or were restarted in place. Its message is their Runs as JSON.
const RunsCondition string = "kube.runtocompletion.dev/Runs"

// Runs is what is known of the runs of containers, by name.
type Runs map[string]*History

// A History is what is known of the runs of one container.
type History struct {
	Failures int       `json:"failures,omitempty"`
	Done     bool      `json:"done,omitempty"` // it has succeeded
	Begun    time.Time `json:"begun"`          // the latest run
	Last     *Run      `json:"last,omitempty"` // the latest that has ended
}

// A Run is one that has ended.
type Run struct {
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Code     int       `json:"code"`
	Message  string    `json:"message,omitempty"`
}

// RunsOf reads the runs of an attempt. What does not read as such is nothing: Go
// code may set any condition.
func RunsOf(conditions []batch.Condition) Runs {
	var runs Runs
	for _, c := range conditions {
		if c.Type == RunsCondition && json.Unmarshal([]byte(c.Message), &runs) != nil {
			return nil
		}
	}
	return runs
}

// A recorder records the runs of an attempt, in a file that outlasts restarts in
// place, and in a condition for those who look on.
type recorder struct {
	attempt batch.Attempt
	runs    Runs
}

// record returns the recorder of an attempt, with what it knows from before.
func record(a batch.Attempt) (*recorder, error) {
	r := &recorder{a, make(Runs)}
	if a.Restarts == 0 {
		return r, nil
	}
	name, err := r.file()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	return r, errors.Join(err, json.Unmarshal(text, &r.runs))
}

func (r *recorder) file() (string, error) {
	dir, err := r.attempt.Dir()
	return filepath.Join(dir, "runs.json"), err
}

func (r *recorder) done(container string) bool {
	h := r.runs[container]
	return h != nil && h.Done
}

// mark is the line of the log where a further run begins. The UID of the pod,
// which containers need not know, tells it from what they print.
const mark = "--- container %s begins, run %d of pod %s"

// ParseMark reads such a line of an attempt.
func ParseMark(text, uid string) (container string, run int, ok bool) {
	var pod string
	n, _ := fmt.Sscanf(text, mark, &container, &run, &pod)
	return container, run, n == 3 && pod == uid
}

// begin notes that a container begins. Of the first run of all that needs no
// note.
func (r *recorder) begin(container string) error {
	first := len(r.runs) == 0
	h := cmp.Or(r.runs[container], new(History))
	h.Begun, r.runs[container] = time.Now(), h
	if first {
		return nil
	}
	if _, err := fmt.Fprintf(r.attempt.Stderr(), mark+"\n", container, h.Failures, r.attempt.UID()); err != nil {
		return err
	}
	return r.save()
}

// end notes how the run of a container has ended.
func (r *recorder) end(container string, err error) error {
	h := r.runs[container]
	h.Done = err == nil
	h.Last = &Run{Started: h.Begun, Finished: time.Now(), Code: batch.ExitCode(err)}
	if err != nil {
		h.Failures++
		text := err.Error()
		h.Last.Message = text[:min(len(text), maxMessage)]
	}
	return r.save()
}

func (r *recorder) save() error {
	text, err := json.Marshal(r.runs)
	if err != nil {
		return err
	}
	name, err := r.file()
	if err != nil {
		return err
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		return err
	}
	err = r.attempt.SetCondition(batch.Condition{Type: RunsCondition, Status: "True", Message: string(text)})
	if errors.Is(err, batch.ErrAttemptEnded) {
		return nil // nobody will ask
	}
	return err
}

// Current is the container of a pod that is at work, or was last: the first of
// those, in their order, that has not succeeded.
func (r Runs) Current(containers []string) string {
	i := slices.IndexFunc(containers, func(name string) bool { return r[name] == nil || !r[name].Done })
	if i < 0 {
		i = len(containers) - 1
	}
	return containers[i]
}
