/*
 * si_stamps.h - when each request reached the stand-in, kept for whoever judges a
 * sender.
 *
 * An instrument of its own: lateness and evenness of a load generator can be computed
 * from the file without believing a word of the generator. Both machines being one, the
 * clock (CLOCK_MONOTONIC) is the same. Kept in memory, written at the end.
 *
 * What `first_ns` is: the clock just after the read() that returned the first byte of
 * the request. It is never early; it is late by the time between the byte's arrival in
 * the socket and that read, which is wake-up (tens of microseconds on an idle machine)
 * plus whatever the stand-in was doing. Requests that one read() returns share their
 * time, and during a --stall nothing is read.
 *
 * The file: lines of text. Lines that start with '#' are about the file or give a stall
 * ("# stall FROM_NS UNTIL_NS"). Others, one per request in order of arrival, have these
 * fields with blanks between:
 *
 *   first_ns    as above
 *   connection  ordinal of the connection, from 0
 *   replied_ns  when the answer was handed to the socket; 0: never
 *   status      HTTP status, or 1000 + gRPC code; 0: none
 *   tier        "envoy" …
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DEPLOY_STANDIN_SI_STAMPS_H
#define DEPLOY_STANDIN_SI_STAMPS_H

#include <stddef.h>
#include <stdint.h>

#include "traces/base/err.h"

struct si_stamp {
    int64_t first_ns, replied_ns;
    const char *tier;
    uint32_t connection;
    uint16_t status;
};

struct si_stamps_chunk;
struct si_stamps {
    bool on;
    struct si_stamps_chunk *first, *last;
    uint64_t count, lost; /* lost: out of memory */
    struct {
        int64_t from_ns, until_ns;
    } * stalls;
    size_t stall_count, stall_cap;
};

/* A new zeroed stamp, which stays where it is. NULL when off or out of memory. */
struct si_stamp *si_stamps_add(struct si_stamps *s);
void si_stamps_stall(struct si_stamps *s, int64_t from_ns, int64_t until_ns);
int si_stamps_write(const struct si_stamps *s, const char *path,
                    struct err *e) MUST_USE;
void si_stamps_done(struct si_stamps *s);

#endif
