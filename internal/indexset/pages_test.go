package indexset

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// A mirror is a set that is kept up to date by pages alone.
type mirror struct {
	Set
	before Set // the original when it was last looked at
}

func (m *mirror) follow(t *testing.T, s *Set) (pages int) {
	for n, page := range s.Changes(m.before) {
		data, err := page.AppendBinary(nil)
		require.NoError(t, err)
		var copied Page
		require.NoError(t, copied.UnmarshalBinary(data))
		m.SetPage(n, copied)
		pages++
	}
	m.before = s.Snapshot()
	require.Equal(t, s.String(), m.String())
	return pages
}

func TestChangesKeepACopyUpToDate(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		size := []int{100, 3000, 1 << 20}[seed%3]
		var s Set
		var m mirror
		for range 30 {
			for range r.IntN(40) {
				switch i := r.IntN(size); r.IntN(8) {
				case 0:
					s.Remove(i)
				case 1:
					s.AddRange(i, i+r.IntN(5000))
				case 2:
					if r.IntN(10) == 0 {
						s.Truncate(i)
					}
				default:
					s.Add(i)
				}
			}
			m.follow(t, &s)
		}
	}
}

func TestChangesAreFew(t *testing.T) {
	var s Set
	var m mirror
	s.AddRange(0, 5_000_000)
	m.follow(t, &s)
	require.Zero(t, m.follow(t, &s), "nothing has changed")
	for i := 5_000_001; i < 5_000_100; i++ {
		s.Add(i)
	}
	require.LessOrEqual(t, m.follow(t, &s), 2, "writes close together")
	s.Remove(77)
	s.Remove(3_000_000)
	require.Equal(t, 2, m.follow(t, &s))
}

func TestPageEncoding(t *testing.T) {
	var p Page
	require.EqualError(t, p.UnmarshalBinary(make([]byte, 5)), "a page of 5 bytes")
	for _, want := range []Page{{}, {3: 7}, allPage} {
		data, err := want.AppendBinary([]byte("before"))
		require.NoError(t, err)
		require.NoError(t, p.UnmarshalBinary(data[len("before"):]))
		require.Equal(t, want, p)
	}
	var s Set
	s.SetPage(-1, allPage)
	s.SetPage(MaxIndex/PageSize+1, allPage)
	require.Zero(t, s.Len(), "pages that no set has")
}
