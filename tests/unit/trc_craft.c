/*
 * trc_craft.c - see trc_craft.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/trc_craft.h"

#include <stdlib.h>
#include <string.h>

#include "traces/container/trc_stream.h"

void craft_init(struct craft *c, bool run)
{
    *c = (struct craft){.pack = trc_pack_new(), .run = run};
    struct buf groups[TRC_GROUPS] = {{0}};
    uint8_t facts[2] = {run, 0};
    craft_column(&groups[0], TRC_COL_FACTS, true, span_of(facts, 2));
    craft_put(c, TRC_META, 0, 0, 0, 0, groups);
    buf_done(&groups[0]);
}

void craft_done(struct craft *c)
{
    buf_done(&c->file);
    trc_pack_free(c->pack);
}

void craft_block(struct craft *c, struct trc_head h, const struct span raw[TRC_GROUPS])
{
    struct buf packed[TRC_GROUPS] = {{0}};
    uint8_t head[TRC_HEAD_BYTES];
    h.frame_bytes = TRC_HEAD_BYTES;
    h.file_id = CRAFT_FILE_ID;
    h.resolution_ns = h.resolution_ns ? h.resolution_ns : 1;
    h.run = c->run;
    h.ordinal = c->ordinal++;
    h.prev_bytes = c->prev_bytes;
    for (int g = 0; g < TRC_GROUPS; g++) {
        struct trc_group_out out = {0};
        if (raw[g].n == 0)
            continue;
        buf_span(&out.raw, raw[g]);
        if (trc_pack_group(c->pack, 1, &out, &packed[g], NULL) < 0)
            abort();
        h.raw[g] = (uint32_t)raw[g].n;
        h.packed[g] = (uint32_t)packed[g].n;
        h.hash[g] = trc_xxh64(packed[g].p, packed[g].n);
        trc_group_out_done(&out);
    }
    trc_head_encode(&h, head);
    c->last = c->file.n;
    buf_add(&c->file, head, sizeof head);
    for (int g = 0; g < TRC_GROUPS; g++) {
        buf_span(&c->file, buf_view(&packed[g]));
        buf_done(&packed[g]);
    }
    c->prev_bytes = (uint32_t)(c->file.n - c->last);
}

void craft_put(struct craft *c, unsigned kind, uint32_t records, uint64_t first,
               int64_t t_min, int64_t t_max, const struct buf groups[TRC_GROUPS])
{
    struct span raw[TRC_GROUPS];
    for (int g = 0; g < TRC_GROUPS; g++)
        raw[g] = buf_view(&groups[g]);
    craft_block(c,
                (struct trc_head){.kind = (uint8_t)kind,
                                  .records = records,
                                  .first_index = first,
                                  .t_min = t_min,
                                  .t_max = t_max},
                raw);
}

void craft_sign(struct craft *c, size_t at)
{
    uint8_t *p = c->file.p + at;
    uint32_t n;
    memcpy(&n, p + 4, 4);
    memset(p + 128, 0, 8);
    uint64_t hash = trc_xxh64(p, (size_t)n + 8);
    for (int i = 0; i < 8; i++)
        p[128 + i] = (uint8_t)(hash >> (8 * i));
}

void craft_column(struct buf *group, unsigned id, bool required, struct span content)
{
    buf_varint(group, 2 * (uint64_t)id + required);
    buf_varint(group, content.n);
    buf_span(group, content);
}

void craft_ints(struct buf *group, unsigned id, struct span prefix, const uint64_t *v,
                size_t n)
{
    struct buf content = {0};
    buf_span(&content, prefix);
    buf_u8(&content, 0);
    for (size_t i = 0; i < n; i++)
        buf_varint(&content, v[i]);
    craft_column(group, id, true, buf_view(&content));
    buf_done(&content);
}

void craft_schedule(struct buf *group, size_t n)
{
    struct buf table = {0}, entry = {0};
    struct op_stream s = {.name = SPAN_LIT("m")};
    uint64_t *zeros = calloc(n + 1, sizeof *zeros);
    craft_ints(group, TRC_COL_TIME, (struct span){0}, zeros, n);
    trc_stream_encode(&s, &entry);
    buf_varint(&table, 1);
    buf_varint(&table, entry.n);
    buf_span(&table, buf_view(&entry));
    craft_column(group, TRC_COL_STREAM_TABLE, true, buf_view(&table));
    free(zeros);
    buf_done(&table);
    buf_done(&entry);
}
