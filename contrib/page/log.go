package page

import (
	"context"
	"fmt"

	"github.com/runtocompletion/batch"
)

// logLines is how many lines of its log the page of an attempt shows.
const logLines = 500

// An attemptLog is the end of an attempt's log.
type attemptLog struct {
	Address, Name, UID string // of the attempt; no address: the page is its own
	Most               int    // lines that are shown
	Lines              []logRow
}

// A logRow is a line of a log on a page.
type logRow struct {
	batch.LogLine
	ID string
}

// readLog adds the last lines to a log. They are named after their times: so they keep
// their names when the log grows.
func readLog(c *batch.Controller, log attemptLog, job string) attemptLog {
	same := 0
	for line, err := range c.Logs(context.Background(), job, log.UID, log.Most, false) {
		if err != nil {
			break // it is no longer kept
		}
		if n := len(log.Lines); n > 0 && log.Lines[n-1].Time.Equal(line.Time) {
			same++
		} else {
			same = 0
		}
		log.Lines = append(log.Lines, logRow{line, fmt.Sprintf("n-%s-%d-%d", log.UID, line.Time.UnixNano(), same)})
	}
	return log
}

// logParts are the parts of logs: each line is one, so that a log that grows costs no
// more than its new lines.
func logParts(logs []attemptLog) (list []part) {
	for _, log := range logs {
		empty := log
		empty.Lines = nil
		list = append(list, newPart("log-"+log.UID, "logs", "log", empty))
		for _, line := range log.Lines {
			list = append(list, newPart(line.ID, "lines-"+log.UID, "line", line))
		}
	}
	return list
}
