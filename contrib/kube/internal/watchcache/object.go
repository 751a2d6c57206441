// Package watchcache shows what controllers know as objects in one order of
// versions, the way that the watch cache of a Kubernetes API server does: lists
// say at which version they were taken, and watches go on from there without a
// gap.
//
// Nothing runs while nobody watches. A list then compares what the cache knows
// with what the controller knows, and a watch follows the controller.
package watchcache

import (
	"sync"
	"time"

	"github.com/runtocompletion/batch"
)

// A Kind is a kind of objects. Each has its own log of changes, and all share
// one order of versions.
type Kind int

// The kinds.
const (
	Jobs Kind = iota
	Pods
	Events
	CronJobs
	kinds
)

// An Object is a job, an attempt, an event or a CronJob as it was at one version. It
// does not change.
type Object struct {
	Version uint64
	Name    string
	// Owner is the job that an attempt or an event belongs to.
	Owner *Owner
	Job   *Job                 // of a job, otherwise nil
	Pod   *batch.AttemptStatus // of an attempt, or of an event of one, otherwise nil
	Event *batch.Event         // of an event, otherwise nil
	// Times is of an event that may come again.
	Times *Times
	// CronJob is of a CronJob, or of an event of one.
	CronJob *CronJob
	// Orphan is set if an attempt goes on although its job was removed.
	Orphan bool
	// Stays is set if an attempt was asked to stop, has ended, and is shown.
	Stays bool
	// Attributes hold what selectors ask for, once somebody has asked.
	Attributes Memo
}

// Times say when an event has come first, and how often it has come since.
type Times struct {
	First time.Time
	Count int
}

// A Job is a job's spec, and a status that is no newer than the spec.
type Job struct {
	Spec   batch.Job
	Status batch.Status
}

// An Owner is a job as the cache saw it before it started: its name, UID and template, which
// never change.
type Owner struct {
	Job
	// Manifest holds the job in the form that its pods are made from.
	Manifest Memo
}

// A Memo holds a value that is made when it is first asked for.
type Memo struct {
	once  sync.Once
	value any
}

// Value returns the value; make is called at most once.
func (m *Memo) Value(make func() any) any {
	m.once.Do(func() { m.value = make() })
	return m.value
}
