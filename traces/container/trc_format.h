/*
 * trc_format.h - the numbers of FORMAT.md, and the block header; inside container/
 * only.
 *
 * Nothing here reads or writes files. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_FORMAT_H
#define TRACES_CONTAINER_TRC_FORMAT_H

#include "traces/base/buf.h"
#include "traces/container/trc_writer.h"

#define TRC_MAJOR 1
#define TRC_MINOR 0

#define TRC_FRAME_MAGIC 0x184D2A5Eu /* a skippable frame of zstd */
#define TRC_HEAD_BYTES  136u        /* header frame as version 1.0 writes it */
#define TRC_TAIL_BYTES  40u
#define TRC_GROUPS      4

/* Section 9 of FORMAT.md. Each is checked before anything is allocated. */
#define TRC_HEAD_MAX      4096u
#define TRC_RAW_MAX       (64u << 20) /* raw bytes of a block, all groups together */
#define TRC_RATIO_MAX     32768u      /* zstd: 128 KiB from a block of 4 bytes */
#define TRC_RECORDS_MAX   (1u << 20)
#define TRC_COLUMNS_MAX   64u
#define TRC_STREAMS_MAX   65535u
#define TRC_MESSAGES_MAX  (1u << 20) /* of a block, requests and responses apart */
#define TRC_STRING_MAX    65536u
#define TRC_HEADERS_MAX   256u
#define TRC_HEADERS_BYTES 65536u /* names and values of one stream */
#define TRC_BODY_MAX      (64u << 20)
#define TRC_BLOB_MAX      (16u << 20)
#define TRC_BLOB_WINDOW   (128u << 20) /* how far back a file may point */
#define TRC_BLOB_REACH                                                                 \
    (48u << 20) /* how far back our writer does, before what may still come */
#define TRC_BLOB_CACHE                                                                 \
    (32u << 20) /* what a reader of a file keeps beside what is in use */
#define TRC_BLOB_FROM      8192u /* smallest body that goes to BLOBS when it recurs */
#define TRC_WINDOW_LOG_MAX 24
#define TRC_TIME_MAX       (INT64_C(1) << 61)
#define TRC_NOTE_KEY_MAX   256u
#define TRC_NOTE_MAX       65536u
#define TRC_NOTES_MAX      4096u
#define TRC_NOTES_BYTES    (4u << 20)
#define TRC_MODELS_MAX     65535u
#define TRC_WEIGHT_ONE     0x3F800000 /* 1.0 as binary32 */

/* A block is closed at so much new body, whatever its record count. */
#define TRC_BLOCK_PAYLOAD (4u << 20)

#define TRC_REQUIRED 0x80 /* bit of a block kind: must be understood */
enum trc_block_kind {
    TRC_META = 0x81,
    TRC_OPS = 0x82,
    TRC_BLOBS = 0x83,
    TRC_STATS = 0x04,
    TRC_LATE = 0x85,
    TRC_OUTCOMES = 0x86,
    TRC_INDEX = 0x07,
    TRC_FOOTER = 0x08,
};
const char *trc_kind_name(unsigned kind); /* "OPS"; NULL when unknown */

enum { TRC_SCHEDULE, TRC_ANSWERS, TRC_IDS, TRC_PAYLOAD };
extern const char *const trc_group_names[];

