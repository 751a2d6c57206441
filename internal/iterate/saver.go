package iterate

import (
	"context"
	"fmt"
	"time"
)

// lastWords is how long a checkpoint may take to be saved after the context
// has ended.
const lastWords = 10 * time.Second

// A saver saves checkpoints, not too often. All but moved is for one goroutine
// at a time.
type saver struct {
	ctx   context.Context
	saved Checkpoint
	every time.Duration
	news  chan struct{} // has an element if there may be something to save

	settled  int   // as last saved
	finished bool  // as last saved
	err      error // why the last checkpoint was not saved; then there is none after it
}

func newSaver(ctx context.Context, saved Checkpoint, every time.Duration, settled int) saver {
	return saver{ctx: ctx, saved: saved, every: every, settled: settled, news: make(chan struct{}, 1)}
}

// start lets a goroutine call save from time to time, until stop is called.
func (s *saver) start(save func()) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		s.saveNews(quit, save)
	}()
	return func() {
		close(quit)
		<-ended
	}
}

func (s *saver) saveNews(quit <-chan struct{}, save func()) {
	for {
		last := time.Now()
		select {
		case <-s.news:
		case <-quit:
			return
		}
		select {
		case <-time.After(s.every - time.Since(last)):
		case <-s.ctx.Done(): // there may not be much time
		case <-quit:
			return
		}
		save()
	}
}

// moved says that there may be something to save.
func (s *saver) moved() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// wants reports whether to save that so many items are settled.
func (s *saver) wants(settled int, finished bool) bool {
	return s.err == nil && (settled != s.settled || finished != s.finished)
}

// tried records what became of the checkpoint of so many items.
func (s *saver) tried(settled int, finished bool, err error) {
	if err != nil {
		s.err = fmt.Errorf("save the checkpoint: %w", err)
		return
	}
	s.settled, s.finished = settled, finished
}

// save saves a checkpoint. If the context ends it is saved nevertheless.
func (s *saver) save(data []byte) error {
	if s.ctx.Err() == nil {
		if err := s.saved.Save(s.ctx, data); err == nil || s.ctx.Err() == nil {
			return err
		}
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(s.ctx), lastWords)
	defer stop()
	return s.saved.Save(ctx, data)
}
