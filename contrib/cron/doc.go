// Package cron runs jobs on a schedule: Kubernetes CronJobs as a Go library.
//
// A [CronJob] says when, and has a [batch.Job] as the template of the jobs. A
// [Controller] creates them with a [batch.Controller], keeps the newest that have
// finished, and answers as the CronJob controller of Kubernetes does. With a
// [batch.Store], the last time that was started, suspension and jobs survive the
// process, and each time is started once: by one job, also if the process is killed
// between the job's creation and the record of it. An executor is not called before
// it is stored that its job was started.
//
//	c, err := cron.New(controller, cron.Options{})
//	_, err = c.Apply(ctx, cron.CronJob{
//		Name: "backup", Schedule: "30 2 * * *", TimeZone: "Europe/Berlin",
//		ConcurrencyPolicy: cron.Forbid, Job: batch.Job{Executor: backup},
//	})
//
// # Schedules
//
// A schedule has five fields: minute (0-59), hour (0-23), day of the month (1-31),
// month (1-12 or jan-dec), day of the week (0-6 or sun-sat, 0 is Sunday). A field is a
// list of *, N, A-B, each with a step, such as */5. If both fields for days are
// restricted, a day that matches either is taken. @hourly, @daily, @weekly, @monthly
// and @yearly are short for what they say; "@every 90s" comes 90 seconds after the
// last time, counted from the creation. The zone is the process's unless TimeZone
// names one; a program without a zone database imports time/tzdata.
//
// # What is started when
//
// A time is started if it is later than the last one that was. Of several that were
// missed, while the process was down, the CronJob was suspended, or a job under
// [Forbid] was active, only the most recent one is started, at once, unless it is as
// old as StartingDeadline. More than 100 missed times, as the distance of the first
// two tells, are reported. Jobs are named after the minute, and there is one of a name
// at a time: intervals below a minute start one job a minute, unless no history is
// kept. If the job's name belongs to another, nothing is started until something
// changes; [Status].Problem says so.
//
// Times are those of the clock on the wall. If that is set back, no time is started
// twice: nothing starts until it has passed the last time again. If it is put
// forward, or the machine slept, the most recent missed time is started within a
// minute, which is how often the clock is read at least.
//
// # Changes of local time
//
// A local time that does not exist is left out that day, one that comes twice starts
// twice, and patterns such as "*/10 * * * *" go on with the clock. EachTimeOnce lets
// fixed times come exactly once.
//
// # Where Kubernetes v1.37 has defects
//
// The answers are those of the recorded controller, except these:
//
//   - Changes of the clock by half an hour, minutes that a change leaves out, and days
//     that a zone leaves out: no time is lost, moved, or searched for without end.
//   - Of irregular schedules, too, the most recent missed time is found.
//   - A change of schedule or zone is looked at at once: a time of the new schedule
//     since the last start is a missed one.
//   - "@every" with a shorter StartingDeadline works: it counts from the last start.
//   - A StartingDeadline of centuries does not overflow.
//   - The end of a job is reported also if the history has no place for it.
//   - A StartingDeadline of zero, by which nothing would ever start, is an error.
//
// A schedule that never comes, such as "0 0 30 2 *", is accepted, and reported at
// once with the event InvalidSchedule and in [Status].Problem.
//
// # Restarts
//
// Executors are code and not stored: a CronJob found in the store starts nothing
// until [Controller.Apply] declares it again, with the jobs it has. What the store
// keeps of it is a few hundred bytes. A controller of CronJobs is to be shut down
// before its controller of jobs.
package cron
