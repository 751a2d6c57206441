// Package wire reads the requests of Kubernetes clients and writes the answers:
// bodies, forms, warnings and errors. It knows nothing of what is served.
package wire

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
)

// An Answer is a request that is being answered. It is for one goroutine.
type Answer struct {
	Writer      http.ResponseWriter
	Request     *http.Request
	User        string          // who asks
	Scheme      *runtime.Scheme // of what clients send
	begun       bool            // the header was sent
	warned      map[string]bool // the warnings that were given
	warnedBytes int             // how long they are together
}

// New returns the answer to a request.
func New(w http.ResponseWriter, r *http.Request, scheme *runtime.Scheme) *Answer {
	return &Answer{Writer: w, Request: r, Scheme: scheme, warned: make(map[string]bool)}
}

// LongestWarning is how much of a warning is sent, and AllWarnings how much of
// all of them, as by an API server: a body may give cause for many.
const (
	LongestWarning = 1024
	AllWarnings    = 4096
)

// Warn adds a warning for the user of the client.
func (a *Answer) Warn(text string) {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > LongestWarning {
		text = strings.ToValidUTF8(text[:LongestWarning], "")
	}
	if a.begun || a.warned[text] || a.warnedBytes+len(text) > AllWarnings {
		return
	}
	a.warned[text] = true
	a.warnedBytes += len(text)
	a.Writer.Header().Add("Warning", "299 - "+quoteWarning(text))
}

// quoteWarning makes a quoted string of a text, without control characters.
func quoteWarning(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// WriteJSON answers with an object.
func (a *Answer) WriteJSON(code int, contentType string, object any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	return a.Write(code, contentType, append(body, '\n'))
}

// Write answers with a body.
func (a *Answer) Write(code int, contentType string, body []byte) error {
	a.Begin(code, contentType)
	_ = a.Send(body, false) // a client that has gone needs no answer
	return nil
}

// Begin begins an answer that is sent in parts.
func (a *Answer) Begin(code int, contentType string) {
	a.begun = true
	a.Writer.Header().Set("Content-Type", contentType)
	a.Writer.WriteHeader(code)
}

// WriteObject answers with an object of its own kind.
func (a *Answer) WriteObject(code int, object runtime.Object) error {
	return a.WriteJSON(code, JSON, object)
}

// Fail answers with an error, if nothing else was.
func (a *Answer) Fail(err error) {
	if a.begun {
		return
	}
	status := StatusOf(err)
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		a.Writer.Header().Set("Retry-After", strconv.Itoa(int(status.Details.RetryAfterSeconds)))
	}
	_ = a.WriteJSON(int(status.Code), JSON, status)
}

// Recover answers for a request that made the server panic. It is to be deferred.
func (a *Answer) Recover(logger *slog.Logger) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	logger.Error("panic in a request", slog.String("method", a.Request.Method), slog.String("path", a.Request.URL.Path),
		slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	if a.begun {
		panic(http.ErrAbortHandler) // the client must not take this for the end
	}
	a.Fail(apierrors.NewInternalError(fmt.Errorf("panic: %v", v)))
}

// writeTime is how long a client may take to read what it was sent.
const writeTime = 30 * time.Second

// Send writes a part of an answer, and flushes it if that is asked for. A client
// that does not read it in time is gone. The limit is lifted afterwards: over
// HTTP/2 it would end a stream on which there is nothing to send.
func (a *Answer) Send(data []byte, flush bool) error {
	controller := http.NewResponseController(a.Writer)
	_ = controller.SetWriteDeadline(time.Now().Add(writeTime)) // a writer without deadlines does not block for ever
	defer func() { _ = controller.SetWriteDeadline(time.Time{}) }()
	if len(data) > 0 {
		if _, err := a.Writer.Write(data); err != nil {
			return err
		}
	}
	if flush {
		return controller.Flush()
	}
	return nil
}
