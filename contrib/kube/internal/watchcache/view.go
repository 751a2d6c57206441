package watchcache

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
