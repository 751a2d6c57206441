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
	Spec             *engine.Spec
	Due              engine.Time
	Events           []engine.Event
	Blocked, Refused string
}

// show lets every caller see the state, and reports whether anything has changed. It
// needs c.mu.
func (r *run) show() bool {
	e := r.engine
	before, seen := &r.shown, lastSeq(r.shown.Events)
	same := before.LastSchedule == e.LastSchedule && before.LastSuccess == e.LastSuccess &&
		before.Deleting == e.Deleting &&
		before.Last == e.Last && before.Due == e.Due && before.Blocked == e.Blocked && before.Refused == e.Refused &&
		slices.Equal(before.Active, e.Active)
	if same && lastSeq(e.Events) == seen && !r.specChanged {
		return false
	}
	next := shown{State: e.State, Spec: e.Spec, Due: e.Due, Events: e.Events,
		Blocked: e.Blocked, Refused: e.Refused}
	next.Active = slices.Clone(e.Active)
	r.logNew(e.Events, seen)
	r.shown, r.specChanged = next, false
	return true
}

func lastSeq(events []engine.Event) uint64 {
	if len(events) == 0 {
		return 0
	}
	return events[len(events)-1].Seq
}

// logNew logs the events after the one of that number.
func (r *run) logNew(events []engine.Event, seen uint64) {
	for _, e := range events {
		if e.Seq <= seen {
			continue
		}
		count := min(e.Count, int(e.Seq-seen))
		level := slog.LevelInfo
		if e.IsWarning() {
			level = slog.LevelWarn
		}
		r.c.logger.LogAttrs(context.Background(), level, e.Reason(), slog.String("cronjob", r.spec.Name),
			slog.String("message", e.Message()), slog.Int("count", count))
	}
}
