package page

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
)

// pageSize is how many jobs a list shows at once.
const pageSize = 100

// A filter chooses jobs of the list.
type filter struct {
	State, Text, Label string
	Page               int // from 0
	labels             []requirement
}

func parseFilter(q url.Values) (filter, error) {
	f := filter{State: q.Get("state"), Text: q.Get("q"), Label: q.Get("label")}
	if n, err := strconv.Atoi(q.Get("page")); err == nil {
		f.Page = max(n-1, 0)
	}
	var err error
	f.labels, err = parseLabels(f.Label)
	return f, err
}

// A requirement is one term of a label selector.
type requirement struct {
	key, value     string
	hasValue, isnt bool
}

// parseLabels reads "key", "!key", "key=value" and "key!=value", joined by commas.
func parseLabels(text string) ([]requirement, error) {
	var list []requirement
	for term := range strings.SplitSeq(text, ",") {
		if term = strings.TrimSpace(term); term == "" {
			continue
		}
		var r requirement
		r.key, r.value, r.hasValue = strings.Cut(term, "=")
		r.value = strings.TrimPrefix(r.value, "=")
		if r.hasValue {
			r.key, r.isnt = strings.CutSuffix(r.key, "!")
		} else {
			r.key, r.isnt = strings.CutPrefix(r.key, "!")
		}
		if r.key == "" || strings.ContainsAny(r.key+r.value, "!=() ") {
			return nil, fmt.Errorf("label %q: must be key, !key, key=value or key!=value", term)
		}
		list = append(list, r)
	}
	return list, nil
}

func (r requirement) matches(labels map[string]string) bool {
	value, ok := labels[r.key]
	return (ok && (!r.hasValue || value == r.value)) != r.isnt
}

// matches reports whether the list shows a job, apart from its state.
func (f *filter) matches(c *batch.Controller, s batch.Status) bool {
	if f.Text != "" && !containsFold(s.Name, f.Text) && !containsFold(s.Explain(), f.Text) {
		return false
	}
	if len(f.labels) == 0 {
		return true
	}
	labels := labelsOf(c, s.Name)
	return !slices.ContainsFunc(f.labels, func(r requirement) bool { return !r.matches(labels) })
}

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// address is that of the list with one thing changed.
func (f filter) address(base, state string, page int) string {
	q := url.Values{}
	for key, value := range map[string]string{"state": state, "q": f.Text, "label": f.Label} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if page > 0 {
		q.Set("page", strconv.Itoa(page+1))
	}
	if len(q) == 0 {
		return base
	}
	return base + "?" + q.Encode()
}

// A listPage is what the list shows.
type listPage struct {
	Base             string
	Notice           error
	Filter           filter
	States           []stateCount
	Rows             []jobRow
	First, Last, All int    // numbers of jobs, from 1
	Previous, Next   string // addresses
}

// A stateCount is how many of the jobs that match have a state; empty stands for all.
type stateCount struct {
	Name, Address string
	Count         int
}

// newListPage chooses among all jobs, the newest first.
func newListPage(c *batch.Controller, f filter) *listPage {
	counts := map[string]int{"Running": 0, "Suspended": 0, "Complete": 0, "Failed": 0}
	var shown []batch.Status
	for s := range c.All() {
		if f.matches(c, s) {
			counts[""]++
			counts[s.State()]++
			if f.State == "" || f.State == s.State() {
				shown = append(shown, s)
			}
		}
	}
	slices.SortFunc(shown, func(a, b batch.Status) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(a.Name, b.Name))
	})
	at := min(f.Page, max(len(shown)-1, 0)/pageSize)
	first, last := at*pageSize, min((at+1)*pageSize, len(shown))
	p := &listPage{Base: "./", Filter: f, First: min(first+1, last), Last: last, All: len(shown)}
	for _, state := range slices.Sorted(maps.Keys(counts)) {
		p.States = append(p.States, stateCount{state, f.address(p.Base, state, 0), counts[state]})
	}
	if at > 0 {
		p.Previous = f.address(p.Base, f.State, at-1)
	}
	if last < len(shown) {
		p.Next = f.address(p.Base, f.State, at+1)
	}
	for _, s := range shown[first:last] {
		p.Rows = append(p.Rows, newJobRow(p.Base, s, labelsOf(c, s.Name)))
	}
	return p
}

// labelsOf are the labels of a job, or nil if it is gone.
func labelsOf(c *batch.Controller, name string) map[string]string {
	job, _ := c.Job(name)
	return job.Labels
}

// A jobRow is a job as the list shows it.
type jobRow struct {
	batch.Status
	Base     string            `json:"-"`
	Word     string            `json:"state"`
	Sentence string            `json:"explain"`
	Labels   map[string]string `json:"labels,omitempty"`
	Bar      bar               `json:"-"`
	Rate     string            `json:"rate,omitempty"`
	End      time.Time         `json:"-"` // when it finished; zero if it has not
}

func newJobRow(base string, s batch.Status, labels map[string]string) jobRow {
	return jobRow{s, base, s.State(), s.Explain(), labels, newBar(s), rateOf(s), endOf(s)}
}

// endOf is when a job finished.
func endOf(s batch.Status) time.Time {
	c, _ := s.Condition(batch.ConditionComplete)
	if s.Is(batch.ConditionFailed) {
		c, _ = s.Condition(batch.ConditionFailed)
	}
	return c.LastTransitionTime
}

// rateOf is how fast completions succeed, from which the ETA is.
func rateOf(s batch.Status) string {
	done, time := s.Progress.Done, endOf(s).Sub(s.StartTime)
	if !s.Finished() {
		done, time = s.Progress.Total-s.Progress.Done, timeUntil(s.Progress.ETA)
	}
	if done <= 0 || time <= 0 || s.StartTime.IsZero() {
		return ""
	}
	return formatRate(float64(done) / time.Seconds())
}

func timeUntil(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return time.Until(t)
}

// listContent is the list as a view.
type listContent struct {
	controller *batch.Controller
	filter     filter
	err        error
	rows       map[string]madeRow // of the last making, by UID
}

type madeRow struct {
	revision uint64
	part     part
}

func newListContent(c *batch.Controller, q url.Values) *listContent {
	f, err := parseFilter(q)
	return &listContent{controller: c, filter: f, err: err}
}

func (l *listContent) shows(string) bool { return true }
func (l *listContent) close()            {}

func (l *listContent) parts() ([]part, error) {
	p := newListPage(l.controller, l.filter)
	list := []part{notice(l.err), {ID: "states", HTML: execute("states", p)}, {ID: "pager", HTML: execute("pager", p)}}
	rows := make(map[string]madeRow, len(p.Rows))
	for _, r := range p.Rows {
		made, ok := l.rows[r.UID]
		if !ok || made.revision != r.Revision {
			made = madeRow{r.Revision, part{ID: "j-" + r.UID, In: "jobs", HTML: execute("row", r)}}
		}
		rows[r.UID] = made
		list = append(list, made.part)
	}
	l.rows = rows
	return list, nil
}

// showList answers with the list.
func (s *Server) showList(w http.ResponseWriter, r *http.Request) {
	f, err := parseFilter(r.URL.Query())
	if err != nil && wantsJSON(r) {
		s.fail(w, r, err)
		return
	}
	p := newListPage(s.controller, f)
	p.Notice = err
	s.answer(w, r, "list-page", p, map[string]any{"jobs": p.Rows, "count": p.All, "next": p.Next})
}
