package spec

import (
	"math"
	"reflect"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A Backoff makes the delays of sequences of failures, as the public type does.
type Backoff interface {
	BackOff() backoff.BackOff
}

// A ConstantBackoff waits Delay after every failure.
type ConstantBackoff struct{ Delay time.Duration }

// BackOff returns a new sequence.
func (b ConstantBackoff) BackOff() backoff.BackOff { return backoff.NewConstantBackOff(b.Delay) }

// An ExponentialBackoff waits Initial after the first failure and twice as long after
// each further one, up to Limit.
type ExponentialBackoff struct {
	Initial, Limit time.Duration
	Jitter         float64
}

// NewExponentialBackoff makes of any arguments some that can be used.
func NewExponentialBackoff(initial, limit time.Duration, jitter float64) ExponentialBackoff {
	if math.IsNaN(jitter) {
		jitter = 0
	}
	return ExponentialBackoff{max(min(initial, limit), 0), max(limit, 0), min(max(jitter, 0), 1)}
}

// longestDelay leaves room for the largest jitter.
const longestDelay = math.MaxInt64 / 4

// BackOff returns a new sequence.
func (b ExponentialBackoff) BackOff() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(min(b.Initial, longestDelay)),
		backoff.WithMaxInterval(min(b.Limit, longestDelay)),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(b.Jitter),
		backoff.WithMaxElapsedTime(0),
	)
}

// A BackoffFunc is a function that returns a new sequence.
type BackoffFunc func() backoff.BackOff

// BackOff calls f.
func (f BackoffFunc) BackOff() backoff.BackOff { return f() }

// unknown stands in for a function that has not been declared yet.
func unknown() backoff.BackOff { return nil }

// IsFunction reports whether a back-off is a function, which has no value.
func IsFunction(b Backoff) bool { return reflect.ValueOf(b).Kind() == reflect.Func }

// SameBackoff reports whether both wait alike. Functions are not compared.
func SameBackoff(a, b Backoff) bool {
	if IsFunction(a) || IsFunction(b) {
		return IsFunction(a) && IsFunction(b)
	}
	return reflect.DeepEqual(a, b)
}

// A StoredBackoff is one that is a value, or one that is not known.
type StoredBackoff struct {
	Constant    *time.Duration      `json:",omitempty"`
	Exponential *ExponentialBackoff `json:",omitempty"`
}

// StoreBackoff returns what is stored of a back-off; nil for none.
func StoreBackoff(b Backoff) *StoredBackoff {
	switch b := b.(type) {
	case nil:
		return nil
	case ConstantBackoff:
		return &StoredBackoff{Constant: &b.Delay}
	case ExponentialBackoff:
		return &StoredBackoff{Exponential: &b}
	}
	return &StoredBackoff{}
}

// Load undoes StoreBackoff. Something stands in for what is not known.
func (s *StoredBackoff) Load() Backoff {
	switch {
	case s == nil:
		return nil
	case s.Constant != nil:
		return ConstantBackoff{max(*s.Constant, 0)}
	case s.Exponential != nil:
		return *s.Exponential
	}
	return BackoffFunc(unknown)
}
