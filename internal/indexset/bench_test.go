package indexset

import (
	"math/rand/v2"
	"testing"
)

func BenchmarkAdd(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	shuffled, wide := rng.Perm(64), rng.Perm(1024)
	var status Set
	orders := []struct {
		name string
		add  func(s *Set, i int)
	}{
		{name: "in order", add: func(s *Set, i int) { s.Add(i) }},
		{name: "shuffled within 64", add: func(s *Set, i int) { s.Add(i&^63 | shuffled[i&63]) }},
		{name: "shuffled within 1024", add: func(s *Set, i int) { s.Add(i&^1023 | wide[i&1023]) }},
		{name: "every other", add: func(s *Set, i int) { s.Add(2 * i) }},
		{name: "every thousandth", add: func(s *Set, i int) { s.Add(1000 * i) }},
		{name: "anywhere in 10M", add: func(s *Set, i int) { s.Add(i * 7_368_787 % tenMillion) }},
		{name: "in order, with snapshots", add: func(s *Set, i int) { s.Add(i); status = s.Snapshot() }},
		{
			name: "shuffled within 1024, with snapshots",
			add:  func(s *Set, i int) { s.Add(i&^1023 | wide[i&1023]); status = s.Snapshot() },
		},
		{
			name: "anywhere in 10M, with snapshots",
			add:  func(s *Set, i int) { s.Add(i * 7_368_787 % tenMillion); status = s.Snapshot() },
		},
	}
	for _, order := range orders {
		b.Run(order.name, func(b *testing.B) {
			b.ReportAllocs()
			var s Set
			for i := 0; b.Loop(); i++ {
				order.add(&s, i)
			}
		})
	}
	_ = status
}

func BenchmarkRemoveInOrder(b *testing.B) {
	b.ReportAllocs()
	var s Set
	s.AddRange(0, MaxIndex)
	for i := 0; b.Loop(); i++ {
		s.Remove(i)
	}
}

func BenchmarkAddRange(b *testing.B) {
	b.ReportAllocs()
	var s Set
	for b.Loop() {
		s.AddRange(1000, tenMillion)
		s.Truncate(500)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	b.ReportAllocs()
	var s, status Set
	addEvery(&s, 2, tenMillion)
	for b.Loop() {
		status = s.Snapshot()
	}
	_ = status
}

func BenchmarkRead(b *testing.B) {
	var s Set
	addEvery(&s, 2, tenMillion)
	other := s.Snapshot()
	other.Remove(0)
	other.Add(0)
	reads := []struct {
		name string
		read func(i int)
	}{
		{name: "Contains in the window", read: func(int) { s.Contains(tenMillion - 10) }},
		{name: "Contains", read: func(i int) { s.Contains(i) }},
		{name: "Len", read: func(int) { s.Len() }},
		{name: "Min", read: func(int) { s.Min() }},
		{name: "Max", read: func(int) { s.Max() }},
		{name: "Next", read: func(i int) { s.Next(i) }},
		{name: "CountBelow", read: func(i int) { s.CountBelow(i) }},
		{name: "Summary", read: func(int) { s.Summary(50) }},
	}
	for _, read := range reads {
		b.Run(read.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				read.read(i * 7_368_787 % tenMillion)
			}
		})
	}
	b.Run("Equal, a million intervals", func(b *testing.B) {
		s, other := s.Snapshot(), other.Snapshot()
		s.Truncate(2_000_000)
		other.Truncate(2_000_000)
		for b.Loop() {
			if !s.Equal(other) {
				b.Fatal("not equal")
			}
		}
	})
}

func BenchmarkText(b *testing.B) {
	var s Set
	addEvery(&s, 2, 2_000_000)
	text := s.String()
	b.Run("String of a million intervals", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			_ = s.String()
		}
	})
	b.Run("Parse a million intervals", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := Parse(text, -1); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("String of 10M in a run", func(b *testing.B) {
		var s Set
		s.AddRange(0, tenMillion-1)
		for b.Loop() {
			_ = s.String()
		}
	})
}
