package runner

import (
	"context"
	"log/slog"
	"sync"
)

// A Declare has a runner run a job as it was declared.
type Declare func(ctx context.Context, r *Runner) error

// Declarations are the jobs that were declared while another controller worked, for when
// this one does.
type declarations struct {
	mu      sync.Mutex // guards the fields below
	jobs    map[string]*declaration
	order   []string // of names
	changes int
}

// A declaration was found in the store, or not: the job of one that was there, and is
// not any more, is done.
type declaration struct {
	declare  Declare
	wasThere bool
}

// Keep remembers the declaration of a job, if the succession may have to wait for its
// store, and reports whether that is all that can be done now.
func (s *Succession) Keep(name string, declare Declare) bool {
	if !s.isStandby {
		return false
	}
	d := &s.declared
	d.mu.Lock()
	defer d.mu.Unlock()
	r := s.Current()
	isThere := r.reader != nil && r.expect(name)
	d.keepLocked(name, declare, isThere || r.reader == nil)
	return r.reader != nil
}

func (d *declarations) keepLocked(name string, declare Declare, isThere bool) {
	kept := d.jobs[name]
	if kept == nil {
		if d.jobs == nil {
			d.jobs = make(map[string]*declaration)
		}
		kept = new(declaration)
		d.jobs[name] = kept
		d.order = append(d.order, name)
	}
	kept.declare, kept.wasThere = declare, kept.wasThere || isThere
	d.changes++
}

// declareAll gives a runner what has been declared, before begin makes it the current one.
func (s *Succession) declareAll(reader, r *Runner, begin func()) {
	d := &s.declared
	for {
		d.note(reader)
		names, declares, changes := d.list(r)
		for i, declare := range declares {
			if err := declare(s.ctx, r); err != nil {
				r.Log(slog.LevelError, "declaration refused", slog.String("job", names[i]), slog.Any("error", err))
			}
		}
		if d.isUnchanged(changes, begin) {
			return
		}
	}
}

// note remembers which jobs were in the store while another controller worked.
func (d *declarations) note(reader *Runner) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, kept := range d.jobs {
		kept.wasThere = kept.wasThere || reader.expect(name)
	}
}

// list returns all declarations, and how many changes there had been.
func (d *declarations) list(r *Runner) (names []string, declares []Declare, changes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range d.order {
		kept := d.jobs[name]
		if _, err := r.Find(name); err == nil || !kept.wasThere {
			names, declares = append(names, name), append(declares, kept.declare)
		}
	}
	return names, declares, d.changes
}

// isUnchanged calls begin if nothing was declared meanwhile.
func (d *declarations) isUnchanged(changes int, begin func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changes != changes {
		return false
	}
	for _, kept := range d.jobs {
		kept.wasThere = true
	}
	begin()
	return true
}
