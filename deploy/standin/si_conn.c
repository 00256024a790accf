/* si_conn.c - see si_conn.h. SPDX-License-Identifier: Apache-2.0 */
#include "deploy/standin/si_conn.h"

#include <string.h>

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

int si_conn_init(struct si_conn *conn, struct si_core *core, const struct si_tier *tier,
                 enum si_speaks speaks, uint32_t ordinal, si_wake_fn *wake, void *arg,
                 struct err *e)
{
    *conn = (struct si_conn){.core = core,
                             .tier = tier,
                             .speaks = speaks,
                             .ordinal = ordinal,
                             .wake = wake,
                             .wake_arg = arg};
    core->counts.connections++;
    if (speaks == SI_SPEAKS_HTTP2)
        return si_h2_init(conn, e);
    return speaks == SI_SPEAKS_HTTP1 ? si_h1_init(conn, e) : 0;
}

void si_conn_done(struct si_conn *conn)
{
    si_h1_done(conn);
    si_h2_done(conn);
    buf_done(&conn->out);
}

static void feed(struct si_conn *conn, struct span bytes)
{
    if (conn->speaks == SI_SPEAKS_HTTP2)
        si_h2_feed(conn, bytes);
    else
        si_h1_feed(conn, bytes);
}

/* Collects the first bytes until they differ from HTTP/2's preface or are it. */
static void sniff(struct si_conn *conn, struct span bytes)
{
    struct err e = {0};
    size_t wanted = sizeof conn->preface - conn->preface_bytes;
    size_t n = bytes.n < wanted ? bytes.n : wanted;
    memcpy(conn->preface + conn->preface_bytes, bytes.p, n);
    conn->preface_bytes += n;
    bool same = memcmp(conn->preface, preface, conn->preface_bytes) == 0;
    if (same && conn->preface_bytes < sizeof conn->preface)
        return;
    conn->speaks = same ? SI_SPEAKS_HTTP2 : SI_SPEAKS_HTTP1;
    if ((same ? si_h2_init : si_h1_init)(conn, &e) < 0) {
        conn->ending = true;
        return;
    }
    feed(conn, span_of(conn->preface, conn->preface_bytes));
    if (n < bytes.n)
        feed(conn, span_sub(bytes, n, bytes.n));
}

void si_conn_feed(struct si_conn *conn, struct span bytes, struct clk_mono at)
{
    if (!bytes.n || conn->ending)
        return;
    conn->read_at = at;
    if (conn->speaks == SI_SPEAKS_BOTH)
        sniff(conn, bytes);
    else
        feed(conn, bytes);
}

void si_conn_eof(struct si_conn *conn)
{
    if (conn->speaks == SI_SPEAKS_HTTP2)
        si_h2_eof(conn);
    else if (conn->speaks == SI_SPEAKS_HTTP1)
        si_h1_eof(conn);
    else
        conn->ending = true;
}

bool si_conn_idle(const struct si_conn *conn)
{
    if (conn->speaks == SI_SPEAKS_HTTP2)
        return si_h2_idle(conn);
    if (conn->speaks == SI_SPEAKS_BOTH)
        return conn->preface_bytes == 0;
    return !conn->h1.current && http1_idle(&conn->h1.parser);
}
