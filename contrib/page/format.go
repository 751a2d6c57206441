package page

import (
	"encoding/json"
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
	"clean": clean,
	"count": func(n any) string { return formatCount(number(n)) },
	"now":   time.Now,
	"span":  func(from, to time.Time) string { return formatDuration(max(0, to.Sub(from))) },
	"clock": func(t time.Time) string { return t.Local().Format("15:04:05.000") },
	"stamp": func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
	"ms":    func(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMicro())/1000, 'f', 3, 64) },
	"tone":  func(value any) string { return "is-" + strings.ToLower(fmt.Sprint(value)) },
	"add":   func(a, b any) int { return number(a) + number(b) },
	"mul":   func(a, b int) int { return a * b },
	"share": func(n, of any) string { // in percent
		return fmt.Sprintf("%.3f%%", 100*min(1, float64(number(n))/float64(max(number(of), 1))))
	},
	"event": eventID,
	"chain": errorChain,
	"json":  func(value any) (string, error) { data, err := json.Marshal(value); return string(data), err },
}

// number is an integer of any size, as templates come by them.
func number(n any) int { return int(reflect.ValueOf(n).Int()) }

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

var escapes = regexp.MustCompile("\x1b(\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(\x07|\x1b\\\\)?|[@-Z\\\\-_])|\r")

// clean makes a text that user code wrote fit to be shown: without the escape
// sequences of terminals, control characters and what changes the direction of
// writing, as valid UTF-8, and cut if it is very long.
func clean(text string) string {
	cut := ""
	if extra := len(text) - longestText; extra > 0 {
		text, cut = text[:longestText], fmt.Sprintf(" … (%s more bytes)", formatCount(extra))
	}
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Co, unicode.Bidi_Control) || r == '\uFEFF' {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(escapes.ReplaceAllString(text, ""), "\uFFFD")) + cut
}

// formatCount writes 1234567 as 1,234,567.
func formatCount(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// formatRate writes a number per second, or in the unit that makes it one or more.
func formatRate(n float64) string {
	units := []string{"s", "min", "h"}
	for ; n < 1 && len(units) > 1; n *= 60 {
		units = units[1:]
	}
	if n >= 10 {
		return formatCount(int(math.Round(n))) + "/" + units[0]
	}
	return fmt.Sprintf("%.2g/%s", n, units[0])
}

// formatDuration writes a duration with its two highest units: 3d04h, 5m20s, 0.25s.
func formatDuration(d time.Duration) string {
	switch s := int(d.Seconds()); {
	case d < 10*time.Second:
		return fmt.Sprintf("%.2fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
	}
}
