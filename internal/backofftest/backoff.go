// Package backoff stands in for another version of github.com/cenkalti/backoff in
// tests: it has the same name, and errors of the same names.
package backoff

import "time"

// A PermanentError is not worth a retry.
type PermanentError struct{ Err error }

// Error is that of Err.
func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *PermanentError) Unwrap() error { return e.Err }

// A RetryAfterError says when to try again.
type RetryAfterError struct{ Duration time.Duration }

// Error says the same.
func (e *RetryAfterError) Error() string { return "retry after " + e.Duration.String() }
