package cron

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron/internal/engine"
)

// recordPrefix begins the keys of the records of CronJobs.
const recordPrefix = "cron/"

func specKey(name string) string { return recordPrefix + name + "/spec" }

func stateKey(name string) string { return recordPrefix + name + "/state" }

// load reads the records, and returns from which revision on jobs are to be watched.
func (c *Controller) load() (since uint64, err error) {
	records := make(map[string][]byte)
	for key, value := range c.batch.Records(recordPrefix) {
		records[key] = value
	}
	loaded := make(map[string]*loading)
	for key, value := range records {
		name, isSpec := strings.CutSuffix(strings.TrimPrefix(key, recordPrefix), "/spec")
		if !isSpec {
			continue
		}
		l, err := readRun(value, records[stateKey(name)])
		if err != nil {
			return 0, fmt.Errorf("cron: record of CronJob %q: %w", name, err)
		}
		loaded[l.uid] = l
	}
	for key := range records { // what a deletion has left
		name, isState := strings.CutSuffix(strings.TrimPrefix(key, recordPrefix), "/state")
		if isState && records[specKey(name)] == nil {
			if err := c.batch.SaveRecord(c.ctx, key, nil); err != nil {
				return 0, err
			}
		}
	}
	since = c.findJobs(loaded)
	for _, l := range loaded {
		c.addLoaded(l)
	}
	return since, nil
}

// findJobs gives loaded CronJobs the jobs they own.
func (c *Controller) findJobs(loaded map[string]*loading) (since uint64) {
	since = c.batch.Revision()
	for status := range c.batch.All() {
		job, err := c.batch.Job(status.Name)
		if err != nil {
			continue // it is gone
		}
		if l := loaded[job.Annotations[OwnerAnnotation]]; l != nil {
			l.jobs = append(l.jobs, jobOf(status, job.Annotations))
		}
	}
	return since
}

func (c *Controller) addLoaded(l *loading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := l.run(c)
	c.runs[r.spec.Name], c.byUID[r.uid] = r, r
	for _, j := range l.jobs {
		c.owners[j.UID] = r
	}
	c.feed.Add(&r.entry)
	r.unsaved = r.engine.IsChanged()
	r.post(input{Input: engine.Input{Kind: engine.Look}})
}

// save stores the state, if it has changed, and then lets every caller see it.
func (r *run) save() error {
	c := r.c
	var err error
	switch {
	case r.removing:
		if err = c.batch.SaveRecord(context.Background(), specKey(r.spec.Name), nil); err == nil {
			err = c.batch.SaveRecord(context.Background(), stateKey(r.spec.Name), nil)
		}
	case r.unsaved:
		err = c.batch.SaveRecord(context.Background(), stateKey(r.spec.Name), r.saveState())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		r.saveLater(err)
		return storeError(err)
	}
	if r.gate != nil {
		close(r.gate)
	}
	r.unsaved, r.gate, r.failures, r.retryAt = false, nil, 0, engine.Never
	if r.removing {
		r.removing = false
		r.leave()
	} else if r.show() {
		c.feed.Changed(&r.entry)
	}
	return nil
}

// saveAtLast stores the state of a run that does nothing any more, unless the store fails
// for seconds.
func (r *run) saveAtLast() (err error) {
	const tries = 6
	for range tries {
		if err = r.save(); err == nil || errors.Is(err, ErrShutdown) || errors.Is(err, batch.ErrStoreInUse) {
			return err
		}
		time.Sleep(time.Duration(r.retryAt - r.c.now()))
	}
	return fmt.Errorf("cron: CronJob %q: %w", r.spec.Name, err)
}

// saveLater lets the state be stored after a while. It needs c.mu.
func (r *run) saveLater(err error) {
	const first, most = 100 * time.Millisecond, 5 * time.Second
	if r.failures == 0 {
		r.c.logger.Error("CronJob not stored", slog.String("cronjob", r.spec.Name), slog.Any("error", err))
	}
	r.retryAt = r.c.now() + int64(min(first<<min(r.failures, 10), most))
	r.failures++
}

// A savedSpec is the record of what is written seldom, and a savedState of what
// each start changes.
type savedSpec struct {
	UID        string
	Created    engine.Time
	Generation int64
	Spec       CronJob
	Declared   *CronJob
}

type savedState struct {
	UID string
	engine.State
}

func (r *run) saveSpec() []byte {
	return compact(savedSpec{r.uid, r.shown.Created, r.generation, r.spec, r.declared})
}

func (r *run) saveState() []byte {
	data, _ := json.Marshal(savedState{r.uid, r.engine.State}) // cannot fail
	return data
}

// compact encodes a value without what is unset.
func compact(value any) []byte {
	data, _ := json.Marshal(value) // cannot fail: functions are left out
	var tree any
	numbers := json.NewDecoder(bytes.NewReader(data))
	numbers.UseNumber()
	_ = numbers.Decode(&tree) // nor can this
	data, _ = json.Marshal(pruned(tree))
	return data
}

func pruned(tree any) any {
	fields, ok := tree.(map[string]any)
	if !ok {
		return tree
	}
	for name, value := range fields {
		if name == "Input" { // of a job: all of it means something
			continue
		}
		value = pruned(value)
		if inner, isObject := value.(map[string]any); value == nil || value == "" || value == false || isObject &&
			len(inner) == 0 {
			delete(fields, name)
		} else {
			fields[name] = value
		}
	}
	return fields
}

// loading is a run that is being loaded.
type loading struct {
	savedSpec
	uid   string
	state engine.State
	jobs  []engine.Job
}

func readRun(spec, state []byte) (*loading, error) {
	l := new(loading)
	decoder := json.NewDecoder(bytes.NewReader(spec))
	decoder.UseNumber() // in the input of a job
	if err := decoder.Decode(&l.savedSpec); err != nil {
		return nil, err
	}
	var saved savedState
	if state != nil {
		if err := json.Unmarshal(state, &saved); err != nil {
			return nil, err
		}
	}
	if saved.UID == l.UID { // and not of another CronJob of this name, which is gone
		l.state = saved.State
	}
	l.state.Created, l.uid = l.Created, l.UID
	return l, nil
}

func (l *loading) run(c *Controller) *run {
	spec := l.Spec.withDefaults()
	r := &run{c: c, uid: l.uid, spec: spec, generation: l.Generation}
	if l.Declared != nil {
		r.declared = new(l.Declared.withDefaults())
	}
	r.entry.Item = r
	r.engine = engine.New(spec.engineSpec(), l.state, l.jobs)
	r.engine.Held = true
	r.show()
	return r
}
