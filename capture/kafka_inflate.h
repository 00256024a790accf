/*
 * kafka_inflate.h - the records of a compressed record batch.
 *
 * Kafka compresses the records of a batch as one run of bytes, by one of
 *   gzip    RFC 1952
 *   snappy  blocks of Snappy's raw format, alone or in the framing of snappy-java
 *           ("\x82SNAPPY\0", two versions, then blocks behind their lengths)
 *   lz4     LZ4 frames; their checksums are not looked at: the batch has its own
 *   zstd    RFC 8878
 * What they may become is bounded before it is made. Pure functions; thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_KAFKA_INFLATE_H
#define CAPTURE_KAFKA_INFLATE_H

#include "traces/base/buf.h"

#define CAP_KAFKA_INFLATED_MAX ((size_t)64 << 20)

/* Attribute bits 0 to 2 of a batch. */
enum cap_kafka_codec {
    CAP_KAFKA_PLAIN,
    CAP_KAFKA_GZIP,
    CAP_KAFKA_SNAPPY,
    CAP_KAFKA_LZ4,
    CAP_KAFKA_ZSTD,
    CAP_KAFKA_CODEC_COUNT
};

/* Appends what `packed` stands for to out. False: it is malformed, of an unknown codec,
 * beyond the limit, or memory ran out; out then holds anything. */
bool cap_kafka_inflate(unsigned codec, struct span packed, struct buf *out);

uint32_t cap_kafka_crc32(struct span s); /* that of gzip, RFC 1952 8 */

#endif
