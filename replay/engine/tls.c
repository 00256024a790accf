/*
 * tls.c - see tls.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/tls.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "replay/engine/engine.h"
#include "traces/base/clk.h"

#define CIPHER_BYTES (128u << 10) /* of one recv */
#define EARLY_BYTES  (16u << 10)  /* of one recv during the handshake */
/* How long the probe waits for a server that asked for a certificate to refuse it. */
#define REFUSAL_NS (500 * CLK_MS)

_Static_assert(CIPHER_BYTES + 2 * SECURE_RECORD_MAX <= REP_TLS_RECV_MIN,
               "what one recv brings, and what waited, must fit");

struct rep_tls_conn {
    struct rep_tls *of;
    struct secure *secure;
    int fd;
    struct buf early; /* read with the end of the handshake, not yet decrypted */
    size_t out_at;    /* of the ciphertext that is being written */
    size_t written;   /* bytes since the mark */
    int over;         /* 0, SECURE_END, or what secure_read failed with */
    bool done, fin;
    struct err why;
};

int rep_tls_init(struct rep_tls *t, const struct rep_tls_config *config,
                 const struct rep_address *target, const char *alpn, struct err *e)
{
    struct secure_config c = {.ca_file = config->ca_file,
                              .cert_file = config->cert_file,
                              .key_file = config->key_file,
                              .insecure = config->insecure,
                              .alpn = alpn,
                              .alpn_needed = strcmp(alpn, "h2") == 0};

    *t = (struct rep_tls){.name =
                              config->server_name ? config->server_name : target->host};
    int rc = secure_context_new(&t->context, &c, e);
    if (rc < 0)
        return rc;
    t->cipher = malloc(CIPHER_BYTES);
    t->sessions = config->resume ? secure_sessions_new() : NULL;
    if (t->cipher && (t->sessions || !config->resume))
        return 0;
    rep_tls_done(t);
    return err_set(e, ERR_NOMEM, "out of memory for TLS");
}

void rep_tls_done(struct rep_tls *t)
{
    secure_context_free(t->context);
    secure_sessions_free(t->sessions);
    free(t->cipher);
    *t = (struct rep_tls){0};
}

