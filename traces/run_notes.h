/*
 * run_notes.h - the notes of a run file: keys, and what their values mean.
 *
 * Replay writes them, report and compare read them. Values are text; numbers are
 * decimal, shares lie in [0, 1], durations are nanoseconds, "yes"/"no" is a truth
 * value. A note that could not be known is missing, never guessed. Notes of the start
 * are in the file before its first outcome, those of the end only when it was closed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_RUN_NOTES_H
#define TRACES_RUN_NOTES_H

/* --- at the start ----------------------------------------------------------------- */
#define NOTE_TOOL_VERSION     "tool.version"
#define NOTE_TRACE_FILE       "trace.file"
#define NOTE_TRACE_HASH       "trace.hash"       /* content hash, 32 hex digits */
#define NOTE_TRACE_OPERATIONS "trace.operations" /* in the whole trace */
#define NOTE_TRACE_SPAN       "trace.span_ns"    /* last arrival - first arrival */
#define NOTE_TRACE_COVERAGE   "trace.coverage"   /* of a captured one: its share */
#define NOTE_TARGET_TIER      "target.tier"
#define NOTE_TARGET_HTTP      "target.http"
#define NOTE_TARGET_GRPC      "target.grpc"
/* Brokers, "seldon.default" and form of the keys: "h:9092, seldon.default, 2.10 keys"
 */
#define NOTE_TARGET_KAFKA       "target.kafka"
#define NOTE_TARGET_TLS         "target.tls" /* version, cipher, ALPN, whether verified */
#define NOTE_TARGET_HEADERS     "target.headers" /* sent along: names, never values */
#define NOTE_SCHEDULE_MODE      "schedule.mode"  /* "open", "partly-open", "closed" */
#define NOTE_SCHEDULE_EPOCH     "schedule.epoch_ns"     /* arrival that is due at 0 */
#define NOTE_SCHEDULE_LAG       "schedule.lag_ns"       /* of a pipe: arrival to due */
#define NOTE_SCHEDULE_LAG_ASKED "schedule.lag_asked_ns" /* by --lag */
#define NOTE_SCHEDULE_SPEED     "schedule.speed"        /* "2", "0.5": as given */
#define NOTE_SESSION_ERROR                                                             \
    "schedule.session_error"                    /* partly open: "continue", "stop" */
#define NOTE_SCHEDULE_USERS  "schedule.users"   /* closed loop only */
#define NOTE_SCHEDULE_POLICY "schedule.policy"  /* "queue, cap 8": back-pressure */
#define NOTE_SCHEDULE_SHARD  "schedule.shard"   /* "1/3": its part; missing: all */
#define NOTE_WARMUP          "phases.warmup_ns" /* due before it: not judged */
#define NOTE_COOLDOWN        "phases.cooldown_from_ns" /* due at it or later: not judged */
#define NOTE_RULES           "rules.abort_if"          /* "errors>5%, p99>1s" */
#define NOTE_RULE_WINDOW     "rules.window_ns"
#define NOTE_ENGINE          "client.engine" /* of REST: "own", "curl" … */
#define NOTE_CONNECTIONS                                                               \
    "client.connections" /* "rest 64, grpc 4 of 100 streams", "recorded, …" */
#define NOTE_ANSWER_DIGEST  "answer.digest"     /* of answer_hash: "body", "content" */
#define NOTE_OPTIONS        "run.options"       /* of the command, one line */
#define NOTE_START          "run.start"         /* wall clock, ISO 8601, of due = 0 */
#define NOTE_START_WALL     "run.start_wall_ns" /* the same, since 1970 UTC */
#define NOTE_START_MONO     "run.start_mono_ns" /* the same, on CLOCK_MONOTONIC */
#define NOTE_MACHINE_NAME   "machine.name"
#define NOTE_MACHINE_KERNEL "machine.kernel"
#define NOTE_MACHINE_CPUS   "machine.cpus"
#define NOTE_MACHINE_CPU    "machine.cpu"   /* model name */
#define NOTE_LABEL          "label."        /* + KEY: what the user called this run */
#define NOTE_LABEL_ARM      "label.arm"     /* of a campaign: which target */
#define NOTE_LABEL_PAIR     "label.pair"    /* of a campaign: number of the pair */
#define NOTE_LABEL_PLAN     "label.plan"    /* of a campaign: hash of its plan */
#define NOTE_LABEL_VERSION  "label.version" /* of what was measured */

