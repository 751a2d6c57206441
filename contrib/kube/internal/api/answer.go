package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/runtocompletion/batch"
)

// An answer is a request that is being answered. It is for one goroutine.
type answer struct {
	server      *Server
	w           http.ResponseWriter
	r           *http.Request
	user        string
	begun       bool            // the header was sent
	warned      map[string]bool // the warnings that were given
	warnedBytes int             // how long they are together
}

// longestWarning is how much of a warning is sent, and allWarnings how much of
// all of them, as by an API server: a body may give cause for many.
const (
	longestWarning = 1024
	allWarnings    = 4096
)

// warn adds a warning for the user of the client.
func (a *answer) warn(text string) {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > longestWarning {
		text = strings.ToValidUTF8(text[:longestWarning], "")
	}
	if a.begun || a.warned[text] || a.warnedBytes+len(text) > allWarnings {
		return
	}
	a.warned[text] = true
	a.warnedBytes += len(text)
	a.w.Header().Add("Warning", "299 - "+quoteWarning(text))
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

// writeJSON answers with an object.
func (a *answer) writeJSON(code int, contentType string, object any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	return a.write(code, contentType, append(body, '\n'))
}

func (a *answer) write(code int, contentType string, body []byte) error {
	a.begin(code, contentType)
	_ = a.send(body, false) // a client that has gone needs no answer
	return nil
}

func (a *answer) begin(code int, contentType string) {
	a.begun = true
	a.w.Header().Set("Content-Type", contentType)
	a.w.WriteHeader(code)
}

// writeObject answers with an object of its own kind.
func (a *answer) writeObject(code int, object runtime.Object) error {
	return a.writeJSON(code, jsonType, object)
}

// fail answers with an error, if nothing else was.
func (a *answer) fail(err error) {
	if a.begun {
		return
	}
	status := statusOf(err)
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		a.w.Header().Set("Retry-After", strconv.Itoa(int(status.Details.RetryAfterSeconds)))
	}
	_ = a.writeJSON(int(status.Code), jsonType, status)
}

// recover answers for a request that made the server panic.
func (a *answer) recover() {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	a.server.config.Logger.Error("panic in a request", slog.String("method", a.r.Method), slog.String("path", a.r.URL.Path),
		slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	if a.begun {
		panic(http.ErrAbortHandler) // the client must not take this for the end
	}
	a.fail(apierrors.NewInternalError(fmt.Errorf("panic: %v", v)))
}

// statusOf is the Status that says what an error does.
func statusOf(err error) *metav1.Status {
	known, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		known = unknownError(err)
	}
	status := known.Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	if status.Code == 0 {
		status.Code = http.StatusInternalServerError
	}
	return &status
}

func unknownError(err error) *apierrors.StatusError {
	switch {
	case errors.Is(err, batch.ErrShutdown):
		return apierrors.NewServiceUnavailable("the controller of the jobs is shut down")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return apierrors.NewTimeoutError("the request ended before it was served", 1)
	}
	return apierrors.NewInternalError(err)
}

// writeTime is how long a client may take to read what it was sent.
const writeTime = 30 * time.Second

// send writes a part of an answer, and flushes it if that is asked for. A client
// that does not read it in time is gone. The limit is lifted afterwards: over
// HTTP/2 it would end a stream on which there is nothing to send.
func (a *answer) send(data []byte, flush bool) error {
	controller := http.NewResponseController(a.w)
	_ = controller.SetWriteDeadline(time.Now().Add(writeTime)) // a writer without deadlines does not block for ever
	defer func() { _ = controller.SetWriteDeadline(time.Time{}) }()
	if len(data) > 0 {
		if _, err := a.w.Write(data); err != nil {
			return err
		}
	}
	if flush {
		return controller.Flush()
	}
	return nil
}
