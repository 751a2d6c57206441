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
	shareTime  = 40                     // an update is followed by a pause so many times as long,
	mostTime   = 3 * time.Second        // but not longer than this
)

// A hub follows the jobs of a controller for all pages that are open. It has a
// watch, and goroutines, as long as there is a page. Pages that show the same
// share a view, so that its updates are made once.
type hub struct {
	controller *batch.Controller
	content    func(address string) (*content, error)
	runs       sync.WaitGroup // the goroutines

	mu    sync.Mutex       // guards the fields below; not held while a view is made
	shut  bool             // no page may open
	views map[string]*view // by address; none while no page is open
	end   context.CancelFunc
	ended <-chan struct{} // closed when what runs ends
	wake  chan struct{}   // has room for one: a view is to be made anew
	made  chan struct{}   // closed, and replaced, when views have been
}

// close lets no further pages open, and returns when the last one has left.
func (h *hub) close() {
	h.mu.Lock()
	h.shut = true
	h.mu.Unlock()
	h.runs.Wait()
}

var errShut = errors.New("page: the handler is closed")

// join makes a page one of those that are open, and makes its views.
func (h *hub) join(addresses []string) ([]*view, error) {
	views, err := h.find(addresses)
	if err != nil {
		h.leave(views)
		return nil, err
	}
	for _, v := range views {
		v.make(false)
	}
	return views, nil
}

// find finds the views of a page. With an error it has found some.
func (h *hub) find(addresses []string) (views []*view, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shut {
		return nil, errShut
	}
	if len(h.views) == 0 {
		h.begin()
	}
	for _, address := range addresses {
		v := h.views[address]
		if v == nil {
			c, err := h.content(address)
			if err != nil {
				return views, err
			}
			v = &view{address: address, content: c, controller: h.controller, wake: h.wake, ended: h.ended}
			h.views[address] = v
		}
		v.pages++
		views = append(views, v)
	}
	return views, nil
}

// leave takes a page off its views; with the last page the hub comes to rest.
func (h *hub) leave(views []*view) {
	var last []*view // that nobody shows any more
	h.mu.Lock()
	for _, v := range views {
		if v.pages--; v.pages == 0 {
			delete(h.views, v.address)
			last = append(last, v)
		}
	}
	if len(h.views) == 0 && h.end != nil {
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
	since, wake := h.controller.Revision(), h.wake
	h.runs.Go(func() {
		defer end() // the controller is shut down: so are the pages
		h.follow(ctx, since)
	})
	h.runs.Go(func() { h.update(ctx, wake) })
}

// follow takes in the changes of jobs. A job that comes a second time makes it
// wait for the next update: until then the watch keeps the latest of each.
func (h *hub) follow(ctx context.Context, since uint64) {
	seen := make(map[string]struct{})
	begin := time.Now()
	for change, err := range h.controller.Watch(ctx, since) {
		if errors.Is(err, batch.ErrTooOld) { // list again
			since = h.controller.Revision()
			h.touch("")
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
		h.touch(change.Status.Name)
	}
}

// touch notes that the views which show a job are to be made anew, or all views if job
// is empty.
func (h *hub) touch(job string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range h.views {
		if job == "" || v.content.job == "" || v.content.job == job {
			v.touch()
		}
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
