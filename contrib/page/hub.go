package page

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/runtocompletion/batch"
)

// How often pages are updated while jobs change.
const (
	gatherTime = 20 * time.Millisecond  // from a change to its update, for what comes with it
	updateTime = 250 * time.Millisecond // between updates
	shareTime  = 20                     // an update is followed by a pause so many times as long,
	mostTime   = 3 * time.Second        // but not longer than this
)

// A hub follows the jobs of a controller for all pages that are open. It has a
// watch, and goroutines, as long as there is a page. Pages that show the same
// share a view, so that its updates are made once.
type hub struct {
	controller *batch.Controller
	runs       sync.WaitGroup // the goroutines

	mu    sync.Mutex // guards the fields below; not held while a view is made
	shut  bool       // no page may open
	open  int        // pages
	end   context.CancelFunc
	ended <-chan struct{}  // closed when what runs ends
	views map[string]*view // by address
	wake  chan struct{}    // has room for one: a view is to be made anew
	made  chan struct{}    // closed, and replaced, when views have been
}

func newHub(c *batch.Controller) *hub { return &hub{controller: c} }

// close lets no further pages open, and returns when the last one has left.
func (h *hub) close() {
	h.mu.Lock()
	h.shut = true
	h.mu.Unlock()
	h.runs.Wait()
}

var errShut = errors.New("page: the handler is closed")

// A session is one page's hold on the hub.
type session struct {
	hub   *hub
	ended <-chan struct{}
	views []*view
}

// join makes a page one of those that are open, and makes its views.
func (h *hub) join(addresses []string) (*session, error) {
	h.mu.Lock()
	if h.shut {
		h.mu.Unlock()
		return nil, errShut
	}
	if h.open == 0 {
		h.begin()
	}
	h.open++
	s := &session{hub: h, ended: h.ended}
	err := h.showLocked(s, addresses)
	h.mu.Unlock()
	if err != nil {
		s.leave()
		return nil, err
	}
	for _, v := range s.views {
		v.make(false)
	}
	return s, nil
}

// showLocked adds the views of the addresses to a session. It needs h.mu.
func (h *hub) showLocked(s *session, addresses []string) error {
	wake := h.wake
	for _, address := range addresses {
		v := h.views[address]
		if v == nil {
			var err error
			if v, err = newView(h.controller, address, func() { signal(wake) }); err != nil {
				return err
			}
			h.views[address] = v
		}
		v.pages++
		s.views = append(s.views, v)
	}
	return nil
}

// leave takes the page off the hub; with the last one the hub comes to rest.
func (s *session) leave() {
	h := s.hub
	var last []*view // that nobody shows any more
	h.mu.Lock()
	for _, v := range s.views {
		if v.pages--; v.pages == 0 {
			delete(h.views, v.address)
			last = append(last, v)
		}
	}
	h.open--
	if h.open == 0 {
		h.end()
	}
	h.mu.Unlock()
	for _, v := range last {
		v.close()
	}
}

// begin starts to follow the controller. It needs h.mu.
func (h *hub) begin() {
	ctx, end := context.WithCancel(context.Background())
	h.end, h.ended = end, ctx.Done()
	h.views, h.wake, h.made = make(map[string]*view), make(chan struct{}, 1), make(chan struct{})
	since, wake := h.revision(), h.wake
	h.runs.Go(func() {
		defer end() // the controller is shut down: so is this session
		h.follow(ctx, since)
	})
	h.runs.Go(func() { h.update(ctx, wake) })
}

// revision is one that the controller has given out; views made later show at
// least what there was then.
func (h *hub) revision() (newest uint64) {
	for s := range h.controller.All() {
		newest = max(newest, s.Revision)
	}
	return newest
}

// follow takes in the changes of jobs. A job that comes a second time makes it
// wait for the next update: until then the watch keeps the latest of each.
func (h *hub) follow(ctx context.Context, since uint64) {
	seen := make(map[string]struct{})
	begin := time.Now()
	for change, err := range h.controller.Watch(ctx, since) {
		if errors.Is(err, batch.ErrTooOld) { // list again
			since = h.revision()
			h.touch(func(*view) bool { return true })
			h.follow(ctx, since)
		}
		if err != nil {
			return
		}
		_, again := seen[change.Status.Name]
		if again && !pause(ctx, updateTime-time.Since(begin)) {
			return
		}
		if again || time.Since(begin) > updateTime {
			clear(seen)
			begin = time.Now()
		}
		seen[change.Status.Name] = struct{}{}
		h.touch(func(v *view) bool { return v.content.shows(change.Status.Name) })
	}
}

// touch notes that some views are to be made anew.
func (h *hub) touch(some func(*view) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	stale := false
	for _, v := range h.views {
		if some(v) {
			v.stale.Store(true)
			stale = true
		}
	}
	if stale {
		signal(h.wake)
	}
}

// update makes stale views anew.
func (h *hub) update(ctx context.Context, wake <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		}
		if !pause(ctx, gatherTime) {
			return
		}
		begin := time.Now()
		h.mu.Lock()
		views := slices.Collect(maps.Values(h.views))
		h.mu.Unlock()
		for _, v := range views {
			if v.stale.CompareAndSwap(true, false) {
				v.make(true)
			}
		}
		h.mu.Lock()
		close(h.made)
		h.made = make(chan struct{})
		h.mu.Unlock()
		if !pause(ctx, max(updateTime, min(shareTime*time.Since(begin), mostTime))) {
			return
		}
	}
}

// next is closed when views have been made anew.
func (h *hub) next() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.made
}

// signal wakes who waits for c, now or the next time.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pause waits, and reports whether ctx has not ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
