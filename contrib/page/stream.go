package page

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

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
	shown := make([]map[string]uint64, len(s.views))
	for i, v := range s.views {
		if list := v.parts(); len(known) == len(shown) && known[i] == version(list) {
			shown[i] = digests(list)
		}
	}
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
		case <-s.wake:
			text = s.event(shown)
		}
	}
}

// event is the event that updates what is shown, by view and id of the part.
func (s *session) event(shown []map[string]uint64) string {
	var updates []update
	var ids []string
	for i, v := range s.views {
		list := v.parts()
		if u := newUpdate(v.address, list, shown[i]); u.All || len(u.Ops)+len(u.Gone) > 0 {
			updates = append(updates, u)
			shown[i] = digests(list)
		}
		ids = append(ids, version(list))
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

func newUpdate(address string, list []part, shown map[string]uint64) update {
	u := update{View: address, All: shown == nil}
	last := make(map[string]string, len(list)) // part of each element
	there := digests(list)
	for _, p := range list {
		if digest, ok := shown[p.ID]; !ok || digest != p.digest {
			u.Ops = append(u.Ops, op{p, last[p.In]})
		}
		last[p.In] = p.ID
	}
	for id := range shown {
		if _, ok := there[id]; !ok {
			u.Gone = append(u.Gone, id)
		}
	}
	return u
}

func digests(list []part) map[string]uint64 {
	m := make(map[string]uint64, len(list))
	for _, p := range list {
		m[p.ID] = p.digest
	}
	return m
}

// version is a text that differs for lists of different parts.
func version(list []part) string {
	var b strings.Builder
	for _, p := range list {
		b.WriteString(p.ID + strconv.FormatUint(p.digest, 36))
	}
	return strconv.FormatUint(digest(b.String()), 36)
}
