/*
 * exchange.h - a request and its answer as they were seen on a connection.
 *
 * What the HTTP/1.1 and HTTP/2 parsers make of the bytes of a flow, before redaction.
 * All spans are borrowed for the duration of the sink's call.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_EXCHANGE_H
#define CAPTURE_EXCHANGE_H

#include "capture/packet.h"
#include "traces/base/buf.h"
#include "traces/op.h"

enum cap_wire { CAP_WIRE_HTTP1, CAP_WIRE_HTTP2 };

/* Why a body or an answer is not all there. */
enum cap_loss {
    CAP_LOSS_NONE,
    CAP_LOSS_GAP,   /* bytes are missing; a body that lost some is ELIDED, hash 0 */
    CAP_LOSS_LIMIT, /* over the message limit: length and hash are exact all the same */
    CAP_LOSS_UNANSWERED, /* the capture or the connection ended first, or it aged out */
    CAP_LOSS_RESET,      /* its sender, or the one who waited for it, broke off */
};

/* One message of a gRPC stream. */
struct cap_grpc_message {
    struct clk_wall first, last; /* first byte of its prefix, last byte */
    struct op_body body;         /* without the prefix, compressed as sent */
    bool compressed;
};
/* Of one stream and direction, as many as a trace can hold; more are counted. */
#define CAP_GRPC_LISTED_MAX OP_MESSAGES_MAX

/* When the bytes of a body came, from an offset on. */
struct cap_arrival {
    uint64_t from;
    struct clk_wall at;
};

/* What of an exchange is told. Nearly all come whole, when the answer is complete.
 * Where it is not CAP_EXCHANGE_EARLY_NS (packet time) after the request's last byte,
 * the request is told first, so that nobody who wants requests in order waits for a
 * slow model, and its answer once it is complete or will not come; `connection` and
 * `stream` are the same in both. With ANSWER, the request's body is not there any more.
 */
enum cap_part { CAP_PART_WHOLE, CAP_PART_REQUEST, CAP_PART_ANSWER };
#define CAP_EXCHANGE_EARLY_NS (3 * CLK_SEC)

struct cap_message {
    struct clk_wall first, last; /* its first and last byte */
    /* What cap_parse_counts.record_bytes counts for it: summed over all that is handed
     * on, they are equal. With parts, each byte is told once. */
    uint64_t counted_bytes;
    const struct op_header *headers; /* wire order, names in lower case, pseudo ones
                                        apart; an empty name could not be decoded */
    uint32_t header_count;
    bool headers_opaque; /* some could not be decoded (joined midway) */
    struct op_body body; /* gRPC: the first message without its prefix, see messages */
    /* What the bodies' bytes stand in; NULL: in what cannot be had. Whoever takes them
     * over copies *buffer and leaves it zero: then they stay where they are. */
    struct buf *buffer;
    uint32_t grpc_messages; /* number of whole messages on the stream, */
    uint64_t message_bytes; /* and of their bytes, without prefixes */
    const struct cap_grpc_message *messages; /* the first of them, */
    uint32_t messages_listed;                /* so many */
    bool in_message;                         /* gRPC: it ends within one more */
    bool grpc_compressed;
    /* Of an answer in server-sent events: times of its pieces, CAP_GRPC_LISTED_MAX at
     * most; bytes behind the last have its time. */
    const struct cap_arrival *arrivals;
    uint32_t arrival_count;
    enum cap_loss loss;
};

struct cap_exchange {
    enum cap_part part;
    enum cap_wire wire;
    uint64_t connection; /* cap_flow_info.ordinal */
    uint32_t stream;     /* HTTP/2 stream id; HTTP/1.1: request number on it, from 0 */
    struct cap_endpoint client, server;
    bool grpc;
    bool inferred; /* method and name come from the body, not from headers */
    bool gap_near;
    struct span method, path, authority; /* empty: not known */
    struct cap_message request;
    bool answered;
    uint16_t status;     /* HTTP */
    int16_t grpc_status; /* -1: none, or not known */
    /* Trailers came, but their grpc-status could not be decoded (joined midway): 0
     * because a message came with them, which failed calls do not have. Of a stream
     * nothing is inferred. */
    bool grpc_status_inferred;
    struct cap_message answer;
};

typedef void cap_exchange_fn(void *arg, const struct cap_exchange *x);

/* Where every byte that was delivered went; per direction. bytes seen by the parser =
 * record + framing + opaque + shed + pending, exactly. */
struct cap_parse_counts {
    uint64_t record_bytes;  /* in bodies and headers of exchanges that were handed on;
                               gRPC: message prefixes too */
    uint64_t framing_bytes; /* chunk sizes, frame headers, padding, prefaces, control
                               frames, interim answers */
    uint64_t opaque_bytes;  /* TLS, unknown protocols, what was skipped while
                               resynchronising, answers to requests that were not seen */
    uint64_t shed_bytes;    /* dropped by a ceiling */
    uint64_t pending_bytes; /* in messages that are not complete yet */
};

#endif
