package page

import (
	"cmp"
	"fmt"
	"iter"
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
	State, Text string
	Label       string // "key" and "key=value", joined by commas
}

// matches reports whether the list shows a job, apart from its state.
func (f *filter) matches(c *batch.Controller, s batch.Status) bool {
	if f.Text != "" && !containsFold(s.Name, f.Text) && !containsFold(s.Explain(), f.Text) {
		return false
	}
	for term := range strings.SplitSeq(f.Label, ",") {
		key, value, hasValue := strings.Cut(strings.TrimSpace(term), "=")
		if key == "" {
			continue
		}
		if have, ok := labelsOf(c, s.Name)[key]; !ok || hasValue && have != value {
			return false
		}
	}
	return true
}

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// A listPage is what the list shows.
type listPage struct {
	Base        string         `json:"-"`
	Filter      filter         `json:"-"`
	States      map[string]int `json:"-"` // how many jobs that match are in each; empty stands for all
	Rows        []jobRow       `json:"jobs"`
	First, Last int            `json:"-"` // numbers of jobs, from 1
	All         int            `json:"count"`
	Previous    int            `json:"-"` // numbers of pages, from 1; 0: none
	Next        int            `json:"next"`
	CronJobs    []CronJob      `json:"cronJobs"`
}

// newListPage chooses among all jobs, the newest first.
func newListPage(c *batch.Controller, cronJobs iter.Seq[CronJob], q url.Values) *listPage {
	p := &listPage{Base: "./", Filter: filter{q.Get("state"), q.Get("q"), q.Get("label")},
		States: map[string]int{"Running": 0, "Suspended": 0, "Complete": 0, "Failed": 0}}
	var shown []batch.Status
	for s := range c.All() {
		if p.Filter.matches(c, s) {
			p.States[""]++
			p.States[s.State()]++
			if p.Filter.State == "" || p.Filter.State == s.State() {
				shown = append(shown, s)
			}
		}
	}
	slices.SortFunc(shown, func(a, b batch.Status) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(a.Name, b.Name))
	})
	n, _ := strconv.Atoi(q.Get("page")) // 0, the first page, if it is no number
	p.Previous = min(max(n-1, 0), max(len(shown)-1, 0)/pageSize)
	first := p.Previous * pageSize
	p.All, p.Last = len(shown), min(first+pageSize, len(shown))
	if p.First = min(first+1, p.Last); p.Last < p.All {
		p.Next = p.Previous + 2
	}
	for _, s := range shown[first:p.Last] {
		p.Rows = append(p.Rows, newJobRow(p.Base, s, labelsOf(c, s.Name)))
	}
	if cronJobs != nil {
		p.CronJobs = slices.Collect(cronJobs)
	}
	return p
}

func (p *listPage) logs() []attemptLog { return nil }

func (p *listPage) parts(keep keep) []part {
	list := newParts(nil, p, "states", "cronjobs", "pager")
	for _, r := range p.Rows {
		list = append(list, keep(fmt.Sprint(r.UID, r.Revision), func() part {
			return newPart("j-"+r.UID, "jobs", "row", r)
		}))
	}
	return list
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
	Rate     string            `json:"rate,omitempty"`
	End      time.Time         `json:"-"` // when it finished; zero if it has not
}

func newJobRow(base string, s batch.Status, labels map[string]string) jobRow {
	return jobRow{s, base, s.State(), s.Explain(), labels, rateOf(s), endOf(s)}
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
	done, took := s.Progress.Done, endOf(s).Sub(s.StartTime)
	if !s.Finished() {
		done, took = s.Progress.Total-s.Progress.Done, time.Until(s.Progress.ETA) // long ago if there is none
	}
	if done <= 0 || took <= 0 || s.StartTime.IsZero() {
		return ""
	}
	return formatRate(float64(done) / took.Seconds())
}
