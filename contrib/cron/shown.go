package cron

import (
	"context"
	"log/slog"
	"slices"

	"github.com/runtocompletion/batch/contrib/cron/internal/engine"
)

// shown is what has been stored and may be told.
type shown struct {
	engine.State
	Due              engine.Time
	Events           []engine.Event
	Blocked, Refused string
}

// show lets everybody see the state, and reports whether anything has changed. It
// needs c.mu.
func (r *run) show() bool {
	e := r.engine
	before, sameEvents := &r.shown, sameEvents(r.shown.Events, e.Events)
	same := before.LastSchedule == e.LastSchedule && before.LastSuccess == e.LastSuccess && before.Deleting == e.Deleting &&
		before.Last == e.Last && before.Due == e.Due && before.Blocked == e.Blocked && before.Refused == e.Refused &&
		slices.Equal(before.Active, e.Active)
	if same && sameEvents && !r.specChanged {
		return false
	}
	next := shown{State: e.State, Due: e.Due, Events: before.Events, Blocked: e.Blocked, Refused: e.Refused}
	next.Active = slices.Clone(e.Active)
	if !sameEvents {
		next.Events = slices.Clone(e.Events)
		r.logNew(next.Events)
	}
	r.shown, r.specChanged = next, false
	return true
}

func sameEvents(a, b []engine.Event) bool {
	return len(a) == len(b) && (len(a) == 0 || a[0] == b[0] && a[len(a)-1] == b[len(b)-1])
}

// logNew logs the events that have not been shown.
func (r *run) logNew(events []engine.Event) {
	for _, e := range events {
		count := e.Count
		for _, old := range r.shown.Events {
			if old.At == e.At && old.Count == e.Count && old == e {
				count = 0
			} else if old.Kind == e.Kind && old.Job == e.Job && old.Detail == e.Detail && old.Count < e.Count {
				count = e.Count - old.Count
			}
		}
		if count == 0 {
			continue
		}
		level := slog.LevelInfo
		if e.IsWarning() {
			level = slog.LevelWarn
		}
		r.c.logger.LogAttrs(context.Background(), level, e.Reason(), slog.String("cronjob", r.spec.Name),
			slog.String("message", e.Message()), slog.Int("count", count))
	}
}