/* Column ids, section 5. */
enum {
    TRC_COL_TIME = 1, /* arrival of operations, due of outcomes */
    TRC_COL_STREAM = 2,
    TRC_COL_REQUEST = 3,
    TRC_COL_FLAGS = 4,
    TRC_COL_STATUS = 5,
    TRC_COL_GRPC = 6,
    TRC_COL_FIRST = 7,
    TRC_COL_LAST = 8,
    TRC_COL_RESPONSE = 9,
    TRC_COL_ID_FORM = 16,
    TRC_COL_ID_BYTES = 17,
    TRC_COL_CONNECTION = 18,
    TRC_COL_CONN_STREAM = 19,
    TRC_COL_CLIENT = 20,
    TRC_COL_TOKENS_IN = 21,
    TRC_COL_TOKENS_OUT = 22,
    TRC_COL_WEIGHT = 23,
    TRC_COL_REQUEST_TABLE = 24, /* then details, bytes */
    TRC_COL_RESPONSE_TABLE = 28,
    TRC_COL_CODINGS = 31, /* of responses */
    TRC_COL_STREAM_TABLE = 32,
    TRC_COL_OP_INDEX = 33,
    TRC_COL_CAUSE = 34,
    TRC_COL_CHECK = 35,
    TRC_COL_READY = 36,
    TRC_COL_SENT = 37,
    TRC_COL_OUT_FIRST = 38,
    TRC_COL_DONE = 39,
    TRC_COL_ATTEMPTS = 40,
    TRC_COL_WORKER = 41,
    TRC_COL_BYTES_OUT = 42,
    TRC_COL_BYTES_IN = 43,
    TRC_COL_HASH_REF = 44,
    TRC_COL_HASH_TABLE = 45,
    TRC_COL_WAIT = 47,
    TRC_COL_BLOB_BYTES = 48,
    TRC_COL_BLOBS = 49,
    TRC_COL_LATE_INDEX = 50,
    TRC_COL_FACTS = 56,
    TRC_COL_NOTES = 57,
    TRC_COL_IX_OFFSET = 64,
    TRC_COL_IX_KIND = 65,
    TRC_COL_IX_FIRST = 66,
    TRC_COL_IX_RECORDS = 67,
    TRC_COL_IX_TMIN = 68,
    TRC_COL_IX_SPAN = 69,
    TRC_COL_TOTALS = 72,
    TRC_COL_BY_PROTOCOL = 73,
    TRC_COL_BY_TIER = 74,
    TRC_COL_BY_CAUSE = 75,
    TRC_COL_BY_CHECK = 76,
    TRC_COL_MODELS = 77,
    TRC_COL_MODELS_OTHER = 78,
    TRC_COL_PLACES = 79,
    TRC_COL_ASKED = 80,    /* messages of requests: counts, then times, bytes */
    TRC_COL_ANSWERED = 84, /* messages of responses */
    TRC_COL_STREAMED = 88, /* messages of answers, in a run */
};

struct trc_head {
    uint32_t frame_bytes; /* header frame, its 8 leading bytes included */
    uint8_t minor, kind;
    bool run;
    int64_t resolution_ns; /* 1, 1000 or 1000000 */
    uint32_t ordinal, records, prev_bytes;
    uint64_t file_id, first_index;
    int64_t t_min, t_max;
    uint32_t raw[TRC_GROUPS], packed[TRC_GROUPS];
    uint64_t hash[TRC_GROUPS];
};

/* Bytes of the whole block. */
uint64_t trc_head_block_bytes(const struct trc_head *h);
void trc_head_encode(const struct trc_head *h, uint8_t out[TRC_HEAD_BYTES]);
/* Length of the header frame that seems to begin with these 12 bytes, or 0 when none
 * does. */
uint32_t trc_head_probe(const uint8_t p[12]);
/* Whether s, shorter than a header, is how one begins. */
bool trc_head_begins(struct span s);
/* s is a whole header frame at byte `at` of the file. ERR_FORMAT: checksum, version or
 * resolution; ERR_LIMIT: a length beyond section 9. *checked tells whether the checksum
 * held, so that the lengths are what the writer wrote. */
int trc_head_decode(struct span s, uint64_t at, struct trc_head *h, bool *checked,
                    struct err *e) MUST_USE;

void trc_tail_encode(uint64_t file_id, uint64_t footer, uint8_t out[TRC_TAIL_BYTES]);
bool trc_tail_decode(const uint8_t in[TRC_TAIL_BYTES], uint64_t *file_id,
                     uint64_t *footer);

uint64_t trc_xxh64(const void *p, size_t n); /* XXH3-64 */

#endif
