// Package otel traces the jobs of a [batch.Controller] with OpenTelemetry, and
// measures them.
//
//	logs := otel.NewHandler(slog.Default().Handler())
//	c, err := batch.New(ctx, batch.Options{Logger: slog.New(logs)})
//	...
//	telemetry, err := otel.New(c, otel.Options{Handler: logs})
//	...
//	err = telemetry.Create(ctx, job) // or Apply
//	...
//	c.Shutdown(ctx)
//	telemetry.Shutdown(ctx)
//	provider.Shutdown(ctx)
//
// # Traces
//
// A job is a span batch.job, from its creation to its end. The span of the context
// that it was created with is its parent, also in the next process: the annotations
// traceparent and tracestate of the job say which one that is. A process that ends
// ends the span; the next one, with a [batch.Store], begins another one, with the
// attribute batch.job.resumed, beside it.
//
// Each execution of an executor is a span batch.attempt under that, and the context
// of the executor carries it, so that what the executor traces nests. A retry, and a
// restart in place, is linked to the execution that it repeats. Spans have the exit
// code, the outcome, the error and its stack if it was a panic. The output of
// attempts, as far as their history goes, are events of the job's span.
//
// # Metrics
//
// Jobs have the metrics of the semantic conventions, k8s.job.pod.active and its
// like, each for at most [Options.MaxJobs] jobs, finished ones first out. Besides
// there are batch.attempt.duration by outcome, batch.attempt.retries and
// batch.executor.running, and over all jobs batch.jobs and batch.attempts; those
// pending are in line. batch.span.dropped counts attempts without a span.
//
// # Logs
//
// A [Handler] adds the trace and the span to what jobs log: from the context if it
// has them, or else those of the attempt, or job, that the record names. So the
// lines of [batch.Attempt.Logger] and of the controller have them in any case.
//
// # What goes wrong
//
// Jobs do not wait for exporters: spans are ended on a goroutine beside, and if that
// cannot keep up, for instance as an exporter hangs, the spans of attempts are
// dropped. A panic of a provider loses a span, or a value, and is an error for the
// handler of OpenTelemetry. Only what providers do as a span starts, such as
// sampling, is waited for.
package otel