/* --- at the end ------------------------------------------------------------------- */
#define NOTE_DURATION         "run.duration_ns" /* from due = 0 to the last end */
#define NOTE_INTERRUPTED      "run.interrupted" /* "yes": a signal or an error ended it */
#define NOTE_ENDED_BY         "run.ended_by"    /* the reason, where interrupted */
#define NOTE_DUE              "operations.due" /* outcomes in this file */
#define NOTE_SENT             "operations.sent"
#define NOTE_NEVER_DUE        "operations.never_due" /* left in the trace at the end */
#define NOTE_FILTERED         "operations.filtered" /* left out on demand (--protocol) */
#define NOTE_REFUSALS         "operations.refusals" /* "COUNT: reason" lines */
#define NOTE_RATE_OFFERED     "rate.offered"        /* per second, from due times */
#define NOTE_RATE_ACHIEVED    "rate.achieved"       /* per second, from sent times */
#define NOTE_SESSIONS         "sessions.count"      /* partly open: planned ones */
#define NOTE_SESSION_THINKS   "sessions.thinks" /* operations that followed another */
#define NOTE_SESSION_GAPS     "sessions.gaps"   /* of them: without that one's answer */
#define NOTE_CHECK_RIGHT      "check.right"
#define NOTE_CHECK_CROSSED    "check.crossed" /* answers of other requests */
#define NOTE_CHECK_WRONG      "check.wrong"
#define NOTE_CHECK_UNJUDGED   "check.unjudged" /* asked for, but nothing can be said */
#define NOTE_CHECK_REASONS    "check.unjudged.reasons" /* "COUNT: reason" lines */
#define NOTE_GENERATOR_P50    "lateness.generator.p50_ns"
#define NOTE_GENERATOR_P99    "lateness.generator.p99_ns"
#define NOTE_GENERATOR_MAX    "lateness.generator.max_ns"
#define NOTE_PRESSURE_P99     "lateness.back_pressure.p99_ns"
#define NOTE_PRESSURE_MAX     "lateness.back_pressure.max_ns"
#define NOTE_TREND            "lateness.trend_ppm" /* of the generator's, per run time */
#define NOTE_GAP_DISTANCE     "arrivals.distance"  /* share of gaps that were off */
#define NOTE_GAPS             "arrivals.gaps"      /* of how many */
#define NOTE_STARVED          "feeder.starved_ns"  /* workers waited for the trace */
#define NOTE_CPU_STEAL        "cpu.steal_share"    /* of the machine, during the run */
#define NOTE_CPU_THROTTLED    "cpu.throttled_ns"   /* by the control group's limit */
#define NOTE_CPU_WORKED       "cpu.worked_share" /* of the busiest worker, less polling */
#define NOTE_CPU_WAITED       "cpu.waited_ns" /* longest of a worker, for a processor */
#define NOTE_CPU_BUSY         "cpu.busy_share"     /* of the machine, all processes */
#define NOTE_CPU_OWN          "cpu.own_ns"         /* of this process */
#define NOTE_CLOCK_STEP       "clock.wall_step_ns" /* sum of steps of the wall clock */
#define NOTE_CLOCK_BACKWARDS  "clock.monotonic_backwards" /* "yes": nothing holds */
#define NOTE_CLIENT_ERRORS    "client.errors" /* our own: ports, descriptors, memory */
#define NOTE_CONNECTS         "client.connects"         /* connections made, in all */
#define NOTE_CONNECTION_ENDS  "client.connection_ends"  /* "COUNT: cause" lines */
#define NOTE_CONNECT_FAILURES "client.connect_failures" /* "COUNT: reason" lines */
#define NOTE_TLS_FULL         "client.tls_full"         /* handshakes */
#define NOTE_TLS_RESUMED      "client.tls_resumed"      /* those with a ticket */
/* Kafka: messages, and records that were read, each under the name of what it was. */
#define NOTE_KAFKA_DELIVERED    "kafka.delivered"       /* acknowledged by a broker */
#define NOTE_KAFKA_UNDELIVERED  "kafka.undelivered"     /* refused, lost, or too late */
#define NOTE_KAFKA_DELIVERY_P50 "kafka.delivery.p50_ns" /* sent to acknowledged */
#define NOTE_KAFKA_DELIVERY_P99 "kafka.delivery.p99_ns"
#define NOTE_KAFKA_DELIVERY_MAX "kafka.delivery.max_ns"
#define NOTE_KAFKA_ANSWERS      "kafka.answers"          /* that ended an operation */
#define NOTE_KAFKA_AGAIN        "kafka.answers_again"    /* to what was answered */
#define NOTE_KAFKA_LATE         "kafka.answers_late"     /* to what had ended without */
#define NOTE_KAFKA_HOPS         "kafka.records_of_steps" /* of pipelines, in between */
#define NOTE_KAFKA_UNKNOWN      "kafka.records_of_others" /* keys that are not ours */
#define NOTE_KAFKA_READ_ERRORS  "kafka.read_errors"
#define NOTE_KAFKA_QUEUE_FULL   "kafka.queue_full" /* times */
#define NOTE_KAFKA_TOPICS_LATE                                                         \
    "kafka.topics_late"                        /* of answers; made during the run      \
                                                */
#define NOTE_KAFKA_ERRORS "kafka.errors"       /* "COUNT: what was said" lines */
#define NOTE_RETRIES      "client.retries"     /* operations sent a second time */
#define NOTE_WARM_FAILED  "client.warm_failed" /* connections not there at the start */
#define NOTE_PACER_MARGIN "pacer.margin_ns"    /* spin before due; 0: sleep only */
#define NOTE_PACER_SLICE  "pacer.slice_ns"     /* of workers; 0: the kernel's own */
/* Whether workers share their processors with what prepares and writes: "no", "gives
 * way" (that does), "refused" (it should, but the system does not let it) */
#define NOTE_PACER_SHARED   "pacer.shared"
#define NOTE_HEALTH_VERDICT "health.verdict" /* "VALID", "DEGRADED", "INVALID" */
/* "SEVERITY code: text" lines, worst first; SEVERITY is DEGRADED or INVALID. Runs of
 * earlier versions lack it: there each cause counts as the verdict does. */
#define NOTE_HEALTH_CAUSES "health.causes"

#endif
