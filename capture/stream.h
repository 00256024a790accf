/*
 * stream.h - one connection: its bytes as the flow table gives them, what they speak,
 * and the exchanges they hold.
 *
 * What a connection speaks is told by its first bytes (HTTP/1.1 request line, HTTP/2
 * preface, TLS record), or, when it was joined midway, by the first start line that
 * parses or the first frame headers that are credible, whichever comes first. TLS and
 * what is neither is opaque: counted, never guessed at. An upgrade to h2c is followed.
 *
 * After every call cap_stream_counts accounts for each byte that was given, in each
 * direction. One thread at a time, the same for all streams of one cap_parse.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_STREAM_H
#define CAPTURE_STREAM_H

#include "capture/flow.h"
#include "capture/kafka_wire.h"
#include "capture/parse.h"

/* Bytes of both directions after which a connection that was joined midway and showed
 * nothing known counts as unknown. */
#define CAP_SNIFF_MAX (2 * (uint64_t)CAP_MESSAGE_MAX)

struct cap_stream;

/* NULL: out of memory. */
struct cap_stream *cap_stream_new(struct cap_parse *parse,
                                  const struct cap_flow_info *info);
/* One whose port is mapped to Kafka: its bytes are read as Kafka's protocol, unless
 * they begin as TLS does. shared is borrowed. */
struct cap_stream *cap_stream_new_kafka(struct cap_parse *parse,
                                        struct cap_kwire_shared *shared,
                                        const struct cap_flow_info *info);
void cap_stream_data(struct cap_stream *s, int dir, struct clk_wall at,
                     struct span bytes);
void cap_stream_gap(struct cap_stream *s, int dir, struct clk_wall at, uint64_t bytes);
/* The peer has acknowledged bytes of dir that were not seen (flow.h). */
void cap_stream_unseen(struct cap_stream *s, int dir);
void cap_stream_finish(struct cap_stream *s, int dir, struct clk_wall at);
/* Hands on what is open and frees s. NULL is fine. */
void cap_stream_close(struct cap_stream *s, struct clk_wall at, enum cap_end how);
const struct cap_parse_counts *cap_stream_counts(const struct cap_stream *s, int dir);

/* A flow sink that makes a stream of each connection. parse is borrowed. Connections
 * for which there is no memory are counted as shed. */
struct cap_flow_sink cap_stream_sink(struct cap_parse *parse);

#endif
