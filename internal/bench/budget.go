package main

import "fmt"

// A budget is a limit that the library has to keep, with what was measured.
type budget struct {
	What     string  `json:"what"`
	Measured float64 `json:"measured"`
	Limit    float64 `json:"limit"`
	Spread   string  `json:"spread,omitempty"`
	OK       bool    `json:"ok"`

	format func(float64) string
}

// atMost holds a value against its limit.
func (s *suite) atMost(what string, measured, limit float64, format func(float64) string) {
	s.budgets = append(s.budgets, budget{
		What: what, Measured: measured, Limit: limit, OK: measured <= limit, format: format,
	})
}

// atMostRatio holds the median of a ratio against its limit.
func (s *suite) atMostRatio(what string, measured spread, limit float64) {
	s.atMost(what, measured.median, limit, times)
	s.budgets[len(s.budgets)-1].Spread = measured.between(times)
}

// printBudgets prints the verdicts and returns how many budgets are not met.
func (s *suite) printBudgets() (over int) {
	if len(s.budgets) == 0 {
		return 0
	}
	title := "BUDGETS"
	if s.quick {
		title += " (-quick: the sizes are not those that the budgets are about)"
	}
	t := newTable(title, "what", "measured", "min – max", "budget", "")
	for _, b := range s.budgets {
		verdict := "ok"
		if !b.OK {
			verdict = "OVER"
			over++
		}
		t.add(b.What, b.format(b.Measured), b.Spread, "≤ "+b.format(b.Limit), verdict)
	}
	t.print(s.out)
	fmt.Fprintf(s.out, "\n%d of %d budgets met\n", len(s.budgets)-over, len(s.budgets))
	return over
}
