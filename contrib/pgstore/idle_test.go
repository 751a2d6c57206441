package pgstore_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/pgstore"
)

// A queryCount counts what is asked.
type queryCount struct{ n atomic.Int64 }

func (q *queryCount) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	q.n.Add(1)
	return ctx
}

func (q *queryCount) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// Nobody asks the server more often than the lease makes necessary: an idle process
// that works renews it at most four times in it, and one that waits looks when it is to
// end, which are two queries.
func TestIdleProcessesAskSeldom(t *testing.T) {
	const lease = 5 * time.Second
	var working, waiting queryCount
	for _, count := range []*queryCount{&working, &waiting} {
		config, err := pgxpool.ParseConfig(server.URL())
		require.NoError(t, err)
		config.ConnConfig.Tracer = count
		s := open(t, connectBy(t, config), pgstore.Options{Lease: lease})
		c, err := batch.New(t.Context(), batch.Options{Store: s, Standby: true})
		require.NoError(t, err)
		defer shutOnSlowMachine(t, c)
	}
	time.Sleep(lease / 5) // for what they do at first
	worked, waited, start := working.n.Load(), waiting.n.Load(), time.Now()
	time.Sleep(lease)
	worked, waited = working.n.Load()-worked, waiting.n.Load()-waited
	passed := int64(time.Since(start)/lease) + 1
	t.Logf("in %d leases, %d queries by the one that works, %d by the other", passed, worked, waited)
	require.LessOrEqual(t, worked, 4*passed)
	require.LessOrEqual(t, waited, 4*passed)
	require.Positive(t, worked+waited)
}
