package batch_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A brokenStore refuses commits while broken is set.
type brokenStore struct {
	batchtest.MemoryStore
	broken atomic.Bool
}

var errBroken = errors.New("disk full")

func (s *brokenStore) Commit(ctx context.Context, records []batch.Record) error {
	if s.broken.Load() {
		return errBroken
	}
	return s.MemoryStore.Commit(ctx, records)
}

func collectRecords(all iter.Seq2[string, []byte]) (texts []string) {
	for key, value := range all {
		texts = append(texts, key+"="+string(value))
	}
	return texts
}

func TestRecords_OutliveTheirController(t *testing.T) {
	var store batchtest.MemoryStore
	c, err := batch.New(t.Context(), batch.Options{Store: &store})
	require.NoError(t, err)
	require.NoError(t, c.SaveRecord(t.Context(), "cron/b", []byte("2")))
	require.NoError(t, c.SaveRecord(t.Context(), "cron/a", []byte("1")))
	require.NoError(t, c.SaveRecord(t.Context(), "cron/empty", []byte{}))
	require.NoError(t, c.SaveRecord(t.Context(), "cron/gone", []byte("x")))
	require.NoError(t, c.SaveRecord(t.Context(), "cron/gone", nil))
	require.NoError(t, c.SaveRecord(t.Context(), "other/a", []byte("3")))
	require.NoError(t, c.Shutdown(t.Context()))
	require.ErrorIs(t, c.SaveRecord(t.Context(), "cron/late", []byte("4")), batch.ErrShutdown)

	c, err = batch.New(t.Context(), batch.Options{Store: &store})
	require.NoError(t, err)
	require.Equal(t, []string{"cron/a=1", "cron/b=2", "cron/empty="}, collectRecords(c.Records("cron/")))
	require.Equal(t, []string{"other/a=3"}, collectRecords(c.Records("other/")))
	require.NoError(t, c.Shutdown(t.Context()))
}

func TestRecords_AreCopies(t *testing.T) {
	c, err := batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	value := []byte("old")
	require.NoError(t, c.SaveRecord(t.Context(), "k", value))
	copy(value, "NEW")
	for _, seen := range c.Records("") {
		copy(seen, "NEW")
	}
	require.Equal(t, []string{"k=old"}, collectRecords(c.Records("")))
	require.NoError(t, c.Shutdown(t.Context()))
}

func TestSaveRecord_KeepsTheOldValueWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(brokenStore)
		c, err := batch.New(t.Context(), batch.Options{Store: store})
		require.NoError(t, err)
		require.NoError(t, c.SaveRecord(t.Context(), "k", []byte("old")))
		store.broken.Store(true)
		isStoreError := errors.Is(c.SaveRecord(t.Context(), "k", []byte("new")), batch.ErrStore)
		require.True(t, isStoreError)
		require.Equal(t, []string{"k=old"}, collectRecords(c.Records("")))
		store.broken.Store(false)
		require.NoError(t, c.Shutdown(t.Context()))

		c, err = batch.New(t.Context(), batch.Options{Store: store})
		require.NoError(t, err)
		require.Equal(t, []string{"k=old"}, collectRecords(c.Records("")))
		require.NoError(t, c.Shutdown(t.Context()))
	})
}

func TestSaveRecord_RefusesBadKeys(t *testing.T) {
	c, err := batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	require.NoError(t, c.SaveRecord(t.Context(), strings.Repeat("k", 90), []byte("x")))
	for _, key := range []string{"", strings.Repeat("k", 91)} {
		require.ErrorContains(t, c.SaveRecord(t.Context(), key, []byte("x")), "must have 1 to 90 bytes")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.SaveRecord(ctx, "k", nil), context.Canceled)
	require.NoError(t, c.Shutdown(t.Context()))
}

func ExampleController_SaveRecord() {
	var store batchtest.MemoryStore
	c, err := batch.New(context.Background(), batch.Options{Store: &store})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := c.SaveRecord(ctx, "quota/alice", []byte("12")); err != nil {
		log.Fatal(err)
	}
	if err := c.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}

	c, err = batch.New(context.Background(), batch.Options{Store: &store}) // the next process
	if err != nil {
		log.Fatal(err)
	}
	for key, value := range c.Records("quota/") {
		fmt.Printf("%s: %s\n", key, value)
	}
	// Output: quota/alice: 12
}
