package page

import (
	"fmt"
	"html/template"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// templateFuncs are what templates may call.
var templateFuncs = template.FuncMap{
	"clean":   clean,
	"count":   func(n any) string { return formatCount(number(n)) },
	"since":   func(t time.Time) string { return formatDuration(time.Since(t)) },
	"span":    func(from, to time.Time) string { return formatDuration(to.Sub(from)) },
	"clock":   func(t time.Time) string { return t.Local().Format("15:04:05.000") },
	"day":     func(t time.Time) string { return t.Format("Mon 2 Jan 15:04 MST") },
	"stamp":   func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
	"percent": formatPercent,
	"ms":      func(t time.Time) string { return strconv.FormatFloat(milliseconds(t), 'f', 3, 64) },
	"tone":    func(value any) string { return "is-" + strings.ToLower(fmt.Sprint(value)) },
	"until":   func(t time.Time) string { return formatDuration(max(0, time.Until(t))) },
	"seconds": func(t time.Time) float64 { return milliseconds(t) / 1000 },
	"add":     func(a, b any) int { return number(a) + number(b) },
	"limit":   formatLimit,
	"mul":     func(a, b int) int { return a * b },
	"event":   eventID,
	"chain":   errorChain,
	"share":   func(n, of any) float64 { return min(1, float64(number(n))/float64(max(number(of), 1))) },
	"less":    func(share float64) float64 { return 1 - share },
	"xml":     escapeXML,
	"json":    escapeJSON,
}

// number is an integer of any size, as templates come by them.
func number(n any) int { return int(reflect.ValueOf(n).Int()) }

// milliseconds is the time of a browser.
func milliseconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1000 }

// execute makes the HTML of a part. Its templates fit its data.
func execute(name string, data any) string {
	var b strings.Builder
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		panic(fmt.Errorf("template %s: %w", name, err))
	}
	return b.String()
}

// longestText is how many bytes of a text a page shows.
const longestText = 4096

var escapes = regexp.MustCompile("\x1b(\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(\x07|\x1b\\\\)?|[@-Z\\\\-_])")

// clean makes a text that user code wrote fit to be shown: without the escape
// sequences of terminals, control characters and what changes the direction of
// writing, as valid UTF-8, and cut if it is very long.
func clean(text string) string {
	cut := ""
	if extra := len(text) - longestText; extra > 0 {
		text, cut = text[:longestText], fmt.Sprintf(" … (%s more bytes)", formatCount(extra))
	}
	text = escapes.ReplaceAllString(text, "")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r':
			return -1
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), unicode.Is(unicode.Co, r), r == '\uFEFF':
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD")) + cut
}

// formatCount writes 1234567 as 1,234,567.
func formatCount(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// formatLimit writes how often something may fail.
func formatLimit(n int) string {
	if n == math.MaxInt32 {
		return "none" // jobs with a limit for each index have this one, as in Kubernetes
	}
	return formatCount(n)
}

// formatRate writes a number per second, or in the unit that makes it one or more.
func formatRate(n float64) string {
	unit := "s"
	if n < 1 {
		n, unit = n*60, "min"
	}
	if n < 1 {
		n, unit = n*60, "h"
	}
	if n >= 10 {
		return formatCount(int(math.Round(n))) + "/" + unit
	}
	return strconv.FormatFloat(n, 'g', 2, 64) + "/" + unit
}

// formatDuration writes a duration with its two highest units: 3d4h, 5m20s, 0.25s.
func formatDuration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + formatDuration(-d)
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + "s"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

func formatPercent(share float64) string { return strconv.FormatFloat(100*share, 'f', 3, 64) + "%" }
