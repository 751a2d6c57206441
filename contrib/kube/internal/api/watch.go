package api

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

const (
	// bookmarkInterval is how often a quiet watch tells its version.
	bookmarkInterval = time.Minute
	// shortestWatch is how long a watch at least lasts that sets no limit; it
	// lasts up to twice as long.
	shortestWatch = 30 * time.Minute
)

// A watch is a watch that is being answered.
type watch struct {
	*answer
	*selection
	form      form
	watcher   *watchcache.Watcher
	described bool // a table's columns were
	buffer    []byte
}

// watch answers with the changes of a collection until the client has gone.
func (a *answer) watch(q *query) error {
	f, err := formOf(a.Request, q, wire.AsProtobuf)
	if err != nil {
		return err
	}
	s, err := a.selection(q)
	if err != nil {
		return err
	}
	leave, err := a.server.host.Streams.Enter()
	if err != nil {
		return err
	}
	defer leave()
	w := &watch{answer: a, selection: s, form: f}
	snapshot, err := w.start()
	if err != nil {
		return err
	}
	defer w.watcher.Close()
	ctx, cancel := context.WithTimeout(a.Request.Context(), w.duration())
	defer cancel()
	a.Begin(http.StatusOK, f.stream())
	w.run(ctx, snapshot)
	return nil
}

// start finds the place from which to watch. The snapshot is what is to be sent
// first; its version is zero if nothing is.
func (w *watch) start() (watchcache.Snapshot, error) {
	r := w.query.kind
	initial := w.version == 0
	if send := w.options.SendInitialEvents; send != nil {
		initial = *send || w.options.ResourceVersion == "0"
	}
	if initial || w.version == 0 {
		snapshot, watcher := r.Objects.ListAndWatch()
		w.watcher = watcher
		if !initial {
			return watchcache.Snapshot{}, nil
		}
		if w.version > snapshot.Version {
			watcher.Close()
			return snapshot, tooLarge(w.version, snapshot.Version)
		}
		return snapshot, nil
	}
	watcher, err := r.Objects.Watch(w.version)
	if err != nil {
		return watchcache.Snapshot{}, apierrors.NewResourceExpired(
			fmt.Sprintf("too old resource version: %d (%d)", w.version, r.Objects.Version()))
	}
	w.watcher = watcher
	return watchcache.Snapshot{}, nil
}

func (w *watch) duration() time.Duration {
	if seconds := w.options.TimeoutSeconds; seconds != nil && *seconds > 0 {
		return time.Duration(min(*seconds, 24*60*60)) * time.Second
	}
	return shortestWatch + rand.N(shortestWatch)
}

// run sends what there is, and then what changes.
func (w *watch) run(ctx context.Context, snapshot watchcache.Snapshot) {
	if !w.sendInitial(ctx, snapshot) || !w.flush() {
		return
	}
	bookmarks := time.NewTicker(bookmarkInterval)
	defer bookmarks.Stop()
	for {
		more, ok := w.sendChanges(ctx)
		if !ok || len(w.buffer) > 0 && !w.flush() {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-more:
		case <-bookmarks.C:
			w.bookmark(w.watcher.Cursor(), nil)
		}
	}
}

func (w *watch) sendInitial(ctx context.Context, snapshot watchcache.Snapshot) bool {
	for _, o := range snapshot.Objects {
		built := w.query.kind.Build(o)
		if ctx.Err() != nil || w.has(built) && !w.sendObject("ADDED", built) {
			return false
		}
	}
	if send := w.options.SendInitialEvents; send != nil && *send && snapshot.Version != 0 {
		w.bookmark(snapshot.Version, map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	return true
}

// sendChanges sends what has changed, and returns what to wait for next.
func (w *watch) sendChanges(ctx context.Context) (more <-chan struct{}, ok bool) {
	from := w.watcher.Cursor()
	changes, more, err := w.watcher.Changes()
	if errors.Is(err, watchcache.ErrTooOld) {
		w.sendError(apierrors.NewResourceExpired("The resourceVersion for the provided watch is too old."))
	}
	if err != nil {
		return more, false
	}
	if w.sharesBundles() && len(changes) > 1 && len(changes) <= longestBundle {
		return more, w.sendBundle(bundleKey{w.query.kind, w.form, from, w.watcher.Cursor()}, changes)
	}
	for _, c := range changes {
		if ctx.Err() != nil || !w.sendChange(c) {
			return more, false
		}
	}
	return more, true
}

// sharesBundles reports whether the watcher is sent the same as others are.
func (w *watch) sharesBundles() bool {
	return w.isEverything() && !w.isElsewhere() && (w.described || w.form.shape != wire.AsTable)
}

func (w *watch) sendBundle(key bundleKey, changes []*watchcache.Change) bool {
	data, err := w.server.bundles.get(key, changes)
	if err != nil {
		return w.add(nil, err)
	}
	return (len(w.buffer) == 0 || w.flush()) && w.answer.Send(data, true) == nil
}

// sendChange sends a change as it looks through the selectors: an object that
// stops matching is deleted for the watcher.
func (w *watch) sendChange(c *watchcache.Change) bool {
	before := w.hasCached(c.Previous)
	now := c.Type != watchcache.Deleted && w.hasCached(c.Object)
	switch {
	case now && before:
		return w.sendCached(c, "MODIFIED", c.Object)
	case now:
		return w.sendCached(c, "ADDED", c.Object)
	case before && c.Type == watchcache.Deleted:
		return w.sendCached(c, "DELETED", c.Object)
	case before:
		return w.sendCached(c, "DELETED", c.Previous)
	}
	return true
}

func (w *watch) sendCached(c *watchcache.Change, kind string, o *watchcache.Object) bool {
	if w.form.shape == wire.AsTable && !w.described {
		built := w.query.kind.Build(o)
		built.SetResourceVersion(kinds.FormatVersion(c.Version))
		return w.sendObject(kind, built)
	}
	data, err := w.form.change(w.query.kind, c, kind, o)
	return w.add(data, err)
}

func (w *watch) sendObject(kind string, o kinds.Object) bool {
	data, err := w.form.frame(w.query.kind, kind, o, !w.described)
	w.described = true
	return w.add(data, err)
}

// bookmark tells the client that it has everything up to a version.
func (w *watch) bookmark(version uint64, annotations map[string]string) {
	if !w.options.AllowWatchBookmarks {
		return
	}
	o := w.query.kind.New()
	o.GetObjectKind().SetGroupVersionKind(w.query.kind.GroupVersionKind)
	o.SetResourceVersion(kinds.FormatVersion(version))
	o.SetAnnotations(annotations)
	shown := w.form.one(w.query.kind, o, !w.described)
	if t, ok := shown.(*metav1.Table); ok {
		w.described, t.Rows = true, []metav1.TableRow{}
	}
	w.add(w.form.encode("BOOKMARK", shown))
}

func (w *watch) sendError(err error) {
	w.add(w.form.encode("ERROR", wire.StatusOf(err)))
	w.flush()
}

// add puts a line into the buffer, and sends that if it is full. It reports
// whether the client is still there.
func (w *watch) add(data []byte, err error) bool {
	if err != nil {
		data, _ = w.form.encode("ERROR", wire.StatusOf(apierrors.NewInternalError(err)))
	}
	w.buffer = append(w.buffer, data...)
	return err == nil && (len(w.buffer) < writeSize || w.flush())
}

// flush writes the buffer, and reports whether the client is still there.
func (w *watch) flush() bool {
	if w.answer.Send(w.buffer, true) != nil {
		return false
	}
	w.buffer = w.buffer[:0]
	return true
}
