package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runtocompletion/batch"
)

// A part is an element of a page that is updated by itself.
type part struct {
	ID     string `json:"id"`
	In     string `json:"in,omitempty"` // the id of the element that holds it, if it may come and go
	HTML   string `json:"html"`
	digest uint64
}

// A content is what a view shows. Its methods are not called concurrently, but
// for shows.
type content interface {
	shows(job string) bool  // whether the change of a job may change the content
	parts() ([]part, error) // made anew; those in one element are in order
	close()                 // lets go of what the content follows
}

// A view is a content that pages show.
type view struct {
	address string // as pages name it
	content content
	stale   atomic.Bool
	pages   int // that show it; guarded by the hub

	mu     sync.Mutex // guards the fields below
	closed bool
	made   *made // nil if it was not made
}

// A made is a view as it was made once. It is not changed.
type made struct {
	list    []part
	digests map[string]uint64 // by id
	version string            // differs for different parts
}

var errAddress = errors.New("page: no such view")

// newView makes the view of an address such as "job/name?query". It calls wake
// when the content has changed, but for a job that has.
func newView(c *batch.Controller, address string, wake func()) (*view, error) {
	v := &view{address: address}
	changed := func() { v.stale.Store(true); wake() }
	where, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	at := strings.Split(where, "/")
	switch {
	case err != nil:
		return nil, errAddress
	case where == "":
		v.content = newListContent(c, values)
	case len(at) == 2 && at[0] == "job":
		v.content = newJobContent(c, at[1], values, changed)
	case len(at) == 4 && at[0] == "job" && at[2] == "attempt":
		v.content = newAttemptContent(c, at[1], at[3], changed)
	default:
		return nil, errAddress
	}
	return v, nil
}

// passing is what a browser writes anew by itself as time passes.
var passing = regexp.MustCompile(` data-now="[^"]*"|\bdata-(age|left)>[^<]*`)

// make makes the view anew, or only if it has not been made.
func (v *view) make(anew bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed || v.made != nil && !anew {
		return
	}
	list, err := v.parts()
	if err != nil { // what was shown last stays
		list = []part{notice(err)}
		if v.made != nil {
			list = append(list, v.made.list[1:]...)
		}
	}
	m := &made{list: list, digests: make(map[string]uint64, len(list))}
	all := fnv.New64a()
	for i, p := range list {
		if p.digest == 0 {
			list[i].digest = digest(p.ID + "\x00" + p.In + "\x00" + passing.ReplaceAllString(p.HTML, ""))
		}
		m.digests[p.ID] = list[i].digest
		all.Write(strconv.AppendUint(nil, list[i].digest, 36))
	}
	m.version = strconv.FormatUint(all.Sum64(), 36)
	v.made = m
}

func digest(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return h.Sum64()
}

// parts makes the content. One that panics says so, and harms no other.
func (v *view) parts() (list []part, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("page: panic: %v", p)
		}
	}()
	return v.content.parts()
}

// notice is the first part of every content: what is wrong, if something is.
func notice(err error) part { return part{ID: "notice", HTML: execute("notice", err)} }

func (v *view) now() *made {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.made
}

// close lets go of the content.
func (v *view) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	v.content.close()
}

const (
	mostViews = 32 // that one stream may carry
	writeTime = 10 * time.Second
	aliveTime = 30 * time.Second // between signs of life, which show a connection that is dead
)

// An update makes a page that shows a view show what it has become.
type update struct {
	View string   `json:"view"`
	Ops  []op     `json:"ops"`
	Gone []string `json:"gone,omitempty"`
	All  bool     `json:"all,omitempty"` // the page has nothing but these
}

// An op sets a part behind another one in the same element.
type op struct {
	part
	After string `json:"after,omitempty"`
}

// stream sends the updates of views as server-sent events, in one connection for
// all pages of a browser. The id of an event stands for what the pages show with
// it: a browser that connects again with it gets nothing anew that it has.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	addresses := r.URL.Query()["v"]
	if len(addresses) == 0 || len(addresses) > mostViews {
		http.Error(w, fmt.Sprintf("A stream has from 1 to %d views.", mostViews), http.StatusBadRequest)
		return
	}
	defer s.streams.Add(-1)
	if s.streams.Add(1) > int64(s.options.MaxStreams) {
		http.Error(w, "Too many pages are open.", http.StatusTooManyRequests)
		return
	}
	page, err := s.hub.join(addresses)
	if err != nil {
		http.Error(w, err.Error(), statusOf(err))
		return
	}
	defer page.leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	page.send(ctx, w, strings.Split(r.Header.Get("Last-Event-ID"), "."))
}

// send sends what changes until ctx or the session ends, to a browser that shows
// what known stands for.
func (s *session) send(ctx context.Context, w http.ResponseWriter, known []string) {
	control := http.NewResponseController(w)
	alive := time.NewTicker(aliveTime)
	defer alive.Stop()
	shown := make([]*made, len(s.views)) // nil: nothing that is known
	for i, v := range s.views {
		if now := v.now(); len(known) == len(shown) && known[i] == now.version {
			shown[i] = now
		}
	}
	next := s.hub.next() // before the event, so that nothing is missed
	text := "retry: 1000\n\n" + s.event(shown)
	for {
		// A writer without deadlines has to do without.
		_ = control.SetWriteDeadline(time.Now().Add(writeTime))
		if _, err := w.Write([]byte(text)); err != nil || control.Flush() != nil {
			return // the browser is gone
		}
		select {
		case <-ctx.Done():
			return
		case <-s.ended:
			return
		case <-alive.C:
			text = ":\n\n"
		case <-next:
			next = s.hub.next()
			text = s.event(shown)
		}
	}
}

// event is the event that updates what is shown of each view.
func (s *session) event(shown []*made) string {
	var updates []update
	var ids []string
	for i, v := range s.views {
		now := v.now()
		if u := newUpdate(v.address, now, shown[i]); u.All || len(u.Ops)+len(u.Gone) > 0 {
			updates = append(updates, u)
		}
		shown[i] = now
		ids = append(ids, now.version)
	}
	if len(updates) == 0 {
		return ""
	}
	data, err := json.Marshal(updates)
	if err != nil {
		panic(err) // strings and numbers
	}
	return "id: " + strings.Join(ids, ".") + "\ndata: " + string(data) + "\n\n"
}

func newUpdate(address string, now, shown *made) update {
	u := update{View: address, All: shown == nil}
	switch shown {
	case now:
		return u
	case nil:
		shown = new(made)
	}
	last := make(map[string]string) // part of each element
	for _, p := range now.list {
		if digest, ok := shown.digests[p.ID]; !ok || digest != p.digest {
			u.Ops = append(u.Ops, op{p, last[p.In]})
		}
		last[p.In] = p.ID
	}
	for id := range shown.digests {
		if _, ok := now.digests[id]; !ok {
			u.Gone = append(u.Gone, id)
		}
	}
	return u
}
