/* tls_peer.c - see tls_peer.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/tls_peer.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/check.h"

static char folder[64];

static const char script[] =
    "cd '%s' && exec 2>/dev/null\n"
    "ec='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
    "openssl req -x509 $ec -keyout ca.key -out ca.pem -days 2 -subj '/CN=test ca'\n"
    "openssl req -x509 $ec -keyout stranger.key -out stranger.pem -days 2 -subj /CN=s\n"
    "one() {\n"
    "  openssl req $ec -keyout $1.key -out csr -subj /CN=$1\n"
    "  echo \"subjectAltName=$2\" >ext\n"
    "  openssl x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $1.pem "
    "-days $3 -extfile ext\n"
    "}\n"
    "one server DNS:localhost,IP:127.0.0.1 2; one other DNS:elsewhere.example 2\n"
    "one client DNS:client.example 2; one expired DNS:localhost,IP:127.0.0.1 -1\n"
    "test -s expired.pem\n";

void tls_files_make(void)
{
    char command[2048];
    snprintf(folder, sizeof folder, "/tmp/reprise-tls-XXXXXX");
    check_true(mkdtemp(folder) != NULL);
    snprintf(command, sizeof command, script, folder);
    check_int(system(command), ==, 0);
}

void tls_files_remove(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    check_int(system(command), ==, 0);
}

const char *tls_file(const char *name)
{
    static char paths[64][128];
    static unsigned next;
    char *p = paths[next++ % 64];
    snprintf(p, sizeof paths[0], "%s/%s", folder, name);
    return p;
}

struct inner {
    const struct tls_peer *t;
    int fd, nth;
};

static void *run_inner(void *arg)
{
    struct inner *in = arg;
    in->t->inner(in->fd, in->nth, in->t->arg);
    close(in->fd);
    return NULL;
}

static bool put_out(const struct tls_peer *t, struct secure *s, int fd)
{
    struct buf *out = secure_out(s);
    size_t step = t->dribbles ? 1 : out->n;
    for (size_t at = 0; at < out->n; at += step)
        if (!peer_send(fd, out->p + at, step))
            return false;
    buf_reset(out);
    return true;
}

/* From the client to the inner peer. False: over. */
static bool inward(const struct tls_peer *t, struct secure *s, int fd, int inner,
                   bool *agreed)
{
    static _Thread_local uint8_t cipher[65536], plain[65536];
    struct err e = {0};
    size_t got;
    ssize_t n = read(fd, cipher, sizeof cipher);
    int rc = 1;

    if (n <= 0) {
        shutdown(inner, SHUT_WR);
        return false;
    }
    secure_put(s, span_of(cipher, (size_t)n));
    if (!*agreed) {
        rc = secure_handshake(s, &e);
        *agreed = rc == 1;
    }
    while (rc == 1 && (rc = secure_read(s, plain, sizeof plain, &got, &e)) == 1)
        if (!peer_send(inner, plain, got))
            rc = -1;
    bool goes_on = put_out(t, s, fd) && rc == 0;
    if (!goes_on) /* also where the client left in the middle of the handshake */
        shutdown(inner, SHUT_WR);
    return goes_on;
}

static void pump(const struct tls_peer *t, struct secure *s, int fd, int inner)
{
    static _Thread_local uint8_t plain[65536];
    struct err e = {0};
    bool agreed = false, listening = true;

    for (;;) {
        struct pollfd p[] = {
            {.fd = listening ? fd : -1, .events = POLLIN},
            {.fd = agreed || !listening ? inner : -1, .events = POLLIN}};
        if (poll(p, 2, 120000) <= 0)
            return;
        if (p[0].revents)
            listening = inward(t, s, fd, inner, &agreed);
        if (!p[1].revents)
            continue;
        ssize_t n = read(inner, plain, sizeof plain);
        if (n <= 0)
            break;
        if (!agreed || secure_write(s, span_of(plain, (size_t)n), &e) < 0 ||
            !put_out(t, s, fd))
            return;
    }
    if (agreed && !t->truncates) {
        secure_end(s);
        (void)put_out(t, s, fd);
    }
}

void tls_peer(int fd, int nth, void *arg)
{
    const struct tls_peer *t = arg;
    struct err e = {0};
    struct secure *s;
    int pair[2];
    pthread_t thread;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ||
        secure_open(&s, t->context, NULL, NULL, &e) < 0)
        abort();
    struct inner in = {t, pair[1], nth};
    if (pthread_create(&thread, NULL, run_inner, &in) != 0)
        abort();
    pump(t, s, fd, pair[0]);
    close(pair[0]);
    pthread_join(thread, NULL);
    secure_close(s);
}
