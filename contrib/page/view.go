package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
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

// passing is what a browser writes anew by itself as time passes, or what only says in
// other words when something comes. It begins with what can be found fast.
var passing = regexp.MustCompile(`data-(now="[^"]*"|(age|left|said)>[^<]*)`)

// newPart makes a part with a template.
func newPart(id, in, template string, data any) part {
	html := execute(template, data)
	return part{id, in, html, digest(id + "\x00" + in + "\x00" + passing.ReplaceAllString(html, ""))}
}

// newParts makes the parts that a page always has, with the templates of their names.
// The first one says what is wrong, if something is.
func newParts(notice error, data any, names ...string) []part {
	list := []part{newPart("notice", "", "notice", notice)}
	for _, name := range names {
		list = append(list, newPart(name, "", name, data))
	}
	return list
}

var seed = maphash.MakeSeed()

func digest(text string) uint64 { return maphash.String(seed, text) }

// A keep makes a part of what does not change any more, unless it was made with the view
// before, under the same key.
type keep func(key string, make func() part) part

// A shown is what a page shows at one moment.
type shown interface {
	parts(keep) []part  // those in one element are in order
	logs() []attemptLog // that are to be followed
}

// A content is what an address shows.
type content struct {
	job      string // whose changes may change it; empty: any
	template string // of the page
	look     func() (shown, error)
}

// revision is that of the latest change of what is shown; 0 if that is gone.
func (c *content) revision(controller *batch.Controller) uint64 {
	if c.job == "" {
		return controller.Revision()
	}
	s, _ := controller.Get(c.job)
	return s.Revision
}

var errAddress = errors.New("page: no such view")

// content finds what an address such as "job/name?query" shows.
func (s *Server) content(address string) (*content, error) {
	where, query, _ := strings.Cut(address, "?")
	q, err := url.ParseQuery(query)
	at := strings.Split(where, "/")
	switch c := s.controller; {
	case err != nil:
	case where == "":
		return &content{"", "list-page", func() (shown, error) { return newListPage(c, s.options.CronJobs, q), nil }}, nil
	case len(at) == 2 && at[0] == "job":
		return &content{at[1], "job-page", func() (shown, error) { return newJobPage(c, at[1], "../", q) }}, nil
	case len(at) == 4 && at[0] == "job" && at[2] == "attempt":
		stack := q.Has("stack")
		return &content{at[1], "attempt-page", func() (shown, error) { return newAttemptPage(c, at[1], at[3], stack) }}, nil
	}
	return nil, errAddress
}

// show answers with what the address of a request shows, or with JSON if that is asked
// for.
func (s *Server) show(w http.ResponseWriter, r *http.Request) {
	address := strings.TrimSuffix(r.URL.Path[1:]+"?"+r.URL.RawQuery, "?")
	c, err := s.content(address)
	address = strings.TrimSuffix(address, "?stack") // which is looked at once
	var page shown
	if err == nil {
		page, err = c.look()
	}
	switch {
	case err != nil:
		s.fail(w, r, err)
	case wantsJSON(r):
		writeJSON(w, http.StatusOK, page)
	default:
		name := r.PathValue("attempt") + r.PathValue("job")
		s.render(w, r, http.StatusOK, c.template, frame{Name: name, View: address, Live: true, Page: page})
	}
}

// A view is a content that pages show. It is made anew when it is stale.
type view struct {
	hub     *hub
	address string // as pages name it
	content *content
	ended   <-chan struct{} // closed when no view is made any more
	stale   atomic.Bool     // a log has grown
	pages   int             // that show it; guarded by the hub

	mu        sync.Mutex // guards the fields below
	closed    bool
	revision  uint64           // of what was shown when it was made
	made      *made            // nil if it was not made
	updates   map[*made]string // to what was made, from what a page shows; most show the same
	kept      map[string]part
	following map[string]func() // stops to follow the log of an attempt
}

// A made is a view as it was made once. It is not changed.
type made struct {
	list    []part
	digests map[string]uint64 // by id
	version string            // differs for different parts
}

// make makes the view, anew if what it shows has changed.
func (v *view) make() {
	v.mu.Lock()
	defer v.mu.Unlock()
	revision := v.content.revision(v.hub.controller)
	isSame := v.made != nil && revision == v.revision
	if isStale := v.stale.Swap(false); v.closed || isSame && !isStale {
		return
	}
	v.revision = revision
	list, err := v.parts()
	if err != nil { // what was shown last stays
		list = newParts(err, nil)
		if v.made != nil {
			list = append(list, v.made.list[1:]...)
		}
	}
	m := &made{list: list, digests: make(map[string]uint64, len(list))}
	for _, p := range list {
		m.digests[p.ID] = p.digest
		m.version = strconv.FormatUint(digest(m.version+strconv.FormatUint(p.digest, 36)), 36)
	}
	v.made, v.updates = m, make(map[*made]string)
}

// parts makes the content. One that panics says so, and harms no other.
func (v *view) parts() (list []part, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("page: panic: %v", p)
		}
	}()
	page, err := v.content.look()
	if err != nil {
		return nil, err
	}
	before := v.kept
	v.kept = make(map[string]part, len(before))
	v.follow(page.logs())
	return page.parts(func(key string, make func() part) part {
		p, ok := before[key]
		if !ok {
			p = make()
		}
		v.kept[key] = p
		return p
	}), nil
}

// follow follows these logs, and no others.
func (v *view) follow(logs []attemptLog) {
	before := v.following
	v.following = make(map[string]func(), len(logs))
	for _, log := range logs {
		if v.following[log.UID] = before[log.UID]; before[log.UID] == nil {
			v.following[log.UID] = v.followLog(log)
		}
		delete(before, log.UID)
	}
	for _, stop := range before {
		stop()
	}
}

// followLog has the view made anew when a log grows, and returns what ends that.
func (v *view) followLog(log attemptLog) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		begin, taken := time.Now(), 0
		// The last one may be newer than the page.
		for _, err := range v.hub.controller.Logs(ctx, v.content.job, log.UID, 1, true) {
			if err != nil {
				return // it is no longer kept, or nobody looks
			}
			v.hub.touch(v)
			if taken++; taken > log.Most {
				pause(ctx, updateTime-time.Since(begin)) // more than a page can show
				begin, taken = time.Now(), 0
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (v *view) now() *made {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.made
}

// update returns the view as it is now, and the update that makes a page show it, as
// JSON; empty if the page does already. Shown is nil if nothing is known of the page.
func (v *view) update(shown *made) (now *made, text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	text, known := v.updates[shown]
	if !known {
		if u := newUpdate(v.address, v.made, shown); u.All || len(u.Ops)+len(u.Gone) > 0 {
			data, err := json.Marshal(u)
			if err != nil {
				panic(err) // strings and numbers
			}
			text = string(data)
		}
		v.updates[shown] = text
	}
	return v.made, text
}

// close lets go of what the view follows.
func (v *view) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	v.follow(nil)
}
