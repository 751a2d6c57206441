//go:build unix

package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/boltstore"
)

// childVariable has the config of a child, and makes a process one.
const childVariable = "BATCH_CRASH_CHILD"

// What the exit code of a child says.
const (
	exitDone   = 0 // all jobs have ended
	exitHalted = 3 // it was asked to stop, and has done so
	exitBroken = 4 // it could not do its work
)

// A config tells a child what to do.
type config struct {
	Folder  string // of the store and the ledger
	Seed    uint64
	Process int      // of the round, from 0
	Gone    []string // names of jobs that are not to be applied any more
	Trap    trap
	Break   string // see breakages
}

func (c *config) ledgerPath() string { return filepath.Join(c.Folder, "ledger") }
func (c *config) storePath() string  { return filepath.Join(c.Folder, "jobs.db") }

// A child is a process that is going to be killed.
type child struct {
	config     config
	plan       *plan
	ledger     *ledger
	rng        *rand.Rand // of the goroutine that looks around
	controller *batch.Controller
	store      *boltstore.Store
}

// runIfChild does what a parent has asked for; it does not return then.
func runIfChild() {
	text, ok := os.LookupEnv(childVariable)
	if !ok {
		return
	}
	c, err := newChild(text)
	if err == nil {
		err = c.open()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitBroken)
	}
	os.Exit(c.run())
}

func newChild(text string) (*child, error) {
	c := new(child)
	if err := json.Unmarshal([]byte(text), &c.config); err != nil {
		return nil, err
	}
	c.plan = newPlan(c.config.Seed)
	c.rng = c.random("look around")
	var err error
	c.ledger, err = openLedger(c.config.ledgerPath(), c.config.Process)
	return c, err
}

// random is a source of its own for everyone who needs one.
func (c *child) random(who string) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, who, c.config.Process)
	return rand.New(rand.NewPCG(c.config.Seed, h.Sum64()))
}

func (c *child) open() (err error) {
	c.ledger.write(line{Kind: began})
	if c.store, err = boltstore.Open(c.config.storePath(), boltstore.Options{}); err != nil {
		return err
	}
	store := c.config.Trap.around(c.noting(breakages[c.config.Break](c.store)))
	if c.controller, err = batch.New(context.Background(),
		batch.Options{Store: store, MaxActive: c.plan.maxActive}); err != nil {
		return err
	}
	c.ledger.write(line{Kind: opened})
	return nil
}

// run goes on with the jobs until they have ended, or it is to stop.
func (c *child) run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c.listAll()
	var watchers sync.WaitGroup
	watchers.Go(c.subscribe)
	watchers.Go(func() { c.watch(ctx) })
	watchers.Go(func() { c.lookAround(ctx) })
	var jobs sync.WaitGroup
	for _, name := range c.plan.names {
		if !slices.Contains(c.config.Gone, name) {
			jobs.Go(func() { c.seeThrough(ctx, c.plan.tasks[name]) })
		}
	}
	jobs.Wait()
	code := exitDone
	if ctx.Err() != nil {
		code = exitHalted
		c.halt()
	} else {
		c.tellRest()
	}
	stop()
	watchers.Wait()
	return code
}

// halt shuts down as a service does: what runs gets a moment.
func (c *child) halt() {
	c.ledger.write(line{Kind: halting})
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(c.random("halt").IntN(30))*time.Millisecond)
	defer cancel()
	err := errors.Join(c.controller.Shutdown(ctx))
	for status := range c.controller.All() {
		c.tell(status)
	}
	if err = errors.Join(err, c.store.Close()); err != nil {
		c.problem(fmt.Errorf("shutdown: %w", err))
		return
	}
	c.ledger.write(line{Kind: halted})
}

func (c *child) problem(err error) { c.ledger.write(line{Kind: problem, Text: err.Error()}) }

// listAll writes down all there is before anything can go on.
func (c *child) listAll() {
	for status := range c.controller.All() {
		c.show(status.Name)
		if status, err := c.controller.Get(status.Name); err == nil {
			c.ledger.write(line{Kind: found, Job: status.Name, UID: status.UID, Status: &status})
			c.checkResults(status)
		}
	}
	c.ledger.write(line{Kind: listed})
}

func (c *child) tell(status batch.Status) {
	c.ledger.write(line{Kind: told, Job: status.Name, UID: status.UID, Status: &status})
}

// show writes down the attempts and events of a job, unless another one has got its
// name meanwhile, whose events they would be.
func (c *child) show(name string) {
	before, err := c.controller.Get(name)
	if err != nil {
		return // it is gone
	}
	attempts, err := c.controller.Attempts(context.Background(), name)
	if err != nil {
		return
	}
	events, err := c.controller.Events(context.Background(), name)
	if err != nil {
		return
	}
	attempts = slices.DeleteFunc(attempts, func(a batch.AttemptStatus) bool { return a.JobUID != before.UID })
	if after, err := c.controller.Get(name); err == nil && after.UID == before.UID {
		c.ledger.write(line{Kind: shown, Job: name, UID: before.UID, Attempts: attempts, Events: events})
	}
}

// watch writes down every change.
func (c *child) watch(ctx context.Context) {
	for change, err := range c.controller.Watch(ctx, 0) {
		switch {
		case err != nil && ctx.Err() == nil && !errors.Is(err, batch.ErrShutdown):
			c.problem(fmt.Errorf("watch: %w", err))
		case err != nil:
		case change.Deleted:
			c.ledger.write(line{Kind: gone, Job: change.Status.Name, UID: change.Status.UID})
		default:
			c.tell(change.Status)
		}
	}
}

// lookAround looks at one job after the other.
func (c *child) lookAround(ctx context.Context) {
	for {
		select {
		case <-time.After(time.Duration(c.rng.IntN(10)) * time.Millisecond):
		case <-ctx.Done():
			return
		}
		name := c.plan.names[c.rng.IntN(len(c.plan.names))]
		if c.rng.IntN(3) == 0 {
			c.show(name)
		} else if status, err := c.controller.Get(name); err == nil {
			c.tell(status)
		}
	}
}

// seeThrough applies a job and waits for its end, and removal.
func (c *child) seeThrough(ctx context.Context, t *task) {
	job := t.job
	job.Executor = &worker{t, c.ledger, c.config.Seed}
	status, err := c.controller.Apply(ctx, job)
	if err != nil {
		if ctx.Err() == nil {
			c.problem(fmt.Errorf("apply %s: %w", job.Name, err))
		}
		return
	}
	c.tell(status)
	var users sync.WaitGroup
	defer users.Wait()
	if t.users || t.deleted || status.Suspend {
		u := &user{c, t, c.random(job.Name)}
		users.Go(func() { u.meddle(ctx) })
	}
	status, err = c.controller.Wait(ctx, job.Name)
	if _, failed := errors.AsType[*batch.JobError](err); err == nil || failed {
		c.tell(status)
		c.seeRemoved(ctx, t, status)
	} else if ctx.Err() == nil && !errors.Is(err, batch.ErrDeleted) && !errors.Is(err, batch.ErrNotFound) {
		c.problem(fmt.Errorf("wait for %s: %w", job.Name, err))
	}
}

// seeRemoved waits until a job with a time to live has been removed.
func (c *child) seeRemoved(ctx context.Context, t *task, status batch.Status) {
	for t.job.TTLAfterFinished != nil && ctx.Err() == nil {
		if _, err := c.controller.Get(t.job.Name); errors.Is(err, batch.ErrNotFound) {
			c.ledger.write(line{Kind: gone, Job: t.job.Name, UID: status.UID})
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
