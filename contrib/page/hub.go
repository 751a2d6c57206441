package page

import (
	"cmp"
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

// A hub makes the views of all pages that are open. It follows the controller, on a
// goroutine, as long as there is a page. Pages that show the same share a view, so that
// its updates are made once.
type hub struct {
	controller *batch.Controller
	content    func(address string) (*content, error)
	runs       sync.WaitGroup // of run

	mu    sync.Mutex       // guards the fields below; not held while a view is made
	shut  bool             // no page may open
	views map[string]*view // by address; none while no page is open
	end   context.CancelFunc
	ended <-chan struct{} // closed when run ends
	made  chan struct{}   // closed, and replaced, when views have been made anew
	wake  func()          // ends the waiting for a change
}

// close ends the streams, and lets no further pages open.
func (h *hub) close() {
	h.mu.Lock()
	if h.shut = true; h.end != nil {
		h.end()
	}
	h.mu.Unlock()
	h.runs.Wait()
}

var errShut = errors.New("page: the handler is closed")

// join makes a page one of those that are open, and makes its views.
func (h *hub) join(addresses []string) (views []*view, err error) {
	for _, address := range addresses {
		v, err := h.find(address)
		if err != nil {
			h.leave(views)
			return nil, err
		}
		if views = append(views, v); v.now() == nil {
			v.make()
		}
	}
	return views, nil
}

// find finds a view for one more page.
func (h *hub) find(address string) (*view, error) {
	c, err := h.content(address)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shut || err != nil {
		return nil, cmp.Or(err, errShut)
	}
	if len(h.views) == 0 {
		h.begin()
	}
	v := h.views[address]
	if v == nil {
		v = &view{hub: h, address: address, content: c, ended: h.ended}
		h.views[address] = v
	}
	v.pages++
	return v, nil
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
	h.views, h.made, h.wake = make(map[string]*view), make(chan struct{}), func() {}
	since := h.controller.Revision()
	h.runs.Go(func() {
		defer end() // the controller is shut down: so are the pages
		h.run(ctx, since)
	})
}

// run makes views anew when what they show has changed.
func (h *hub) run(ctx context.Context, since uint64) {
	for h.wait(ctx, since) && pause(ctx, gatherTime) {
		begin := time.Now()
		since = h.controller.Revision() // before views are made, so that nothing is missed
		h.mu.Lock()
		views := slices.Collect(maps.Values(h.views))
		h.mu.Unlock()
		for _, v := range views {
			v.make()
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

// wait waits until a job has changed since that revision, or a log has grown. It
// reports false if nothing will.
func (h *hub) wait(ctx context.Context, since uint64) bool {
	waiting, wake := context.WithCancel(ctx)
	defer wake()
	h.mu.Lock()
	h.wake = wake
	for _, v := range h.views {
		if v.stale.Load() {
			wake()
		}
	}
	h.mu.Unlock()
	for _, err := range h.controller.Watch(waiting, since) {
		if err == nil || errors.Is(err, batch.ErrTooOld) || waiting.Err() != nil && ctx.Err() == nil {
			return true
		}
	}
	return false
}

// touch has a view made anew.
func (h *hub) touch(v *view) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v.stale.Store(true)
	h.wake()
}

// next is closed when views have been made anew.
func (h *hub) next() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.made
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
