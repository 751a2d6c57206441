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

// A View is the objects of one kind: those that a cache follows, or some that
// never change.
type View struct {
	cache *Cache // nil: fixed is all there ever is
	kind  Kind
	fixed Snapshot
}

// Of returns a view of the objects of a kind.
func (c *Cache) Of(kind Kind) *View { return &View{cache: c, kind: kind} }

// Fixed returns a view of objects that never change.
func Fixed(version uint64, objects ...*Object) *View {
	return &View{fixed: Snapshot{version, objects}}
}

// List is [Cache.List].
func (v *View) List(jobName string) Snapshot {
	if v.cache == nil {
		return v.fixed
	}
	return v.cache.List(v.kind, jobName)
}

// Object returns an object by name, as it is now, or nil.
func (v *View) Object(name string) *Object {
	if v.cache != nil {
		return v.cache.Object(v.kind, name)
	}
	for _, o := range v.fixed.Objects {
		if o.Name == name {
			return o
		}
	}
	return nil
}

// Version is the latest version that was given out.
func (v *View) Version() uint64 {
	if v.cache == nil {
		return v.fixed.Version
	}
	return v.cache.Version()
}

// Remembers reports whether a watch can begin at a version.
func (v *View) Remembers(version uint64) bool {
	return v.cache == nil || v.cache.Remembers(v.kind, version)
}

// Watch is [Cache.Watch].
func (v *View) Watch(since uint64) (*Watcher, error) {
	if v.cache == nil {
		return &Watcher{cursor: v.fixed.Version}, nil
	}
	return v.cache.Watch(v.kind, since)
}

// ListAndWatch is [Cache.ListAndWatch].
func (v *View) ListAndWatch() (Snapshot, *Watcher) {
	if v.cache == nil {
		return v.fixed, &Watcher{cursor: v.fixed.Version}
	}
	return v.cache.ListAndWatch(v.kind)
}
