package alarm

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A recorder notes what rings, and when.
type recorder struct {
	start time.Time
	rings []string
}

func (r *recorder) now() int64 { return int64(time.Since(r.start)) }

func (r *recorder) ring(name string) {
	r.rings = append(r.rings, name+"@"+time.Since(r.start).String())
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
				if !slices.Equal(r.rings, test.want) {
					t.Errorf("rang %v, want %v", r.rings, test.want)
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
			if len(r.rings) < 3 {
				a.Set(e, r.now()+int64(time.Second))
			}
		})
		a.Set(e, int64(time.Second))
		time.Sleep(time.Minute)
		if want := []string{"again@1s", "again@2s", "again@3s"}; !slices.Equal(r.rings, want) {
			t.Errorf("rang %v, want %v", r.rings, want)
		}
	})
}
