package cron_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
)

func backup(context.Context, batch.Attempt) error { return nil }

// The nightly backup that does not overlap: if one takes longer than a day, the next
// starts when it has ended.
func Example() {
	jobs, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	c, err := cron.New(jobs, cron.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	status, err := c.Apply(ctx, cron.CronJob{
		Name: "backup", Schedule: "30 2 * * 1-5", TimeZone: "Europe/Berlin",
		ConcurrencyPolicy: cron.Forbid,
		Job:               batch.Job{BackoffLimit: new(2), Executor: batch.ExecutorFunc(backup)},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.Name, len(status.Next))
	if err := c.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	if err := jobs.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: backup 5
}

func ExampleValidationError() {
	jobs, _ := batch.New(context.Background(), batch.Options{})
	c, _ := cron.New(jobs, cron.Options{})
	ctx := context.Background()
	err := c.Create(ctx, cron.CronJob{
		Name: "report", Schedule: "0 24 * * *", TimeZone: "Mars/Base",
		StartingDeadline: new(time.Duration(0)),
		Job:              batch.Job{Executor: batch.ExecutorFunc(backup)},
	})
	fmt.Println(strings.NewReplacer("; ", "\n", ": end", ":\nend").Replace(err.Error()))
	fmt.Println(c.Shutdown(ctx), jobs.Shutdown(ctx))
	// Output:
	// cron: CronJob "report" is invalid: spec.schedule: Invalid value: "0 24 * * *":
	// end of range (24) above maximum (23): 24
	// spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base
	// spec.startingDeadlineSeconds: Invalid value: 0: must be positive: with a deadline of 0 nothing would ever be started
	// <nil> <nil>
}

func ExampleScheduledTime() {
	report := batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		day, ok := cron.ScheduledTime(ctx)
		if !ok {
			day = time.Now() // started by hand
		}
		fmt.Println("report of", day.Format(time.DateOnly))
		return nil
	})
	_ = cron.CronJob{Name: "report", Schedule: "@daily", Job: batch.Job{Executor: report}}
	// Output:
}

// The backup of each night, also of those in which the clock is put forward or back.
func ExampleCronJob_Times() {
	backup := cron.CronJob{Name: "backup", Schedule: "30 2 * * *", TimeZone: "Europe/Berlin", EachTimeOnce: true}
	for _, noon := range []string{"2026-03-27T12:00:00Z", "2026-10-23T12:00:00Z"} {
		after, _ := time.Parse(time.RFC3339, noon)
		times, err := backup.Times(after)
		if err != nil {
			log.Fatal(err)
		}
		nights := 0
		for at := range times {
			fmt.Println(at.Format("Mon 2 Jan 15:04 MST"))
			if nights++; nights == 3 {
				break
			}
		}
	}
	// Output:
	// Sat 28 Mar 02:30 CET
	// Sun 29 Mar 03:00 CEST
	// Mon 30 Mar 02:30 CEST
	// Sat 24 Oct 02:30 CEST
	// Sun 25 Oct 02:30 CEST
	// Mon 26 Oct 02:30 CET
}

func ExampleController_Trigger() {
	jobs, _ := batch.New(context.Background(), batch.Options{})
	c, _ := cron.New(jobs, cron.Options{})
	ctx := context.Background()
	_ = c.Create(ctx, cron.CronJob{
		Name: "backup", Schedule: "@daily", Job: batch.Job{Executor: batch.ExecutorFunc(backup)},
	})
	if err := c.Trigger(ctx, "backup", "before-the-upgrade"); err != nil {
		log.Fatal(err)
	}
	status, err := jobs.Wait(ctx, "before-the-upgrade")
	fmt.Println(status.State(), err)
	fmt.Println(c.Shutdown(ctx), jobs.Shutdown(ctx))
	// Output:
	// Complete <nil>
	// <nil> <nil>
}

// A test of a month of nights takes milliseconds, in virtual time. This backup comes
// once each night, also when Berlin puts its clocks forward, as there is no half past
// two, and when it puts them back, as there are two.
func TestBerlinBackup(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, noon := range []time.Time{time.Date(2026, 3, 10, 12, 0, 0, 0, berlin),
		time.Date(2026, 10, 10, 12, 0, 0, 0, berlin)} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(noon))
			nights := nightsUntil(t, noon.AddDate(0, 0, 31))
			if len(nights) != 31 {
				t.Fatalf("the backup has run %d times", len(nights))
			}
			for i, night := range nights {
				day := noon.AddDate(0, 0, i+1)
				got, want := night.In(berlin).Format(time.DateTime), day.Format(time.DateOnly)+" 02:30:00"
				switch day.Format("2 January") {
				case "29 March": // the first instant after the gap
					got, want = night.UTC().Format(time.DateTime), "2026-03-29 01:00:00"
				case "25 October": // the first of two
					got, want = night.UTC().Format(time.DateTime), "2026-10-25 00:30:00"
				}
				if got != want {
					t.Errorf("a backup is at %s, and should be at %s", got, want)
				}
			}
		})
	}
}

// nightsUntil runs the backup and returns for which times.
func nightsUntil(t *testing.T, until time.Time) (nights []time.Time) {
	jobs, err := batch.New(t.Context(), batch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := cron.New(jobs, cron.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Create(t.Context(), cron.CronJob{
		Name: "backup", Schedule: "30 2 * * *", TimeZone: "Europe/Berlin", EachTimeOnce: true,
		Job: batch.Job{Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			at, _ := cron.ScheduledTime(ctx)
			nights = append(nights, at)
			return nil
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(until))
	if err := c.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := jobs.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return nights
}
