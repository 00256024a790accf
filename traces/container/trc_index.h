/*
 * trc_index.h - INDEX, FOOTER and META contents: FORMAT.md, sections 5.7 to 5.9.
 *
 * Zeroed structs are valid empty ones. Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_INDEX_H
#define TRACES_CONTAINER_TRC_INDEX_H

#include "traces/base/arena.h"
#include "traces/container/trc_column.h"
#include "traces/container/trc_reader.h"

struct trc_entry {
    uint64_t offset, first_index;
    int64_t t_min, t_max;
    uint32_t records;
    uint8_t kind;
};
struct trc_index {
    struct trc_entry *v;
    size_t n, cap;
};
void trc_index_done(struct trc_index *x);
int trc_index_add(struct trc_index *x, const struct trc_entry *entry,
                  struct err *e) MUST_USE;
/* Entries [from, from + n), n <= TRC_RECORDS_MAX, as columns. */
int trc_index_put(const struct trc_index *x, size_t from, size_t n,
                  struct trc_group_out *g, struct err *e) MUST_USE;
/* The entries of one INDEX block, appended; offsets must ascend below `limit`. */
int trc_index_parse(struct trc_index *x, const struct trc_head *head, struct span raw,
                    uint64_t at, uint64_t limit, struct err *e) MUST_USE;

/* Counts in the making, and the strings they point to. */
struct trc_tally {
    struct trc_counts counts; /* models: sorted by trc_tally_sort */
    struct trc_model_count *models;
    uint32_t cap;
    uint32_t *slots; /* index + 1 by hash of the name; 0 empty */
    uint32_t slot_count;
    struct arena arena;
};
void trc_tally_done(struct trc_tally *t);
int trc_tally_stream(struct trc_tally *t, const struct op_stream *s, uint64_t count,
                     struct err *e) MUST_USE;
void trc_tally_outcome(struct trc_tally *t, const struct outcome *o);
void trc_tally_sort(struct trc_tally *t); /* no trc_tally_stream behind it */

/* META blocks behind the first that a file may have and still be known without its
 * INDEX. */
#define TRC_METAS_MAX 64u

/* What a reader wants of the INDEX before it has read it: column 79 of FOOTER. */
struct trc_places {
    bool known;
    uint64_t blob_blocks, late_blocks;
    uint64_t metas[TRC_METAS_MAX]; /* offsets, ascending, without the first at 0 */
    uint32_t meta_count;
};
struct trc_places trc_index_places(const struct trc_index *x);

struct trc_totals {
    struct trc_places places;
    uint64_t records, blocks, payload_bytes, blobs, hash[2], index_offset, index_blocks;
    int64_t first_ns, last_ns;
};
void trc_footer_put(const struct trc_totals *totals, const struct trc_tally *t,
                    bool run, struct trc_group_out *g);
int trc_footer_parse(const struct trc_head *head, struct span raw, uint64_t at,
                     struct trc_totals *totals, struct trc_tally *t,
                     struct err *e) MUST_USE;

/* Notes in order of their keys. */
struct trc_note {
    char *key, *value; /* owned */
};
struct trc_notes {
    struct trc_note *v;
    size_t n, cap, bytes;
};
void trc_notes_done(struct trc_notes *t);
/* ERR_LIMIT by section 9; the value of a known key is replaced. */
int trc_notes_set(struct trc_notes *t, struct span key, struct span value,
                  struct err *e) MUST_USE;
const char *trc_notes_get(const struct trc_notes *t, const char *key);

struct trc_facts {
    bool run;
    int64_t epoch_wall_ns;
};
void trc_meta_put(const struct trc_facts *facts, const struct trc_notes *notes,
                  struct trc_group_out *g);
int trc_meta_parse(const struct trc_head *head, struct span raw, uint64_t at,
                   struct trc_facts *facts, struct trc_notes *notes,
                   struct err *e) MUST_USE;

#endif
