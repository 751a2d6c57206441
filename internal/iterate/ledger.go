package iterate

// A ledger knows which items are settled, that is done or skipped, and so
// where the cursor can rest. It decides, without locks or goroutines.
type ledger[C any] struct {
	place place[C]
	// behind are the items settled behind the place that share their cursor
	// with one that is not, or not known yet.
	behind tally[C]
	open   []*stretch[C] // from the place on, in the order of the sequence
	ended  bool          // nothing comes behind the last stretch
}

// A place in the sequence has every item before it settled.
type place[C any] struct {
	tally[C]
	cursor   C // of the last item before it
	begun    bool
	finished bool // no item comes behind it
	// ahead are the first items behind the place if they are settled as well, and
	// part of the tally; nil if there are none, or it is not known.
	ahead *group[C]
	// listed is how many bytes the list of skipped items had when the place was
	// loaded, or a few more.
	listed int
}

// A group is items in a row that share a cursor.
type group[C any] struct {
	Cursor C   `json:"cursor"`
	Items  int `json:"items"`
}

// A tally counts settled items.
type tally[C any] struct {
	done     int
	skipped  []Skipped[C]
	unlisted int // skipped, and not in the list
}

func (t *tally[C]) settled() int { return t.done + t.skips() }

func (t *tally[C]) skips() int { return len(t.skipped) + t.unlisted }

func (t *tally[C]) add(more tally[C]) {
	t.done += more.done
	t.skipped = append(t.skipped, more.skipped...)
	t.unlisted += more.unlisted
}

// result is that of a run that began at another place.
func (p place[C]) result(from place[C]) Result[C] {
	r := Result[C]{Done: p.done, Skipped: p.skipped, Unlisted: p.unlisted}
	if from.begun {
		r.ResumedFrom = &from.cursor
	}
	return r
}

// A stretch of the sequence is settled from its beginning to its end.
type stretch[C any] struct {
	cursors []C
	// rests[i] is whether the cursor may rest between the items i-1 and i. The
	// one behind the last item is missing until it is known what comes there.
	rests   []bool
	settled int       // how many items
	skipped []omitted // of the settled ones, those from taken on
	taken   int       // how many items the ledger has accounted for
}

// omitted is an item of a stretch that was skipped.
type omitted struct {
	index  int
	err    string
	listed bool
}

// next adds an item. Rest is whether the cursor may rest before it.
func (s *stretch[C]) next(cursor C, rest bool) {
	s.cursors = append(s.cursors, cursor)
	s.rests = append(s.rests, rest)
}

func (s *stretch[C]) bounded() bool { return len(s.rests) > len(s.cursors) }

// complete is whether nothing about the stretch can change.
func (s *stretch[C]) complete() bool { return s.settled == len(s.cursors) && s.bounded() }

// rest returns the last index before which the cursor may rest, and taken if
// that is no progress.
func (s *stretch[C]) rest() int {
	for i := min(s.settled, len(s.rests)-1); i > s.taken; i-- {
		if s.rests[i] {
			return i
		}
	}
	return s.taken
}

// take accounts for the items before an index.
func (s *stretch[C]) take(before int) tally[C] {
	t := tally[C]{done: before - s.taken}
	for len(s.skipped) > 0 && s.skipped[0].index < before {
		if o := s.skipped[0]; o.listed {
			t.skipped = append(t.skipped, Skipped[C]{s.cursors[o.index], o.err})
		} else {
			t.unlisted++
		}
		s.skipped = s.skipped[1:]
		t.done--
	}
	s.taken = before
	return t
}

// append adds the next stretch of the sequence.
func (l *ledger[C]) append(s *stretch[C]) { l.open = append(l.open, s) }

// follow says that an item comes behind the last stretch, and whether the
// cursor may rest between the two.
func (l *ledger[C]) follow(rest bool) {
	if n := len(l.open); n > 0 {
		l.open[n-1].rests = append(l.open[n-1].rests, rest)
		l.advance()
	}
}

// end says that nothing comes behind the last stretch.
func (l *ledger[C]) end() {
	l.ended = true
	l.follow(true)
	l.advance()
}

// settle says that the next n items of a stretch are done.
func (l *ledger[C]) settle(s *stretch[C], n int) {
	s.settled += n
	l.advance()
}

// skip says that the next item of a stretch is skipped, and whether it has a
// place in the list of those.
func (l *ledger[C]) skip(s *stretch[C], err string, listed bool) {
	s.skipped = append(s.skipped, omitted{s.settled, err, listed})
	l.settle(s, 1)
}

// pass says that no more items than those ahead share their cursor.
func (l *ledger[C]) pass() {
	if ahead := l.place.ahead; ahead != nil {
		l.place.cursor, l.place.begun, l.place.ahead = ahead.Cursor, true, nil
	}
}

// breakOff says that it is not known what comes behind the last stretch, nor
// will be. The last group are the last items that share a cursor: they are ahead
// of the place if they, and all before them, are settled.
func (l *ledger[C]) breakOff(last group[C]) {
	behind := l.behind
	for _, s := range l.open {
		if s.settled < len(s.cursors) {
			return
		}
		behind.done += len(s.cursors) - s.taken // here, skipped or not
	}
	items := behind.settled()
	if l.place.ahead != nil {
		items += l.place.ahead.Items
	}
	if items != last.Items || behind.settled() == 0 {
		return
	}
	l.place.add(l.behind)
	for _, s := range l.open {
		l.place.add(s.take(len(s.cursors)))
	}
	l.place.ahead, l.behind, l.open = &last, tally[C]{}, nil
}

// advance moves the place as far as it goes.
func (l *ledger[C]) advance() {
	for len(l.open) > 0 {
		s := l.open[0]
		l.moveTo(s, s.rest())
		if !s.complete() {
			return
		}
		l.behind.add(s.take(len(s.cursors)))
		l.open[0] = nil
		l.open = l.open[1:]
	}
	l.place.finished = l.ended
}

func (l *ledger[C]) moveTo(s *stretch[C], index int) {
	if index == s.taken {
		return
	}
	l.place.add(l.behind)
	l.place.add(s.take(index))
	l.place.cursor = s.cursors[index-1]
	l.place.begun = true
	l.place.ahead = nil
	l.behind = tally[C]{}
}
