// Package backoff stands in for another version of github.com/cenkalti/backoff in
// tests: it has the same name, and an error of the same name.
package backoff

// A PermanentError is not worth a retry.
type PermanentError struct{ Err error }

// Error is that of Err.
func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *PermanentError) Unwrap() error { return e.Err }
