package pgstore

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/runtocompletion/batch"
)

// Commit applies the records in order, all of them or none, in one transaction and one
// round trip, and returns when they are durable. With the context of a claim it renews
// the lease, and is refused with [batch.ErrStoreInUse] if another process has claimed
// the store since; without one it is refused while any process has a claim. Otherwise
// the error is the database's, or the cause of ctx: then the records may be there, as a
// whole, or not at all.
func (s *Store) Commit(ctx context.Context, records []batch.Record) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ch := changesOf(records)
	c, _ := ctx.Value(claimKey{s}).(*claim)
	if c != nil {
		return c.commit(ctx, ch)
	}
	// There is nothing that could keep off a commit that comes late, so it is waited for.
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	defer cancel()
	return s.commit(whole, s.pool, &fence{}, nil, ch)
}

// longest is how long a commit without a claim may take.
const longest = 10 * time.Second

// A fence tells a commit from those of others, and from later ones. The zero fence is
// that of nobody.
type fence struct{ token, number int64 }

// commit makes changes; channel may be nil.
func (s *Store) commit(ctx context.Context, db querier, f *fence, channel *string, ch *changes) error {
	done, err := s.call(ctx, db, s.name, f, channel, ch)
	switch {
	case err != nil:
		return s.error(ctx, "commit to", err)
	case !done:
		return s.inUse(ctx, db)
	}
	return nil
}

// call calls the function commit. It reports false if the fence is not the latest.
func (s *Store) call(ctx context.Context, db querier, name string, f *fence, channel *string, ch *changes) (
	done bool, err error) {
	var token *int64
	if f.token > 0 {
		token = &f.token
	}
	err = db.QueryRow(ctx, s.sql("SELECT {schema}.commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"),
		name, token, f.number, s.lease, channel, ch.gone, ch.oldJobs, ch.oldKeys, ch.newJobs, ch.newKeys, ch.newValues,
		ch.storedIDs, ch.storedJobs).Scan(&done)
	return done, err
}

// Changes are what records come to, in the order: jobs that go, records that go, and
// records that are written. No record is in two of them.
type changes struct {
	gone                        [][]byte
	oldJobs, oldKeys            [][]byte
	newJobs, newKeys, newValues [][]byte
	storedIDs                   []int64 // of jobs that CreateTx has left, and that are stored now
	storedJobs                  [][]byte
}

type place struct{ job, key string }

func changesOf(records []batch.Record) *changes {
	c := &changes{gone: [][]byte{}, storedIDs: []int64{}, storedJobs: [][]byte{}}
	last, gone := make(map[place]int, len(records)), make(map[string]int)
	for i, r := range records {
		if r.Value == nil && r.Key == "" {
			gone[r.Job] = i
			continue
		}
		last[place{r.Job, r.Key}] = i
	}
	for job := range gone {
		c.gone = append(c.gone, []byte(job))
	}
	for i, r := range records {
		removed, isGone := gone[r.Job]
		if last[place{r.Job, r.Key}] != i || r.Value == nil && r.Key == "" || isGone && i < removed {
			continue
		}
		c.add(r, isGone)
	}
	return c
}

// add adds what becomes of one record, whose job may be gone before.
func (c *changes) add(r batch.Record, isGone bool) {
	switch {
	case r.Value != nil:
		c.newJobs, c.newKeys = append(c.newJobs, []byte(r.Job)), append(c.newKeys, []byte(r.Key))
		c.newValues = append(c.newValues, r.Value)
		if id, ok := createdID(r); ok {
			c.storedIDs, c.storedJobs = append(c.storedIDs, id), append(c.storedJobs, []byte(r.Job))
		}
	case !isGone:
		c.oldJobs, c.oldKeys = append(c.oldJobs, []byte(r.Job)), append(c.oldKeys, []byte(r.Key))
	}
}

// createdAnnotation is that of a job which CreateTx has left: the number of its row.
const createdAnnotation = "pgstore.created"

// createdID returns the number of the row that a job was made of, if its record is that
// of a new one. The record says so in its annotations.
func createdID(r batch.Record) (id int64, ok bool) {
	if r.Key != "job" || !bytes.Contains(r.Value, []byte(createdAnnotation)) {
		return 0, false
	}
	var job struct {
		Spec struct{ Annotations map[string]string }
	}
	if json.Unmarshal(r.Value, &job) != nil {
		return 0, false
	}
	id, err := strconv.ParseInt(job.Spec.Annotations[createdAnnotation], 10, 64)
	return id, err == nil
}

// tellTime is how long changes wait until those who look on are told of them, so that
// a busy process does not keep others busy.
const tellTime = time.Second
