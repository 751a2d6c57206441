package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/boltstore"
)

// newController returns a controller, with the store if there is to be one, and
// what ends both: if its context has ended, that stops what still runs, and waits
// for it.
func (o options) newController(logger *slog.Logger) (c *batch.Controller, end func(context.Context) error, err error) {
	if o.store == "" {
		c, err = batch.New(context.Background(), batch.Options{Logger: logger})
		return c, func(ctx context.Context) error { return c.Shutdown(ctx) }, err
	}
	store, err := boltstore.Open(o.store, boltstore.Options{})
	if err != nil {
		return nil, nil, err
	}
	c, err = batch.New(context.Background(), batch.Options{Logger: logger, Store: store})
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return c, func(ctx context.Context) error { return errors.Join(c.Shutdown(ctx), store.Close()) }, nil
}
