// Package pgtest runs PostgreSQL for tests: a server of their own, on a free port, in a
// temporary folder.
package pgtest
