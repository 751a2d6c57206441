package logtail

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// collect returns what a follower is given until its end.
func collect(ctx context.Context, l *Log, tail int) (lines []Line, err error) {
	for line, e := range l.Follow(ctx, tail) {
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		lines = append(lines, line)
	}
	return lines, err
}

func TestFollow(t *testing.T) {
	tests := map[string]struct {
		tail int
		want []string
	}{
		"all":         {tail: -1, want: []string{"a", "!b", "c", "d", "e"}},
		"only new":    {tail: 0, want: []string{"c", "d", "e"}},
		"a tail":      {tail: 1, want: []string{"!b", "c", "d", "e"}},
		"a long tail": {tail: 10, want: []string{"a", "!b", "c", "d", "e"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l Log
				write(t, &l, "a\n!b\nc")
				var got []Line
				go func() {
					lines, err := collect(t.Context(), &l, test.tail)
					require.NoError(t, err)
					got = lines
				}()
				synctest.Wait()
				time.Sleep(time.Hour)
				write(t, &l, "\nd\n")
				synctest.Wait()
				write(t, &l, "e")
				l.Close()
				synctest.Wait()
				require.Equal(t, test.want, format(got))
			})
		})
	}
}

func TestFollowClosedLog(t *testing.T) {
	l := New(0)
	write(t, l, strings.Repeat("line\n", 3*batchSize))
	l.Close()
	lines, err := collect(t.Context(), l, -1)
	require.NoError(t, err)
	require.Equal(t, l.Lines(-1), lines)
	lines, err = collect(t.Context(), l, 0)
	require.NoError(t, err)
	require.Empty(t, lines)
}

func TestFollowContext(t *testing.T) {
	cause := errors.New("enough")
	t.Run("done while waiting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, cause)
			defer cancel()
			start := time.Now()
			l := New(0)
			write(t, l, "a\n")
			lines, err := collect(ctx, l, -1)
			require.Equal(t, []string{"a"}, format(lines))
			require.Equal(t, errors.Join(cause), err, "once")
			require.Equal(t, time.Minute, time.Since(start))
		})
	})
	t.Run("done before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		l := New(0)
		write(t, l, "a\n")
		lines, err := collect(ctx, l, -1)
		require.Empty(t, lines)
		require.Equal(t, errors.Join(context.Canceled), err)
	})
	t.Run("done by the loop", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		l := New(0)
		write(t, l, "a\nb\n")
		n := 0
		for line, err := range l.Follow(ctx, -1) {
			if n++; n == 1 {
				require.Equal(t, "a", line.Text)
				cancel(cause)
				continue
			}
			require.Equal(t, cause, err)
			require.Zero(t, line)
		}
		require.Equal(t, 2, n)
	})
}

func TestFollowReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Log
		write(t, &l, "a\n")
		ended := false
		go func() {
			lines, err := collect(t.Context(), &l, -1)
			require.NoError(t, err)
			require.Equal(t, []string{"a"}, format(lines))
			ended = true
		}()
		synctest.Wait()
		l.Reset(0)
		write(t, &l, "of the next attempt\n")
		synctest.Wait()
		require.True(t, ended)
	})
}

func TestFollowBreak(t *testing.T) {
	l := New(0)
	write(t, l, "a\nb\n")
	for range 2 { // a loop can be repeated
		for line, err := range l.Follow(t.Context(), -1) {
			require.NoError(t, err)
			require.Equal(t, "a", line.Text)
			break
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Nil(t, l.wake)
}

func TestFollowOfAll(t *testing.T) {
	l := New(2 * (LineCost + 1))
	write(t, l, "a\nb\nc\n")
	l.Close()
	lines, err := collect(t.Context(), l, -1)
	require.NoError(t, err)
	require.Equal(t, []string{"1 lost, b", "c"}, format(lines))
}

func TestSlowFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total = 10_000
		l := New(100 * (LineCost + 6))
		go func() {
			defer l.Close()
			for n := range total {
				write(t, l, fmt.Sprintf("%06d\n", n))
				time.Sleep(time.Millisecond)
			}
		}()
		next, gaps := 0, 0
		for line, err := range l.Follow(t.Context(), -1) {
			require.NoError(t, err)
			next += line.Dropped
			require.Equal(t, fmt.Sprintf("%06d", next), line.Text)
			next++
			if line.Dropped > 0 {
				gaps++
			}
			time.Sleep(100 * time.Millisecond)
		}
		require.Equal(t, total, next, "the newest are never dropped")
		require.Greater(t, gaps, 1)
		require.Less(t, gaps, total/100)
	})
}

func TestFollowLogThatKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(-1)
		done := false
		go func() {
			lines, err := collect(t.Context(), l, -1)
			require.NoError(t, err)
			require.Empty(t, lines)
			done = true
		}()
		synctest.Wait()
		write(t, l, "a\nb\n")
		synctest.Wait()
		require.False(t, done)
		l.Close()
		synctest.Wait()
		require.True(t, done)
		lines, bytes := l.Dropped()
		require.EqualValues(t, 2, lines)
		require.EqualValues(t, 2, bytes)
	})
}

// Many writers and followers, of whom some give up, and readers.
func TestManyFollowers(t *testing.T) {
	const writers, each = 4, 1000
	l := New(4 << 10)
	var writing, following sync.WaitGroup
	for i := range 8 {
		following.Go(func() {
			seen := 0
			last := make([]int, writers)
			for line, err := range l.Follow(t.Context(), -1) {
				require.NoError(t, err)
				seen += 1 + line.Dropped
				var w, n int
				_, err = fmt.Sscanf(line.Text, "%d %d", &w, &n)
				require.NoError(t, err)
				require.Greater(t, n, last[w])
				last[w] = n
				if i%2 == 1 && seen > i*100 {
					return
				}
			}
			require.Equal(t, writers*each, seen)
		})
	}
	following.Go(func() {
		for range 200 {
			l.Dropped()
			_ = l.Lines(3)
		}
	})
	for i := range writers {
		w := l.Writer(Stream(i % numStreams))
		writing.Go(func() {
			for n := range each {
				_, _ = fmt.Fprintf(w, "%d %d\n", i, n+1)
			}
		})
	}
	writing.Wait()
	l.Close()
	following.Wait()
}

func BenchmarkFollow(b *testing.B) {
	l := New(0)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range l.Follow(context.Background(), -1) {
		}
	})
	w := l.Writer(Stdout)
	p := []byte(strings.Repeat("x", 99) + "\n")
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = w.Write(p)
	}
	l.Close()
	wg.Wait()
}
