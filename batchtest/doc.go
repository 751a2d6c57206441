// Package batchtest provides what the tests of a service need that runs jobs
// with package batch: executors that do as they are told, a recorder of what
// was executed, and assertions whose failures can be read.
//
// # Scripts
//
// A [Script] is an executor that says what each attempt does. It reads as the
// story that a test case tells:
//
//	batchtest.Script{
//		batchtest.Exit(3).Times(2),                                       // two failures,
//		batchtest.Do(batchtest.Take(time.Hour), batchtest.Panic("disk")), // one after an hour,
//		batchtest.Succeed(),                                              // and all is well
//	}
//
// A [Step] ends the attempt ([Succeed], [Fail], [Exit], [Panic], [Goexit],
// [Disrupted]), lets it wait ([Take], [Until], [Hang], [Pending]) or lets it
// say something ([Stdout], [Stderr], [Output], [Progress], [Condition]). [Do]
// makes one step of several, [IgnoreCancel] takes the context's end away from
// steps, and [Call] makes a step of any function. [ByIndex] has a script for
// each index. [Func] gives a script the shape of a function that a service
// calls in an executor of its own.
//
// # Recorders and assertions
//
// [Record] wraps any executor and remembers every execution. The functions
// named Want compare what was found with a small table that shows only what
// the case is about; see [WantAttempts].
//
// # Stores
//
// [TestStore] is the suite that every [batch.Store] must pass.
//
// # Virtual time
//
// Everything here works in the bubbles of package testing/synctest, where six
// retries of ten minutes take a millisecond, and every duration can be
// asserted to the nanosecond:
//
//	synctest.Test(t, func(t *testing.T) {
//		start := time.Now()
//		status, err := batchtest.Run(t, batch.Job{
//			Name:     "report",
//			Executor: batchtest.Script{batchtest.Exit(3), batchtest.Succeed()},
//		})
//		require.NoError(t, err)
//		batchtest.WantComplete(t, status)
//		require.Equal(t, 10*time.Second, time.Since(start)) // one retry delay
//	})
package batchtest
