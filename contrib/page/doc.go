// Package page serves web pages that show the jobs of a controller while they
// run: see [Handler].
package page
