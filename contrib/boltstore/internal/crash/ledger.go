//go:build unix

package crash

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/runtocompletion/batch"
)

// A kind says what a line of the ledger tells of.
type kind string

const (
	began  kind = "began"  // a process
	opened kind = "opened" // its store, with a controller
	found  kind = "found"  // a job, before it was declared
	listed kind = "listed" // all jobs that were found
	told   kind = "told"   // a status
	shown  kind = "shown"  // attempts and events
	gone   kind = "gone"   // a job was told to be removed
	called kind = "called" // a user is about to ask for something
	agreed kind = "agreed" // the user has been told that it is done

	halting kind = "halting" // a shutdown is about to begin
	halted  kind = "halted"  // it has succeeded

	started kind = "started" // an execution
	resumed kind = "resumed" // it has looked at the checkpoint
	saving  kind = "saving"  // it is about to save one
	saved   kind = "saved"   // it has been told that this is durable
	effect  kind = "effect"  // it has had a side effect
	walking kind = "walking" // it has begun an iteration behind the item N
	item    kind = "item"    // it has worked on an item of an iteration
	ended   kind = "ended"   // it is about to return

	subscribed kind = "subscribed" // the store has the subscription
	delivered  kind = "delivered"  // it was told of an end

	problem kind = "problem" // the process has met what should not be
)

// A line is one entry of the ledger. What does not apply is zero.
type line struct {
	Process int // of the round, from 0
	At      time.Time
	Kind    kind
	Job     string `json:",omitzero"` // its name
	UID     string `json:",omitzero"`

	Index, Number, Restarts int    `json:",omitzero"` // of the execution
	N                       int    `json:",omitzero"` // of a checkpoint, an item; an exit code; a parallelism
	By                      int    `json:",omitzero"` // the number of the attempt that has saved the checkpoint
	Sum                     uint32 `json:",omitzero"` // of the checkpoint
	Text                    string `json:",omitzero"` // an error, the cause of a cancellation, what a user asks for

	Status   *batch.Status         `json:",omitzero"`
	Attempts []batch.AttemptStatus `json:",omitempty"`
	Events   []batch.Event         `json:",omitempty"`
}

// A ledger is a file to which one process writes what happens. It outlives the
// process: a line that has been written is there.
type ledger struct {
	file    *os.File
	process int
}

func openLedger(path string, process int) (*ledger, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	return &ledger{file, process}, err
}

// write appends a line with one call of the system, so that lines of several
// goroutines do not mix. A kill may cut it short: then no caller has been told. So
// that it does not spoil the next one, a line begins with a line feed.
func (l *ledger) write(entry line) {
	entry.Process, entry.At = l.process, time.Now()
	data, err := json.Marshal(entry)
	if err == nil {
		_, err = l.file.Write(append([]byte{'\n'}, data...))
	}
	if err != nil { // without its ledger, the process proves nothing
		fmt.Fprintln(os.Stderr, "ledger:", err)
		os.Exit(exitBroken)
	}
}

// A reader reads a ledger while it grows, from one process to the next.
type reader struct {
	file *os.File
	torn int // lines that were cut short
}

// next returns what has been written since it was last called. No process may be
// writing.
func (r *reader) next() ([]line, error) {
	data, err := io.ReadAll(r.file)
	if err != nil {
		return nil, err
	}
	var lines []line
	texts := bytes.Split(data, []byte{'\n'})
	for i, text := range texts {
		var entry line
		switch err := json.Unmarshal(text, &entry); {
		case len(text) == 0:
		case err == nil:
			lines = append(lines, entry)
		case i == len(texts)-1: // the last one was cut short by the kill
			r.torn++
		default:
			return nil, errors.Join(fmt.Errorf("ledger: %q", text), err)
		}
	}
	return lines, nil
}
