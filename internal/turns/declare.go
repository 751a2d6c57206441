package turns

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/runtocompletion/batch/internal/names"
)

// A Declaration is a limit as users declare it.
type Declaration struct {
	Active *int          // nil: any number
	Every  time.Duration // 0: any number
	Burst  int           // 0: one, if there is Every
	PerKey bool
}

// longestEvery leaves room for a burst: times are counted in nanoseconds.
const longestEvery = 100 * 365 * 24 * time.Hour

// Limit returns the limit, or what is wrong with it; place says where it was declared.
func (d Declaration) Limit(place, name string) (Limit, error) {
	var errs []error
	wrong := func(field string, value any, detail string) {
		errs = append(errs, fmt.Errorf("batch: %s[%q]%s: %v: %s", place, name, field, value, detail))
	}
	if texts := names.Subdomain(name); texts != nil {
		errs = append(errs, fmt.Errorf("batch: %s[%q]: %s", place, name, strings.Join(texts, "; ")))
	}
	l := Limit{Active: Unlimited, Every: d.Every, Burst: d.Burst, PerKey: d.PerKey}
	if d.Active != nil {
		l.Active = *d.Active
	}
	if d.Active != nil && l.Active < 0 {
		wrong(".Active", l.Active, "must not be negative")
	}
	if l.Every < 0 || l.Every > longestEvery {
		wrong(".Every", l.Every, "must not be negative, nor more than 100 years")
	}
	if l.Burst < 0 {
		wrong(".Burst", l.Burst, "must not be negative")
	} else if l.Burst > 0 && l.Every == 0 {
		wrong(".Burst", l.Burst, "needs Every")
	}
	return l, errors.Join(errs...)
}
