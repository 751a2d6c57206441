package page

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/runtocompletion/batch"
)

// logLines is how many lines of its log the page of an attempt shows.
const logLines = 500

// An attemptLog is the end of an attempt's log.
type attemptLog struct {
	Address, Name, UID string // of the attempt; no address: the page is its own
	Lines              []logRow
}

// A logRow is a line of a log on a page.
type logRow struct {
	batch.LogLine
	ID string
}

func newLogRow(uid string, n int, line batch.LogLine) logRow {
	return logRow{line, fmt.Sprintf("n-%s-%d", uid, n)}
}

// Followers follow the logs of attempts that a page shows.
type followers struct {
	controller *batch.Controller
	job        string
	lines      int // that are shown of each
	changed    func()
	byUID      map[string]*follower
}

// A follower has the last lines of a log that grows.
type follower struct {
	stop func() // and waits

	mu    sync.Mutex // guards the fields below
	count int        // lines so far
	parts []part
}

func newFollowers(c *batch.Controller, job string, lines int, changed func()) followers {
	return followers{c, job, lines, changed, make(map[string]*follower)}
}

// parts are the given logs. Those that were not followed are from now on.
func (f *followers) parts(logs []attemptLog) (list []part) {
	f.keep(logs)
	for _, log := range logs {
		list = append(list, part{ID: "log-" + log.UID, In: "logs", HTML: execute("log", log)})
		if f.byUID[log.UID] == nil {
			f.byUID[log.UID] = f.follow(log.UID)
		}
		follower := f.byUID[log.UID]
		follower.mu.Lock()
		list = append(list, follower.parts...)
		follower.mu.Unlock()
	}
	return list
}

// keep stops to follow other logs.
func (f *followers) keep(logs []attemptLog) {
	for uid, follower := range f.byUID {
		if !slices.ContainsFunc(logs, func(l attemptLog) bool { return l.UID == uid }) {
			follower.stop()
			delete(f.byUID, uid)
		}
	}
}

// follow starts to follow a log.
func (f *followers) follow(uid string) *follower {
	ctx, cancel := context.WithCancel(context.Background())
	l := new(follower)
	done := make(chan struct{})
	l.stop = func() { cancel(); <-done }
	go func() {
		defer close(done)
		begin, taken := time.Now(), 0
		for line, err := range f.controller.Logs(ctx, f.job, uid, batch.LogOptions{Follow: true, Tail: &f.lines}) {
			if err != nil {
				return // it is no longer kept, or nobody looks
			}
			l.add(uid, line, f.lines)
			f.changed()
			if taken++; taken > f.lines {
				pause(ctx, updateTime-time.Since(begin)) // more than a page can show
				begin, taken = time.Now(), 0
			}
		}
	}()
	return l
}

// add takes in a line.
func (l *follower) add(uid string, line batch.LogLine, most int) {
	row := newLogRow(uid, l.count, line)
	p := part{ID: row.ID, In: "lines-" + uid, HTML: execute("line", row)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	l.parts = append(l.parts[max(0, len(l.parts)+1-most):], p)
}
