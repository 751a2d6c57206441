package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// frameTime is how long one frame stays on a terminal.
const frameTime = 40 * time.Millisecond

// A screen shows pictures one below the other. On a terminal each is redrawn
// in place until it is final; elsewhere only the final one is printed.
type screen struct {
	w    io.Writer
	live bool // w is a terminal
	rows int  // how many rows of the unfinished picture are on the terminal
}

func newScreen(w io.Writer) *screen {
	return &screen{w: w, live: isTerminal(w)}
}

// isTerminal reports whether w can move its cursor.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// frame shows a picture that will change.
func (s *screen) frame(picture string) {
	if !s.live {
		return
	}
	s.draw(picture)
	s.rows = strings.Count(picture, "\n")
}

// final shows the last state of a picture, which stays.
func (s *screen) final(picture string) {
	s.draw(picture + "\n")
	s.rows = 0
}

// draw writes a picture in place of the unfinished one, with one call of Write
// so that it does not flicker.
func (s *screen) draw(picture string) {
	if s.live {
		const clearLine, clearBelow = "\x1b[K", "\x1b[J"
		picture = strings.ReplaceAll(picture, "\n", clearLine+"\n") + clearBelow
	}
	if s.rows > 0 {
		picture = fmt.Sprintf("\x1b[%dA", s.rows) + picture // up to its first row
	}
	io.WriteString(s.w, picture)
}

// textWidth is how many columns a text takes: all characters used here take one.
func textWidth(text string) int { return utf8.RuneCountInString(text) }

// pad fills a text up to a width.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(width-textWidth(text), 0))
}

// center puts a text in the middle of a width. A text that is too long is cut.
func center(text string, width int) string {
	if extra := textWidth(text) - width; extra > 0 {
		return string([]rune(text)[:max(width, 0)])
	}
	return pad(strings.Repeat(" ", (width-textWidth(text))/2)+text, width)
}