int rep_tls_open(struct rep_tls_conn **out, struct rep_tls *t, int fd, struct err *e)
{
    struct rep_tls_conn *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(e, ERR_NOMEM, "out of memory for a TLS connection");
    c->of = t;
    c->fd = fd;
    int rc = secure_open(&c->secure, t->context, t->name, t->sessions, e);
    if (rc < 0) {
        free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void rep_tls_close(struct rep_tls_conn *c, bool midway)
{
    if (!c)
        return;
    if (c->out_at == 0 && !midway && !c->fin) {
        if (c->done && c->over >= 0)
            secure_end(c->secure);
        if (secure_out(c->secure)->n > 0)
            (void)rep_tls_flush(c);
    }
    secure_close(c->secure);
    buf_done(&c->early);
    free(c);
}

bool rep_tls_pending(const struct rep_tls_conn *c)
{
    return secure_out(c->secure)->n > c->out_at;
}

ssize_t rep_tls_flush(struct rep_tls_conn *c)
{
    struct buf *out = secure_out(c->secure);
    ssize_t n = send(c->fd, out->p + c->out_at, out->n - c->out_at, MSG_NOSIGNAL);
    if (n < 0)
        return n;
    c->written += (size_t)n;
    c->out_at += (size_t)n;
    if (c->out_at == out->n) {
        buf_reset(out);
        c->out_at = 0;
    }
    return n;
}

/* Writes what the handshake wants to say. False: the socket takes no more, or is broken
 * (*sys). */
static bool say(struct rep_tls_conn *c, int *sys)
{
    while (rep_tls_pending(c)) {
        if (rep_tls_flush(c) < 0 && errno != EINTR) {
            *sys = errno == EAGAIN || errno == EWOULDBLOCK ? 0 : errno;
            return false;
        }
    }
    return true;
}

static int broken(int sys, struct err *e)
{
    if (e)
        e->sys = sys;
    return err_set(e, ERR_PEER, "%s during the TLS handshake",
                   sys == 0 ? "the peer closed the connection" : strerror(sys));
}

/* Reads for the handshake: 1 something came, 0 nothing now, negative: failed. */
static int listen_on(struct rep_tls_conn *c, struct err *e)
{
    buf_reset(&c->early);
    uint8_t *to = buf_grow(&c->early, EARLY_BYTES);
    if (!to)
        return err_set(e, ERR_NOMEM, "out of memory for a TLS connection");
    ssize_t n;
    do
        n = recv(c->fd, to, EARLY_BYTES, 0);
    while (n < 0 && errno == EINTR);
    c->early.n = n > 0 ? (size_t)n : 0;
    if (n > 0) {
        secure_put(c->secure, buf_view(&c->early));
        return 1;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    return broken(n < 0 ? errno : 0, e);
}

int rep_tls_handshake(struct rep_tls_conn *c, struct err *e)
{
    int sys = 0;
    for (;;) {
        int rc = secure_handshake(c->secure, e);
        if (!say(c, &sys) && sys != 0 && rc >= 0) /* an alert may stay unsaid */
            return broken(sys, e);
        if (rc < 0)
            return rc;
        if (rc == 1) {
            c->done = true;
            return 1;
        }
        if (rep_tls_pending(c))
            return 0;
        rc = listen_on(c, e);
        if (rc <= 0)
            return rc;
    }
}

struct secure_facts rep_tls_facts(const struct rep_tls_conn *c)
{
    return secure_facts(c->secure);
}

bool rep_tls_seal(struct rep_tls_conn *c, struct span plaintext)
{
    return secure_write(c->secure, plaintext, &c->why) == 0;
}

bool rep_tls_seal_buf(struct rep_tls_conn *c, struct buf *data)
{
    struct buf *out = secure_out(c->secure);
    if (data->failed || secure_write(c->secure, buf_view(data), &c->why) < 0)
        return false;
    if (c->out_at > 0) { /* the handshake's last words */
        buf_shift(out, c->out_at);
        c->out_at = 0;
    }
    struct buf plaintext = *data;
    *data = *out;
    *out = plaintext;
    buf_reset(out);
    return true;
}

/* Decrypts all that there is. What ended it: `over`, 0 when more may come. */
static int decrypt(struct rep_tls_conn *c, uint8_t *to, size_t n, size_t *got)
{
    for (;;) {
        size_t more = 0;
        assert(*got < n);
        int rc = secure_read(c->secure, to + *got, n - *got, &more, &c->why);
        if (rc != 1)
            return rc;
        *got += more;
    }
}

/* After close_notify: whether the FIN is there as well. */
static void look_for_fin(struct rep_tls_conn *c)
{
    uint8_t byte;
    if (!c->fin && recv(c->fd, &byte, 1, 0) == 0)
        c->fin = true;
}

ssize_t rep_tls_recv(struct rep_tls_conn *c, uint8_t *to, size_t n)
{
    size_t got = 0;
    assert(n >= REP_TLS_RECV_MIN);
    if (c->early.p) {
        c->over = decrypt(c, to, n, &got);
        buf_done(&c->early);
    }
    if (got == 0 && c->over == 0) {
        ssize_t came = recv(c->fd, c->of->cipher, CIPHER_BYTES, 0);
        if (came < 0)
            return -1;
        if (came == 0) {
            c->fin = true;
            return 0;
        }
        secure_put(c->secure, span_of(c->of->cipher, (size_t)came));
        c->over = decrypt(c, to, n, &got);
    }
    if (got > 0)
        return (ssize_t)got;
    if (c->over == SECURE_END) {
        look_for_fin(c);
        return 0;
    }
    errno = c->over == 0                ? EAGAIN
            : c->over == ERR_NOMEM      ? ENOMEM
            : secure_alerted(c->secure) ? ECONNRESET
                                        : EPROTO;
    return -1;
}

bool rep_tls_over(const struct rep_tls_conn *c)
{
    return c->over != 0;
}

bool rep_tls_ended(const struct rep_tls_conn *c)
{
    return c->over == SECURE_END;
}

bool rep_tls_fin(const struct rep_tls_conn *c)
{
    return c->fin;
}

bool rep_tls_refused(const struct rep_tls_conn *c)
{
    return secure_refused(c->secure);
}

const char *rep_tls_why(const struct rep_tls_conn *c)
{
    return c->why.text;
}

void rep_tls_mark(struct rep_tls_conn *c)
{
    c->written = 0;
}

size_t rep_tls_written(const struct rep_tls_conn *c)
{
    return c->written;
}

/* --- the probe -------------------------------------------------------------------- */

/* A TLS 1.3 server has not judged our certificate yet when we are done. It does so
 * before it says anything else, but need not say anything until it is asked. */
static int await_refusal(struct rep_tls_conn *c, int64_t end_ns, struct err *e)
{
    uint8_t *to = malloc(REP_TLS_RECV_MIN);
    int64_t now = clk_mono_now(clk_system()).ns;
    int rc = 0;

    if (!to)
        return err_set(e, ERR_NOMEM, "out of memory for TLS");
    if (end_ns > now + REFUSAL_NS)
        end_ns = now + REFUSAL_NS;
    do {
        ssize_t n = rep_tls_recv(c, to, REP_TLS_RECV_MIN);
        if (n > 0)
            break;
        if (n < 0 && errno == EAGAIN) {
            if (secure_sessions_held(c->of->sessions) > 0)
                break; /* a ticket is for those who were let in */
            continue;
        }
        rc = err_set(e, ERR_PEER, "%s",
                     rep_tls_refused(c)
                         ? rep_tls_why(c)
                         : "the peer closed the connection after the TLS handshake, in "
                           "which it asked for a client's certificate");
        break;
    } while (rep_await(c->fd, false, end_ns) == 0);
    free(to);
    return rc;
}

static int shake_hands(struct rep_tls *t, int fd, int64_t end_ns,
                       struct secure_facts *facts, struct err *e)
{
    struct rep_tls_conn *c;
    int rc = rep_tls_open(&c, t, fd, e);
    if (rc < 0)
        return rc;
    while ((rc = rep_tls_handshake(c, e)) == 0) {
        int sys = rep_await(fd, rep_tls_pending(c), end_ns);
        if (sys != 0) {
            rc = broken(sys, e);
            break;
        }
    }
    if (rc == 1) {
        struct secure_facts f = rep_tls_facts(c);
        rc = f.late_refusal ? await_refusal(c, end_ns, e) : 0;
        if (facts)
            *facts = f;
    }
    rep_tls_close(c, false);
    return rc;
}

int rep_tls_probe(const struct rep_tls_config *config, const struct rep_address *target,
                  const char *alpn, int64_t timeout_ns, struct secure_facts *facts,
                  struct err *e)
{
    int64_t end_ns = clk_mono_now(clk_system()).ns + timeout_ns;
    struct rep_tls t;
    struct err why = {0};

    struct rep_tls_config own = *config;

    own.resume = true; /* to be given tickets */
    int rc = rep_tls_init(&t, &own, target, alpn, e);
    if (rc < 0)
        return rc;
    int fd = rep_connect(target, &why);
    int sys = fd < 0 ? why.sys : rep_await(fd, true, end_ns);
    if (sys == 0)
        sys = rep_connect_result(fd);
    rc = sys != 0 ? err_set(&why, ERR_PEER, "%s", strerror(sys))
                  : shake_hands(&t, fd, end_ns, facts, &why);
    if (fd >= 0)
        close(fd);
    rep_tls_done(&t);
    return rc < 0 ? err_set(e, ERR_PEER, "cannot reach %s over TLS: %s",
                            target->authority, why.text)
                  : 0;
}
