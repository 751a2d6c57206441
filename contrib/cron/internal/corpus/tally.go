package corpus

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// A Tally counts how the cases of a file were answered. It may be used by several
// goroutines at once.
type Tally struct {
	mu            sync.Mutex
	agreed, asked int
	excused       map[string]int // by reason
}

// Agreed counts a case that is answered as recorded.
func (t *Tally) Agreed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.agreed++
	t.asked++
}

// Excused counts a case that may be answered otherwise.
func (t *Tally) Excused(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.excused == nil {
		t.excused = make(map[string]int)
	}
	t.excused[reason]++
	t.asked++
}

// Failed counts a case that is answered otherwise.
func (t *Tally) Failed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked++
}

// String is such as "agree 7 of 9, excused 2: C62 1, C90 1".
func (t *Tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := fmt.Sprintf("agree %d of %d", t.agreed, t.asked)
	sum, reasons := 0, []string(nil)
	for _, reason := range slices.Sorted(maps.Keys(t.excused)) {
		sum += t.excused[reason]
		reasons = append(reasons, fmt.Sprintf("%s %d", reason, t.excused[reason]))
	}
	if sum > 0 {
		text += fmt.Sprintf(", excused %d: %s", sum, strings.Join(reasons, ", "))
	}
	return text
}
