package page

import (
	"errors"
	"hash/fnv"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

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
	address  string // as pages name it
	content  content
	stale    atomic.Bool
	sessions map[*session]struct{} // guarded by the hub

	mu     sync.Mutex // guards the fields below
	closed bool
	list   []part // replaced, never changed
}

var errAddress = errors.New("page: no such view")

// newView makes the view of an address such as "job/name?query". It calls wake
// when the content has changed, but for a job that has.
func newView(c *batch.Controller, address string, wake func()) (*view, error) {
	v := &view{address: address, sessions: make(map[*session]struct{})}
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
	if v.closed || v.list != nil && !anew {
		return
	}
	list, err := v.content.parts()
	if err != nil { // what was shown last stays
		list = slices.Concat([]part{notice(err)}, v.list[min(1, len(v.list)):])
	}
	for i := range list {
		if list[i].digest == 0 {
			list[i].digest = digest(list[i].In + "\x00" + passing.ReplaceAllString(list[i].HTML, ""))
		}
	}
	v.list = list
}

func digest(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return h.Sum64()
}

// notice is the first part of every content: what is wrong, if something is.
func notice(err error) part { return part{ID: "notice", HTML: execute("notice", err)} }

func (v *view) parts() []part {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.list
}

// close lets go of the content.
func (v *view) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	v.content.close()
}
