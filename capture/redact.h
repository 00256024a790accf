/*
 * redact.h - what of a request may be written down, applied before anything is.
 *
 * Headers are denied unless allowed. Allowed are content-type and content-encoding
 * (fields of a stream), accept-encoding and seldon-model, what the user names, and of
 * traceparent and x-seldon-route that they were there, without their value. Names that
 * carry credentials (authorization, cookie, x-api-key and whatever looks like them) are
 * denied in every mode, and asking for one is an error.
 *
 * Bodies, requests and answers alike:
 *   keep   as they were
 *   hash   only length and a keyed hash: equal bodies can be told, contents cannot
 *   shape  tensor names, datatypes and shapes, their elements replaced by zeros and
 *          their texts by "xxx" of the same length; parameters but content_type and the
 *          message's id are masked too. It is a message that a replay can send. JSON is
 *          padded with blanks to its recorded length
 *   mask   everything but the values that the paths name: "id", "parameters.user",
 *          "inputs.*.data", "inputs.NAME.parameters"; * is any key or element, an
 *          element of an array also goes by its number or its member "name"
 * A body that the mode cannot deal with (another format, compressed, over the limits)
 * is never kept: it is hashed. Unless bodies are kept, hashes are keyed: SipHash-2-4
 * with 128 bits of output (Aumasson, Bernstein 2012) under a key of 16 bytes that is
 * given, or drawn for this capture. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_REDACT_H
#define CAPTURE_REDACT_H

#include "capture/record.h"
#include "traces/base/arena.h"
#include "traces/base/buf.h"

#define KAFKA_KEY_ENV     "REPRISE_CAPTURE_KEY"
#define CAP_HEADERS_MAX   64u    /* kept of one request … */
#define CAP_HEADERS_BYTES 16384u /* … and bytes of them: what is beyond is denied */

struct cap_redact_options {
    const char *bodies;         /* "keep", "hash", "shape", "mask:PATH,…" */
    const char *const *headers; /* allowed beyond the default */
    size_t header_count;
    bool keep_query;      /* of paths */
    bool no_answers;      /* answers' bodies: only length and hash */
    const char *key_file; /* 32 hex digits; NULL: KAFKA_KEY_ENV, else drawn */
};

struct cap_redact;
/* ERR_USAGE: mode, path or header that cannot be; ERR_IO, ERR_FORMAT: the key. Borrows
 * the options' strings. */
int cap_redact_new(struct cap_redact **out, const struct cap_redact_options *options,
                   struct err *e) MUST_USE;
void cap_redact_free(struct cap_redact *r); /* NULL is fine */

/* Makes of *rec what may be written: headers, path, bodies, flags. New bytes come from
 * a; *rec borrows from the exchange and from a. */
int cap_redact_record(struct cap_redact *r, const struct cap_exchange *x,
                      struct cap_record *rec, struct arena *a, struct err *e) MUST_USE;
/* The same for the body of an answer that is told by itself; `encoding` is its
 * content-encoding, empty for none. */
int cap_redact_answer(struct cap_redact *r, const struct cap_exchange *x, struct op *op,
                      struct arena *a, struct err *e) MUST_USE;

/* The policy in one line, for the trace's notes: no key, no value of a header. */
void cap_redact_describe(const struct cap_redact *r, struct buf *out);
/* Tells captures with the same key from others: 16 hex digits; "" when no hash is
 * keyed. */
void cap_redact_key_text(const struct cap_redact *r, char out[17]);

struct cap_redact_counts {
    uint64_t headers_denied; /* header lines that were not written */
    uint64_t bodies_changed; /* masked or made shape */
    uint64_t bodies_hashed;  /* by policy */
    uint64_t bodies_refused; /* hashed since the mode could not deal with them */
};
const struct cap_redact_counts *cap_redact_counts(const struct cap_redact *r);

#endif
