package boltstore

import (
	"maps"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// A patient is a store that something is done to while it is written to.
type patient struct {
	*Store
	t    *testing.T
	want model
	work *workload
}

func newPatient(t *testing.T, path string) *patient {
	p := &patient{Store: open(t, path), t: t, want: model{}, work: newWorkload(11)}
	for range 10 {
		p.mustCommit(p.work.commit(20))
	}
	return p
}

func (p *patient) mustCommit(records []batch.Record) {
	p.t.Helper()
	require.NoError(p.t, p.Commit(p.t.Context(), records))
	p.want.apply(records)
}

// requireOneOf requires that the store holds what was acknowledged, or that with
// what was to be committed after that.
func (p *patient) requireOneOf(got model, err error, unsure []batch.Record) {
	p.t.Helper()
	require.NoError(p.t, err)
	next := maps.Clone(p.want)
	next.apply(unsure)
	require.True(p.t, maps.Equal(p.want, got) || maps.Equal(next, got), "another state than one that was to be")
}

// suffer commits while there is a fault. It returns the error, and requires
// that what was acknowledged is in the file, as another process would see it.
func (p *patient) suffer(size int) error {
	p.t.Helper()
	records := p.work.commit(20)
	records = append(records, batch.Record{Job: "big", Key: "big", Value: p.work.value(size)})
	err := p.Commit(p.t.Context(), records)
	if err == nil {
		p.want.apply(records)
		return nil
	}
	image, readErr := os.ReadFile(p.path)
	require.NoError(p.t, readErr)
	got, imageErr := inImage(image)
	p.requireOneOf(got, imageErr, records)
	return err
}

// recover requires that all is well again.
func (p *patient) recover() {
	p.t.Helper()
	for range 5 {
		p.mustCommit(p.work.commit(20))
		requireHolds(p.t, p.want, p.Store)
		requireNoPageLost(p.t, p.Store)
	}
	got, err := inImage(contents(p.t, p.path))
	require.NoError(p.t, err)
	requireSame(p.t, p.want, got)
}
