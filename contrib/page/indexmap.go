package page

import (
	"cmp"
	"math"
	"net/url"
	"strconv"

	"github.com/runtocompletion/batch"
)

// mostCells is how many cells a map of indexes has at most.
const mostCells = 1000

// An indexMap shows what has become of a job's indexes, or of some of them: a
// cell stands for one index, or for as many as it takes to make them few.
type indexMap struct {
	From, To, All int // indexes: the first, behind the last, and how many there are
	Each          int // how many a cell stands for
	Columns, Rows int
	Runs          []cellRun
	Status        batch.Status
}

// A cellRun is a row's cells of one kind, side by side.
type cellRun struct {
	X, Y, Width int
	Kind        string
}

// A cell counts its indexes of each kind.
type cell [3]int

const (
	done = iota
	failed
	active
)

func newIndexMap(s batch.Status, attempts []batch.AttemptStatus, q url.Values) *indexMap {
	m := &indexMap{All: int(s.Progress.Total), To: int(s.Progress.Total), Status: s}
	from, _ := strconv.Atoi(q.Get("from"))
	if to, err := strconv.Atoi(q.Get("to")); err == nil && 0 <= from && from < to && to <= m.All {
		m.From, m.To = from, to
	}
	n := m.To - m.From
	m.Each = max(1, (n+mostCells-1)/mostCells)
	cells := make([]cell, (n+m.Each-1)/m.Each)
	m.Columns = max(1, min(50, len(cells), max(10, int(2*math.Sqrt(float64(len(cells)))))))
	m.Rows = (len(cells) + m.Columns - 1) / m.Columns
	over := cmp.Or(s.FailedIndexes, new(batch.IndexSet))
	for kind, set := range []batch.IndexSet{done: s.CompletedIndexes, failed: *over} {
		for first, last := range set.Intervals() {
			m.add(cells, kind, first, last)
		}
	}
	for _, a := range attempts {
		if a.FinishedAt.IsZero() && a.JobUID == s.UID {
			m.add(cells, active, a.Index, a.Index)
		}
	}
	m.draw(cells)
	return m
}

// add counts the indexes from first to last, which are of a kind, in their cells.
func (m *indexMap) add(cells []cell, kind, first, last int) {
	first, last = max(first, m.From)-m.From, min(last, m.To-1)-m.From
	for first <= last {
		i := first / m.Each
		n := min(last+1, (i+1)*m.Each) - first
		cells[i][kind] += n
		first += n
	}
}

// draw joins the cells of one kind.
func (m *indexMap) draw(cells []cell) {
	for i, c := range cells {
		x, y, kind := i%m.Columns, i/m.Columns, c.kind(min(m.Each, m.To-m.From-i*m.Each))
		if last := len(m.Runs) - 1; x > 0 && m.Runs[last].Kind == kind {
			m.Runs[last].Width++
			continue
		}
		m.Runs = append(m.Runs, cellRun{x, y, 1, kind})
	}
}

// kind says what is to be seen of a cell of so many indexes.
func (c cell) kind(size int) string {
	switch {
	case c[failed] > 0:
		return "failed"
	case c[done] == size:
		return "done"
	case c[active] > 0:
		return "active"
	case c[done] > 0:
		return "some"
	}
	return "open"
}
