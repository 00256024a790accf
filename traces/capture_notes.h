/*
 * capture_notes.h - the notes that a capture leaves in its trace: keys and meaning.
 *
 * Values are text; numbers are decimal, shares lie in [0, 1]. All are written when the
 * capture is closed, but for those of the start. Replay and `trace info` read them;
 * capture/COVERAGE.md says how each number comes about.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CAPTURE_NOTES_H
#define TRACES_CAPTURE_NOTES_H

/* --- at the start ----------------------------------------------------------------- */
#define NOTE_CAPTURE_SOURCE "capture.source"   /* "interface eth0", "file day.pcap" */
#define NOTE_CAPTURE_MAP    "capture.map"      /* "9000=envoy,lo:9000=server" */
#define NOTE_CAPTURE_EPOCH  "capture.epoch_ns" /* arrival 0, since 1970 UTC */
#define NOTE_REDACTION      "redaction.policy"
#define NOTE_REDACTION_HASH "redaction.policy_hash" /* of that text, XXH3-128 */
#define NOTE_REDACTION_KEY  "redaction.key"         /* names the key of keyed hashes */

/* --- at the end ------------------------------------------------------------------- */
#define NOTE_COVERAGE        "coverage"       /* a sentence */
#define NOTE_COVERAGE_SHARE  "coverage.share" /* missing: nothing was seen */
#define NOTE_COVERAGE_PREFIX "coverage."
/* Rows of the series: "t_s width_s recorded lost seen_bytes missing_bytes drops", t_s
 * since the epoch; each note holds as many as fit, in order of its number. */
#define NOTE_COVERAGE_SERIES "coverage.series."
#define NOTE_CAPTURE_VERSION "capture.version." /* + model: its internal versions */
/* Kafka: whose clock gave the records their times, and its step. */
#define NOTE_CAPTURE_CLOCK   "capture.clock"
#define NOTE_CAPTURE_STOPPED "capture.stopped" /* why it ended early */

/* A trace below this share says so wherever it is used. */
#define COVERAGE_GOOD 0.999

#endif
