package runner

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/runtocompletion/batch/internal/engine"
)

// A logQueue has what is to be logged about a job. A handler is user code: it may
// be slow or never return, so one goroutine of the job writes at a time, and what
// does not fit is dropped.
type logQueue struct {
	entries []logEntry
	dropped int
	writing bool
}

// mostEntries is how many records wait for a slow handler.
const mostEntries = 1000

// A logEntry is a record, or that an attempt was abandoned: then its stack is
// looked for when it is written.
type logEntry struct {
	record    slog.Record
	abandoned *run
	seq       int64
	index     int
}

// isLogged reports whether what happens to the job is: a reader leaves that to the process that
// works.
func (j *Job) isLogged() bool { return j.r.handler != nil && j.r.reader == nil }

// logLocked logs something about the job.
func (j *Job) logLocked(level slog.Level, message string, attrs ...slog.Attr) {
	if !j.isLogged() {
		return
	}
	j.enqueueLocked(len(j.log.entries), logEntry{record: j.record(level, message, attrs...)})
}

func (j *Job) logAbandonedLocked(a *engine.Attempt) {
	if j.isLogged() {
		j.enqueueLocked(len(j.log.entries), logEntry{abandoned: runOf(a), seq: a.Seq, index: a.Index})
	}
}

// enqueueLocked puts an entry at a place in the queue.
func (j *Job) enqueueLocked(at int, entry logEntry) {
	q := &j.log
	if len(q.entries) == mostEntries {
		q.dropped++
		return
	}
	q.entries = slices.Insert(q.entries, at, entry)
	if !q.writing {
		q.writing = true
		j.r.enter()
		j.r.launch(j.writeLog)
	}
}

// writeLog writes what is in the queue, until nothing is.
func (j *Job) writeLog() {
	defer j.r.leave()
	for {
		j.mu.Lock()
		entries, dropped := j.log.entries, j.log.dropped
		j.log.entries, j.log.dropped = nil, 0
		j.log.writing = len(entries) > 0
		j.unlock()
		if len(entries) == 0 {
			return
		}
		for _, record := range j.records(entries, dropped) {
			j.r.handle(record)
		}
	}
}

// records are those of some entries. Taking stacks stops the world, so many
// abandoned attempts share one look.
func (j *Job) records(entries []logEntry, dropped int) []slog.Record {
	const mostStacks = 10
	var records []slog.Record
	stacks, abandoned := "", 0
	for _, entry := range entries {
		if entry.abandoned == nil {
			records = append(records, entry.record)
			continue
		}
		if abandoned++; abandoned > mostStacks {
			continue
		}
		if stacks == "" {
			stacks = allStacks()
		}
		records = append(records, j.abandonedRecord(entry, stacks))
	}
	if more := abandoned - mostStacks; more > 0 {
		records = append(records, j.record(slog.LevelError, "more attempts abandoned", slog.Int("attempts", more)))
	}
	if dropped > 0 {
		records = append(
			records, j.record(slog.LevelWarn, "log records dropped: the handler is slow", slog.Int("records", dropped)),
		)
	}
	return records
}

func (j *Job) abandonedRecord(entry logEntry, stacks string) slog.Record {
	return j.record(slog.LevelError, "attempt abandoned: its executor has not returned within the grace period",
		slog.String("attempt", j.id.Name(entry.seq, entry.index)), slog.Int("index", entry.index),
		slog.String("stack", entry.abandoned.stackIn(stacks)))
}

func (j *Job) record(level slog.Level, message string, attrs ...slog.Attr) slog.Record {
	record := slog.NewRecord(time.Now(), level, message, 0)
	record.AddAttrs(append(attrs, slog.String("job", j.id.Job))...)
	return record
}

// handle gives a record to the handler, on a goroutine apart: its panics and calls
// of runtime.Goexit end nothing else.
func (r *Runner) handle(record slog.Record) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }() // a failure of the logger cannot be reported
		if ctx := context.Background(); r.handler.Enabled(ctx, record.Level) {
			_ = r.handler.Handle(ctx, record)
		}
	}()
	<-done
}

// Log logs something that concerns all jobs.
func (r *Runner) Log(level slog.Level, message string, attrs ...slog.Attr) {
	if r.handler == nil {
		return
	}
	record := slog.NewRecord(time.Now(), level, message, 0)
	record.AddAttrs(attrs...)
	r.enter()
	r.launch(func() {
		defer r.leave()
		r.handle(record)
	})
}

// logFinishedLocked logs how the job has ended.
func (j *Job) logFinishedLocked() {
	e := j.engine
	last := e.Conditions[len(e.Conditions)-1]
	j.logLocked(slog.LevelInfo, "job finished", slog.String("condition", last.Type), slog.String("reason", last.Reason),
		slog.Int("succeeded", e.Succeeded), slog.Int("failed", e.Failed))
}

// logFailureLocked logs an execution that failed by itself, and was not stopped, at a
// place in the queue: ahead of what it has led to.
func (j *Job) logFailureLocked(at int, a Execution, text string, stack []byte) {
	if !j.isLogged() {
		return
	}
	attrs := []slog.Attr{slog.String("attempt", a.Name(a.Index)), slog.Int("index", a.Index),
		slog.Int("restarts", a.Restarts), slog.String("error", text)}
	if next := j.engine.NextRetry(); next != 0 {
		attrs = append(attrs, slog.Time("next_try", j.r.date(next)))
	}
	if stack != nil {
		attrs = append(attrs, slog.String("stack", string(stack)))
	}
	j.enqueueLocked(at, logEntry{record: j.record(slog.LevelWarn, "attempt failed", attrs...)})
}
