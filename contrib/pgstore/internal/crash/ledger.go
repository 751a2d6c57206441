//go:build unix

package crash

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"syscall"
	"time"
)

// The kinds of lines.
const (
	up        = "up"        // a process that has a controller
	began     = "began"     // an executor
	started   = "started"   // an executor of a CronJob's job
	told      = "told"      // a status, to somebody who looks on
	scheduled = "scheduled" // a time of a CronJob that was told to be started
	left      = "left"      // a process whose controller was shut down
	wrong     = "wrong"     // something that there should not be
)

// A line is an entry of the ledger.
type line struct {
	Kind    string
	At      time.Time
	Process int    // of the round; see config
	PID     int    // of the system
	Fence   int64  `json:",omitempty"` // of began and started
	Job     string `json:",omitempty"` // or the CronJob
	Index   int    `json:",omitempty"` // of began
	Time    int64  `json:",omitempty"` // of a CronJob
	UID     string `json:",omitempty"` // of started: the job's
	Done    string `json:",omitempty"` // of told: the completed indexes
	Count   int    `json:",omitempty"` // of told: the completions
	Over    bool   `json:",omitempty"` // of told: the job has finished
	Text    string `json:",omitempty"` // of wrong
}

// A ledger is a file that processes write to one after the other. It has lines, and
// beside it the highest fence that it has seen.
type ledger struct {
	process int

	mu    sync.Mutex // guards the use of the fields below: locks are those of the process
	file  *os.File
	fence *os.File
}

func openLedger(path string, process int) (*ledger, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	fence, err := os.OpenFile(path+".fence", os.O_CREATE|os.O_RDWR, 0o600)
	return &ledger{process: process, file: file, fence: fence}, err
}

var errFenced = errors.New("a higher fence was seen")

// write appends a line. Its time is that of the lock: lines are in order of time. The
// error is errFenced if the line has a fence that is not the highest.
func (l *ledger) write(entry line) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := lock(l.fence, syscall.LOCK_EX); err != nil {
		return err
	}
	defer lock(l.fence, syscall.LOCK_UN)
	if entry.Kind == began || entry.Kind == started {
		if err := l.checkFence(entry.Fence); err != nil {
			return err
		}
	}
	entry.At, entry.Process, entry.PID = time.Now(), l.process, os.Getpid()
	data, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	_, err = l.file.Write(append(data, '\n'))
	return err
}

func lock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func (l *ledger) checkFence(fence int64) error {
	text := make([]byte, 8)
	if _, err := l.fence.ReadAt(text, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	highest := int64(binary.BigEndian.Uint64(text)) // zero before the first one
	switch {
	case fence < highest:
		return errFenced
	case fence > highest:
		_, err := l.fence.WriteAt(binary.BigEndian.AppendUint64(nil, uint64(fence)), 0)
		return err
	}
	return nil
}

// A reader reads a ledger that grows.
type reader struct {
	path   string
	offset int64
}

// next returns the lines that are new. The last one may not be complete yet: then it
// comes with a later call.
func (r *reader) next() (lines []line, err error) {
	file, err := os.Open(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.NewSectionReader(file, r.offset, math.MaxInt64-r.offset))
	if err != nil {
		return nil, err
	}
	data = data[:bytes.LastIndexByte(data, '\n')+1]
	for text := range bytes.Lines(data) {
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("line %q: %w", text, err)
		}
		lines = append(lines, l)
	}
	r.offset += int64(len(data))
	return lines, nil
}
