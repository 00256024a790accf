/*
 * si_rig.h - a stand-in without sockets and with a clock turned by hand, and clients of
 * it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_SI_RIG_H
#define TESTS_UNIT_SI_RIG_H

#include "deploy/standin/si_conn.h"

struct si_rig {
    struct clk_hand *hand;
    struct ev *ev;
    struct si_world world;
    struct si_core core;
};

/* service is a text for si_service_parse; options may be NULL (no faults, no limits).
 */
void si_rig_open(struct si_rig *rig, const char *service,
                 const struct si_core_options *options, enum si_release release);
void si_rig_close(struct si_rig *rig); /* after its clients */
/* Time goes by; timers fire in their order. */
void si_rig_pass(struct si_rig *rig, int64_t ns);

/* An HTTP/1 client: bytes in, bytes out. */
struct si_client {
    struct si_rig *rig;
    struct si_conn conn;
    struct buf got; /* all that was answered */
};
void si_client_open(struct si_client *c, struct si_rig *rig, int tier);
void si_client_close(struct si_client *c);
void si_client_send(struct si_client *c, const char *bytes, size_t n);
const char *si_client_got(struct si_client *c);

/* An HTTP/2 client, one call at a time or several. */
#define SI_CALLS_MAX 16
struct si_h2_answer {
    int32_t stream;
    struct buf headers, body, trailers; /* heads as lines "name: value\n" */
    bool closed;
    uint32_t error; /* of RST_STREAM */
};
struct si_h2_client {
    struct si_rig *rig;
    struct si_conn conn;
    void *session;
    struct si_h2_answer answers[SI_CALLS_MAX];
    size_t answer_count;
};
void si_h2_client_open(struct si_h2_client *c, struct si_rig *rig, int tier);
void si_h2_client_close(struct si_h2_client *c);
/* fields: lines "name: value\n", pseudo headers first; body may be NULL. */
struct si_h2_answer *si_h2_client_call(struct si_h2_client *c, const char *fields,
                                       struct span body);
void si_h2_client_reset(struct si_h2_client *c, struct si_h2_answer *a);
void si_h2_client_pump(struct si_h2_client *c); /* after time went by */

#endif
