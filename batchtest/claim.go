package batchtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/runtocompletion/batch"
)

// claimCases are about who may use a store. Those that need a [batch.Claimer] require
// nothing of other stores, which a controller claims by a record.
var claimCases = []storeCase{
	{"one controller at a time has a store", checkOneController},
	{"a controller waits for the store", checkStandby},
	{"a claim is refused while another one is held", ofClaimers(checkSecondClaim)},
	{"a claim that waits gets the store when it is free", ofClaimers(checkWaitingClaim)},
	{"a claim stops waiting when its context ends", ofClaimers(checkClaimContext)},
	{"a claim that was released commits nothing", ofClaimers(checkReleasedClaim)},
	{"a store that is opened twice has one claim", ofClaimers(checkClaimOfBoth)},
}

// claimTime is how long a claim that is free may take. It is long, as a machine may be
// slow; a claim that works does not take it.
const claimTime = time.Minute

type claimCheck func(s *storeUnderTest, store batch.Claimer) error

func ofClaimers(check claimCheck) func(s *storeUnderTest) error {
	return func(s *storeUnderTest) error {
		claimer, ok := s.Store.(batch.Claimer)
		if !ok {
			return nil
		}
		return check(s, claimer)
	}
}

func checkOneController(s *storeUnderTest) error {
	first, err := batch.New(s.ctx, batch.Options{Store: s.Store})
	if err != nil {
		return fmt.Errorf("a controller of an empty store: %w", err)
	}
	second, err := batch.New(s.ctx, batch.Options{Store: s.Store})
	if !errors.Is(err, batch.ErrStoreInUse) {
		if err == nil {
			err = errors.Join(errors.New("it works as well"), second.Shutdown(s.ctx))
		}
		err = fmt.Errorf("the second of two controllers must be refused with ErrStoreInUse: %w", err)
		return errors.Join(err, first.Shutdown(s.ctx))
	}
	for range 2 {
		if err := first.Shutdown(s.ctx); err != nil {
			return fmt.Errorf("shutdown: %w", err)
		}
	}
	third, err := batch.New(s.ctx, batch.Options{Store: s.Store})
	if err != nil {
		return fmt.Errorf("a controller after the shutdown of the one before: %w", err)
	}
	return third.Shutdown(s.ctx)
}

func checkStandby(s *storeUnderTest) error {
	ctx, cancel := context.WithTimeout(s.ctx, claimTime)
	defer cancel()
	first, err := batch.New(ctx, batch.Options{Store: s.Store})
	if err != nil {
		return fmt.Errorf("a controller of an empty store: %w", err)
	}
	job := batch.Job{Name: "job", Suspend: true, Executor: batch.ExecutorFunc(succeeds)}
	if err := first.Create(ctx, job); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	second, err := batch.New(ctx, batch.Options{Store: s.Store, Standby: true})
	if err != nil {
		return fmt.Errorf("a controller that is a standby: %w", err)
	}
	if err := checkShown(ctx, second); err != nil {
		return err
	}
	if err := first.Shutdown(ctx); err != nil {
		return fmt.Errorf("shutdown: %w", err)
	}
	if err := second.Claimed(ctx); err != nil {
		return fmt.Errorf("after the shutdown of the one that worked the standby must work: %w", err)
	}
	if _, err := second.Get("job"); err != nil {
		return fmt.Errorf("the job of the one that worked before: %w", err)
	}
	return second.Shutdown(ctx)
}

func checkShown(ctx context.Context, standby *batch.Controller) error {
	status, err := standby.Get("job")
	switch {
	case err == nil && !status.Suspend:
		return fmt.Errorf("a standby shows %v, which is suspended", status)
	case err != nil && !errors.Is(err, batch.ErrStoreInUse):
		return fmt.Errorf("a standby finds a job that is stored, or says that the store is in use, but not: %w", err)
	}
	if err := standby.Resume(ctx, "job"); !errors.Is(err, batch.ErrStoreInUse) {
		return fmt.Errorf("a standby must refuse a change with ErrStoreInUse, and not with %v", err)
	}
	return nil
}

func succeeds(context.Context, batch.Attempt) error { return nil }

