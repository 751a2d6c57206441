package batchtest

import (
	"context"
	"fmt"
	"slices"

	"github.com/runtocompletion/batch"
)

// StoreError runs one case of TestStore.
func StoreError(ctx context.Context, dir, name string, open func(dir string) (batch.Store, error)) error {
	for _, c := range slices.Concat(storeCases, claimCases) {
		if c.name == name {
			return runStoreCase(ctx, dir, open, c.check)
		}
	}
	panic(fmt.Sprintf("no case is called %q", name))
}
