package indexset

import (
	"runtime"
	"testing"
	"unsafe"
)

const tenMillion = 10_000_000

func TestSetIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Set{}); size > 96 {
		t.Errorf("a Set has %d bytes, want at most 96", size)
	}
}

func TestMemory(t *testing.T) {
	cases := map[string]struct {
		build func(*Set)
		limit uint64 // in bytes
	}{
		"empty":                {build: func(*Set) {}, limit: 512},
		"256 indexes in order": {build: func(s *Set) { addEvery(s, 1, 256) }, limit: 512},
		"run added in order":   {build: func(s *Set) { addEvery(s, 1, tenMillion) }, limit: 4 << 10},
		"run added at once":    {build: func(s *Set) { s.AddRange(0, tenMillion-1) }, limit: 4 << 10},
		"run with two holes": {
			build: func(s *Set) { s.AddRange(0, tenMillion-1); s.Remove(5_000_000); s.Remove(777_777) }, limit: 8 << 10,
		},
		"all indexes there are": {build: func(s *Set) { s.AddRange(0, MaxIndex) }, limit: 16 << 10},
		"the largest index":     {build: func(s *Set) { s.Add(MaxIndex) }, limit: 8 << 10},
		"run, removed in order": {build: func(s *Set) {
			s.AddRange(0, tenMillion-1)
			for i := range tenMillion {
				s.Remove(i)
			}
		}, limit: 512},
		"every other index": {build: func(s *Set) { addEvery(s, 2, tenMillion) }, limit: 2_500_000},
		"every thousandth":  {build: func(s *Set) { addEvery(s, 1000, tenMillion) }, limit: 2_500_000},
		"every other, then full": {build: func(s *Set) {
			addEvery(s, 2, tenMillion)
			for i := 1; i < tenMillion; i += 2 {
				s.Add(i)
			}
		}, limit: 4 << 10},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			used := heapOf(c.build)
			for try := 0; used > c.limit && try < 3; try++ { // the runtime allocates a bit now and then
				used = min(used, heapOf(c.build))
			}
			if used > c.limit {
				t.Errorf("uses %d bytes, want at most %d", used, c.limit)
			}
			t.Logf("%s: %d bytes", name, used)
		})
	}
}

func TestWritesInOrderDoNotAllocate(t *testing.T) {
	var status Set
	writes := map[string]func(s *Set, i int){
		"add":                     func(s *Set, i int) { s.Add(i) },
		"add, shuffled within 64": func(s *Set, i int) { s.Add(i ^ 37) },
		"add and snapshot":        func(s *Set, i int) { s.Add(i); status = s.Snapshot() },
		"add every other":         func(s *Set, i int) { s.Add(2 * i) },
		"remove":                  func(s *Set, i int) { s.Remove(i) },
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			var s Set
			if name == "remove" {
				s.AddRange(0, tenMillion)
			}
			next := 0
			if got := testing.AllocsPerRun(300_000, func() { write(&s, next); next++ }); got != 0 {
				t.Errorf("%v allocations per write, want 0", got)
			}
		})
	}
	_ = status
}

func TestReadsDoNotAllocate(t *testing.T) {
	var s Set
	addEvery(&s, 3, 100_000)
	reads := map[string]func(){
		"Snapshot":   func() { s.Snapshot() },
		"Contains":   func() { s.Contains(5000) },
		"Len":        func() { s.Len() },
		"Next":       func() { s.Next(5000) },
		"Max":        func() { s.Max() },
		"CountBelow": func() { s.CountBelow(5000) },
		"Equal":      func() { s.Equal(s) },
		"Intervals": func() {
			for range s.Intervals() {
				break
			}
		},
	}
	for name, read := range reads {
		if got := testing.AllocsPerRun(100, read); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

func addEvery(s *Set, step, end int) {
	for i := 0; i < end; i += step {
		s.Add(i)
	}
}

// heapOf returns how many bytes of heap a set takes that was built so.
func heapOf(build func(*Set)) uint64 {
	var s Set
	before := heap()
	build(&s)
	after := heap()
	runtime.KeepAlive(&s)
	return after - min(before, after)
}

// heap returns the bytes of reachable memory.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