func checkSecondClaim(s *storeUnderTest, store batch.Claimer) error {
	for range 3 {
		_, release, err := store.Claim(s.ctx, nil)
		if err != nil {
			return fmt.Errorf("claim of a store that is free: %w", err)
		}
		if _, _, err := store.Claim(s.ctx, nil); !errors.Is(err, batch.ErrStoreInUse) {
			return fmt.Errorf("a second claim must be refused with ErrStoreInUse, and not with %v", err)
		}
		release()
	}
	return nil
}

func checkWaitingClaim(s *storeUnderTest, store batch.Claimer) error {
	_, release, err := store.Claim(s.ctx, nil)
	if err != nil {
		return fmt.Errorf("claim of a store that is free: %w", err)
	}
	ctx, cancel := context.WithTimeout(s.ctx, claimTime)
	defer cancel()
	holders := make(chan string, 100)
	held, releaseNext, err := store.Claim(ctx, func(holder string) {
		select {
		case holders <- holder:
		default:
		}
		if len(holders) == 1 {
			release()
		}
	})
	if err != nil {
		return fmt.Errorf("a claim that waits for a store which has become free: %w", err)
	}
	defer releaseNext()
	if holder := <-holders; holder == "" {
		return errors.New("a claim that waits must call wait with the name of who has the store, and not with an empty one")
	}
	record := put("job", "key", "value")
	if err := store.Commit(held, []batch.Record{record}); err != nil {
		return fmt.Errorf("commit of the claim that has waited: %w", err)
	}
	s.want.apply([]batch.Record{record})
	return s.check()
}

func checkClaimContext(s *storeUnderTest, store batch.Claimer) error {
	_, release, err := store.Claim(s.ctx, nil)
	if err != nil {
		return fmt.Errorf("claim of a store that is free: %w", err)
	}
	defer release()
	ctx, cancel := context.WithCancel(s.ctx)
	if _, _, err = store.Claim(ctx, func(string) { cancel() }); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("a claim that waits must return the error of its context, and not %v", err)
	}
	return nil
}

func checkReleasedClaim(s *storeUnderTest, store batch.Claimer) error {
	first, release, err := store.Claim(s.ctx, nil)
	if err != nil {
		return fmt.Errorf("claim of a store that is free: %w", err)
	}
	if err := store.Commit(first, []batch.Record{put("job", "key", "first")}); err != nil {
		return fmt.Errorf("commit of a claim: %w", err)
	}
	release()
	second, release, err := store.Claim(s.ctx, nil)
	if err != nil {
		return fmt.Errorf("claim of a store that was released: %w", err)
	}
	defer release()
	for _, records := range [][]batch.Record{{put("job", "key", "late")}, {remove("job", "key")}, nil} {
		if err := store.Commit(first, records); !errors.Is(err, batch.ErrStoreInUse) && first.Err() == nil {
			const text = "a commit of %d records by a claim that was released must fail with ErrStoreInUse, and not with %v"
			return fmt.Errorf(text, len(records), err)
		}
	}
	if err := store.Commit(second, []batch.Record{put("job", "other", "second")}); err != nil {
		return fmt.Errorf("commit of the second claim: %w", err)
	}
	s.want.apply([]batch.Record{put("job", "key", "first"), put("job", "other", "second")})
	return s.check()
}

// checkClaimOfBoth opens the store a second time, if what is in it outlasts a close.
func checkClaimOfBoth(s *storeUnderTest, store batch.Claimer) error {
	if _, ok := s.Store.(io.Closer); !ok {
		return nil
	}
	_, release, err := store.Claim(s.ctx, nil)
	if err != nil {
		return fmt.Errorf("claim of a store that is free: %w", err)
	}
	defer release()
	other, err := s.open()
	if err != nil {
		if !errors.Is(err, batch.ErrStoreInUse) {
			return fmt.Errorf("a store that cannot be opened twice must say ErrStoreInUse, and not: %w", err)
		}
		return nil
	}
	second := &storeUnderTest{Store: other, ctx: s.ctx}
	if _, _, err := other.(batch.Claimer).Claim(s.ctx, nil); !errors.Is(err, batch.ErrStoreInUse) {
		const text = "a claim that another opening of the store holds must be refused with ErrStoreInUse, and not with %v"
		err = fmt.Errorf(text, err)
		return errors.Join(err, second.close())
	}
	return second.close()
}
