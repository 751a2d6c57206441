package kinds

import (
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// logOptions are the parameters of a log.
type logOptions struct {
	container  string
	stream     string // "stdout", "stderr", or empty for both
	follow     bool
	previous   bool
	timestamps bool
	since      time.Time
	tail       *int
	limit      *int64
}

func parseLogOptions(params url.Values) (logOptions, error) {
	o := logOptions{container: params.Get("container"), follow: wire.IsTrue(params, "follow"),
		previous: wire.IsTrue(params, "previous"), timestamps: wire.IsTrue(params, "timestamps")}
	number := func(name string, least int64) (*int64, error) {
		text := params.Get(name)
		if text == "" {
			return nil, nil
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < least {
			return nil, wire.BadRequest("%s: %q: must be a number of at least %d", name, text, least)
		}
		return &n, nil
	}
	tail, err1 := number("tailLines", 0)
	seconds, err2 := number("sinceSeconds", 1)
	limit, err3 := number("limitBytes", 1)
	for _, err := range []error{err1, err2, err3, o.parseStream(params.Get("stream"))} {
		if err != nil {
			return o, err
		}
	}
	if tail != nil {
		o.tail = new(int(min(*tail, 1<<30)))
	}
	o.limit = limit
	return o, o.parseSince(seconds, params.Get("sinceTime"))
}

func (o *logOptions) parseStream(name string) error {
	switch name {
	case "", "All":
	case "Stdout", "Stderr":
		o.stream = strings.ToLower(name)
	default:
		return wire.BadRequest("stream: %q: must be All, Stdout or Stderr", name)
	}
	return nil
}

func (o *logOptions) parseSince(seconds *int64, text string) error {
	switch {
	case seconds != nil && text != "":
		return wire.BadRequest("at most one of `sinceTime` or `sinceSeconds` may be specified")
	case seconds != nil:
		o.since = time.Now().Add(-time.Duration(min(*seconds, int64(100*365*24*60*60))) * time.Second)
	case text != "":
		var err error
		if o.since, err = time.Parse(time.RFC3339, text); err != nil {
			return wire.BadRequest("sinceTime: %v", err)
		}
	}
	return nil
}

// choose walks over those of the lines that are asked for.
func (o *logOptions) choose(lines iter.Seq[logLine]) iter.Seq[logLine] {
	return func(yield func(logLine) bool) {
		for line := range lines {
			if !line.Time.Before(o.since) && (o.stream == "" || line.Stream == o.stream) && !yield(line) {
				return
			}
		}
	}
}
