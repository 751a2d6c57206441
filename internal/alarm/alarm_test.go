package alarm

import (
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A recorder notes what rings, and when.
type recorder struct {
	start time.Time

	mu    sync.Mutex // guards rings
	rings []string
}

func (r *recorder) now() int64 { return int64(time.Since(r.start)) }

func (r *recorder) ring(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rings = append(r.rings, name+"@"+time.Since(r.start).String())
}

func (r *recorder) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.rings)
}

func TestRing(t *testing.T) {
	tests := map[string]struct {
		set  func(a *Alarm[string], x, y *Entry[string])
		want []string
	}{
		"in order of time": {
			set: func(a *Alarm[string], x, y *Entry[string]) {
				a.Set(x, int64(2*time.Second))
				a.Set(y, int64(time.Second))
			},
			want: []string{"y@1s", "x@2s"},
		},
		"at once if the time has passed": {
			set:  func(a *Alarm[string], x, _ *Entry[string]) { a.Set(x, -5) },
			want: []string{"x@0s"},
		},
		"only at the last time set": {
			set: func(a *Alarm[string], x, _ *Entry[string]) {
				a.Set(x, int64(time.Second))
				a.Set(x, int64(time.Minute))
			},
			want: []string{"x@1m0s"},
		},
		"not once it is set to never": {
			set: func(a *Alarm[string], x, y *Entry[string]) {
				a.Set(x, int64(time.Second))
				a.Set(y, int64(time.Second))
				a.Set(x, math.MaxInt64)
			},
			want: []string{"y@1s"},
		},
		"not after Stop": {
			set: func(a *Alarm[string], x, y *Entry[string]) {
				a.Set(x, int64(time.Second))
				a.Stop()
				a.Set(y, int64(time.Second))
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{start: time.Now()}
				test.set(New(r.now, r.ring), &Entry[string]{Item: "x"}, &Entry[string]{Item: "y"})
				time.Sleep(time.Hour)
				if got := r.heard(); !slices.Equal(got, test.want) {
					t.Errorf("rang %v, want %v", got, test.want)
				}
			})
		})
	}
}

func TestSetWhileRinging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{start: time.Now()}
		e := &Entry[string]{Item: "again"}
		var a *Alarm[string]
		a = New(r.now, func(name string) {
			r.ring(name)
			if len(r.heard()) < 3 {
				a.Set(e, r.now()+int64(time.Second))
			}
		})
		a.Set(e, int64(time.Second))
		time.Sleep(time.Minute)
		if got, want := r.heard(), []string{"again@1s", "again@2s", "again@3s"}; !slices.Equal(got, want) {
			t.Errorf("rang %v, want %v", got, want)
		}
	})
}
