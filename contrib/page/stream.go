package page

import (
	"context"
	"fmt"
	"net/http"
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
	views, err := s.hub.join(addresses)
	if err != nil {
		http.Error(w, err.Error(), statusOf(err))
		return
	}
	defer s.hub.leave(views)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	s.send(r.Context(), w, views, strings.Split(r.Header.Get("Last-Event-ID"), "."))
}

// send sends what changes until ctx or the views end, to a browser that shows what
// known stands for.
func (s *Server) send(ctx context.Context, w http.ResponseWriter, views []*view, known []string) {
	control := http.NewResponseController(w)
	alive := time.NewTicker(aliveTime)
	defer alive.Stop()
	shown := make([]*made, len(views)) // nil: nothing that is known
	for i, v := range views {
		if now := v.now(); len(known) == len(shown) && known[i] == now.version {
			shown[i] = now
		}
	}
	next := s.hub.next() // before the event, so that nothing is missed
	text := "retry: 1000\n\n" + event(views, shown)
	for {
		// A writer without deadlines has to do without.
		_ = control.SetWriteDeadline(time.Now().Add(writeTime))
		if _, err := w.Write([]byte(text)); err != nil || control.Flush() != nil {
			return // the browser is gone
		}
		select {
		case <-ctx.Done():
			return
		case <-views[0].ended:
			return
		case <-alive.C:
			text = ":\n\n"
		case <-next:
			next = s.hub.next()
			text = event(views, shown)
		}
	}
}

// event is the event that updates what is shown of each view.
func event(views []*view, shown []*made) string {
	var updates, ids []string
	for i, v := range views {
		var text string
		if shown[i], text = v.update(shown[i]); text != "" {
			updates = append(updates, text)
		}
		ids = append(ids, shown[i].version)
	}
	if len(updates) == 0 {
		return ""
	}
	return "id: " + strings.Join(ids, ".") + "\ndata: [" + strings.Join(updates, ",") + "]\n\n"
}

func newUpdate(address string, now, shown *made) update {
	u := update{View: address, All: shown == nil}
	if shown == nil {
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
