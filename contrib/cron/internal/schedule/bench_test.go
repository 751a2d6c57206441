package schedule

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"
)

// BenchmarkNext finds next times, beside the parser's own search.
func BenchmarkNext(b *testing.B) {
	from := time.Date(2026, 3, 1, 10, 7, 20, 0, time.UTC)
	for _, text := range []string{"* * * * *", "30 2 * * *", "0 9 * * 1-5", "0 3 1 * *", "0 0 29 2 *", "0 0 30 2 *"} {
		s := mustParse(b, text, "Europe/Berlin", false)
		parsed, err := cron.ParseStandard("TZ=Europe/Berlin " + text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("this/"+text, func(b *testing.B) {
			for b.Loop() {
				s.After(from.Unix())
			}
		})
		b.Run("parser/"+text, func(b *testing.B) {
			for b.Loop() {
				parsed.Next(from)
			}
		})
	}
}
