/*
 * wire_story.h - what a capture's parsers tell of a connection, as text that a test can
 * compare.
 *
 * A script is a list of steps; each is bytes, a gap or an end of one direction, at a
 * time of its own. It is played as it is, with every step cut in two at every place,
 * and byte by byte: the story must be the same. After every call each byte that was
 * given is accounted for, and what was handed on counts exactly what record_bytes says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_WIRE_STORY_H
#define TESTS_UNIT_WIRE_STORY_H

#include "capture/stream.h"
#include "traces/base/buf.h"

enum step_kind { STEP_BYTES, STEP_GAP, STEP_UNSEEN, STEP_FINISH };

struct step {
    enum step_kind kind;
    int dir;
    int64_t at_ms;
    struct buf bytes;
    uint64_t gap;
};

struct script {
    struct step *steps;
    size_t count;
    bool midway;
    enum cap_end how; /* CAP_END_FIN unless set */
    uint64_t budget;  /* 0: plenty */
};

void script_text(struct script *s, int dir, int64_t at_ms, const char *text);
void script_bytes(struct script *s, int dir, int64_t at_ms, struct span bytes);
void script_gap(struct script *s, int dir, int64_t at_ms, uint64_t bytes);
void script_unseen(struct script *s, int dir, int64_t at_ms);
void script_finish(struct script *s, int dir, int64_t at_ms);
void script_done(struct script *s);

/* What came out of one playing. */
struct told {
    struct buf story;
    uint64_t exchanges, counted[2];
    struct cap_parse_totals totals;
    uint64_t budget_left; /* memory still charged after the end: 0 */
};
void told_done(struct told *t);

/* How bytes are cut: whole; every step in two at `cut` bytes; pieces of `piece` bytes.
 */
struct told play(const struct script *s, size_t cut, size_t piece);
/* As it is and with all cuts; the story must be `want` each time. */
void expect_story_at(const struct script *s, const char *want, const char *file,
                     int line);
#define expect_story(s, want) expect_story_at(s, want, __FILE__, __LINE__)

#endif
