/*
 * test_si_host.c - sockets of the stand-in: real ones on loopback, with a clock turned
 * by hand, so that a time-out of a minute takes none.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "deploy/standin/si_host.h"
#include "tests/unit/si_rig.h"

#define PATIENCE_MS 60000 /* real time that bytes may take through loopback */

struct site {
    struct si_rig rig;
    struct si_host host;
    const struct si_listener *at;
};

static void open_site(struct site *s, int tier, const char *service)
{
    struct err e = {0};
    const struct si_tier *t = &si_tiers[tier];
    si_rig_open(&s->rig, service, NULL, SI_RELEASE_2_10);
    check_ok(si_host_init(&s->host, s->rig.ev, &s->rig.core, &e), &e);
    check_ok(si_host_listen(&s->host, t, t->one_port ? SI_SPEAKS_BOTH : SI_SPEAKS_HTTP1,
                            "127.0.0.1:0", false, &s->at, &e),
             &e);
}

static void close_site(struct site *s)
{
    si_host_done(&s->host);
    si_rig_close(&s->rig);
}

static int call_in(const struct site *s)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port =
                                 htons((uint16_t)atoi(strchr(s->at->address, ':') + 1)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

/* Turns until the client has something to read. */
static void wait_readable(struct site *s, int fd)
{
    for (int i = 0; i < PATIENCE_MS && !readable(fd); i++) {
        si_rig_pass(&s->rig, 0);
        if (!readable(fd))
            usleep(1000);
    }
    assert_true(readable(fd));
}

/* Turns until the stand-in has seen `requests` requests. */
static void wait_requests(struct site *s, uint64_t requests)
{
    for (int i = 0; i < PATIENCE_MS && s->rig.core.counts.requests < requests; i++) {
        si_rig_pass(&s->rig, 0);
        if (s->rig.core.counts.requests < requests)
            usleep(1000);
    }
    check_int(s->rig.core.counts.requests, ==, requests);
}

static void wait_sockets(struct site *s, size_t wanted)
{
    for (int i = 0; i < PATIENCE_MS && s->host.socket_count != wanted; i++) {
        si_rig_pass(&s->rig, 0);
        if (s->host.socket_count != wanted)
            usleep(1000);
    }
    check_int(s->host.socket_count, ==, wanted);
}

/* What comes until nothing more does; "" at once after a close. */
static const char *hear(struct site *s, int fd)
{
    static char text[8192];
    wait_readable(s, fd);
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    return text;
}

#define READY "GET /v2/health/ready HTTP/1.1\r\nhost: a\r\n\r\n"

static void a_quiet_connection_is_closed_at_the_tiers_time(void **state)
{
    (void)state;
    static const struct {
        int tier;
        int64_t seconds; /* 0: it stays */
    } cases[] = {{SI_SERVER, 5}, {SI_GATEWAY, 65}, {SI_RPROXY, 0}, {SI_ENVOY, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct site s;
        open_site(&s, cases[i].tier, "fixed:0ms");
        int fd = call_in(&s);
        say(fd, READY);
        check_str_has(hear(&s, fd), "HTTP/1.1 ");
        int64_t seconds = cases[i].seconds ? cases[i].seconds : 100;
        si_rig_pass(&s.rig, seconds * CLK_SEC - 1);
        check_true(!readable(fd));
        si_rig_pass(&s.rig, 1);
        if (cases[i].seconds)
            check_str(hear(&s, fd), "");
        else
            check_true(!readable(fd));
        close(fd);
        close_site(&s);
    }
}

static void use_puts_the_close_off(void **state)
{
    (void)state;
    struct site s;
    open_site(&s, SI_SERVER, "fixed:0ms");
    int fd = call_in(&s);
    for (int i = 0; i < 5; i++) {
        say(fd, READY);
        check_str_has(hear(&s, fd), "HTTP/1.1 200");
        si_rig_pass(&s.rig, 4 * CLK_SEC);
    }
    check_true(!readable(fd));
    si_rig_pass(&s.rig, CLK_SEC);
    check_str(hear(&s, fd), "");
    close(fd);
    close_site(&s);
}

/* More connections than a turn of the loop reads from, all with something to read once
 * the stand-in is back from 7 s in which it was frozen. */
static void what_came_in_time_is_answered_however_late_it_is_read(void **state)
{
    (void)state;
    struct site s;
    int fds[400];
    open_site(&s, SI_SERVER, "fixed:0ms");
    for (int i = 0; i < 400; i++) {
        fds[i] = call_in(&s);
        say(fds[i], READY);
        check_str_has(hear(&s, fds[i]), "HTTP/1.1 200");
    }
    for (int i = 0; i < 400; i++)
        say(fds[i], READY);
    si_rig_pass(&s.rig, 7 * CLK_SEC);
    for (int i = 0; i < 400; i++) {
        check_str_has(hear(&s, fds[i]), "HTTP/1.1 200");
        close(fds[i]);
    }
    close_site(&s);
}

static void a_call_in_service_is_not_quiet(void **state)
{
    (void)state;
    struct site s;
    open_site(&s, SI_SERVER, "fixed:8s");
    int fd = call_in(&s);
    say(fd, "POST /v2/models/iris1_1/infer HTTP/1.1\r\ncontent-length: 93\r\n\r\n"
            "{\"inputs\":[{\"name\":\"predict\",\"shape\":[1,4],\"datatype\":\"FP32\","
            "\"data\":[1.0,2.0,3.0,4.0]}]}     ");
    wait_requests(&s, 1);
    si_rig_pass(&s.rig, 6 * CLK_SEC);
    check_true(!readable(fd));
    si_rig_pass(&s.rig, 2 * CLK_SEC);
    check_str_has(hear(&s, fd), "HTTP/1.1 200");
    close(fd);
    close_site(&s);
}

static void envoys_404_to_a_body_ends_in_a_reset(void **state)
{
    (void)state;
    struct site s;
    char more[10];
    open_site(&s, SI_ENVOY, "fixed:0ms");
    int fd = call_in(&s);
    say(fd, "POST /v2/models/nope/infer HTTP/1.1\r\nhost: a\r\ncontent-length: "
            "2\r\n\r\n{}");
    check_str_has(hear(&s, fd), "connection: close");
    check_true(!readable(fd)); /* the answer is not overtaken */
    si_rig_pass(&s.rig, CLK_SEC);
    wait_readable(&s, fd);
    assert_true(read(fd, more, sizeof more) < 0);
    assert_int_equal(errno, ECONNRESET);
    close(fd);
    wait_sockets(&s, 0);
    close_site(&s);
}

static void a_client_may_end_its_half_before_the_answer(void **state)
{
    (void)state;
    struct site s;
    open_site(&s, SI_SERVER, "fixed:5ms");
    int fd = call_in(&s);
    say(fd, "POST /v2/models/iris1_1/infer HTTP/1.1\r\ncontent-length: "
            "13\r\n\r\n{\"inputs\":[]}");
    wait_requests(&s, 1);
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 20; i++)
        si_rig_pass(&s.rig, 0);
    si_rig_pass(&s.rig, 5 * CLK_MS);
    check_str_has(hear(&s, fd), "HTTP/1.1 ");
    check_str(hear(&s, fd), "");
    close(fd);
    wait_sockets(&s, 0);
    close_site(&s);
}

static void a_client_that_vanishes_is_forgotten(void **state)
{
    (void)state;
    struct site s;
    open_site(&s, SI_GATEWAY, "fixed:0ms");
    int fd = call_in(&s);
    say(fd, "POST /v2/models/x/infer HTTP/1.1\r\nseldon-model: a.model\r\n"
            "content-length: 13\r\n\r\n{\"inputs\":[]}");
    wait_requests(&s, 1); /* and hangs */
    check_int(s.host.socket_count, ==, 1);
    close(fd);
    wait_sockets(&s, 0);
    check_true(s.rig.core.in_use == NULL);
    check_int(s.rig.core.counts.abandoned, ==, 1);
    close_site(&s);
}

static void a_large_answer_waits_for_a_slow_reader(void **state)
{
    (void)state;
    /* 4 MB of text through a socket buffer that holds a fraction of it. */
    struct site s;
    struct buf body = {0};
    open_site(&s, SI_SERVER, "fixed:0ms");
    buf_str(&body, "{\"inputs\":[{\"name\":\"predict\",\"shape\":[1],\"datatype\":"
                   "\"BYTES\",\"data\":[\"");
    for (int i = 0; i < 400000; i++)
        buf_str(&body, "0123456789");
    buf_str(&body, "\"]}]}");
    int fd = call_in(&s);
    char head[100];
    snprintf(head, sizeof head,
             "POST /v2/models/echo_1/infer HTTP/1.1\r\ncontent-length: %zu\r\n\r\n",
             body.n);
    say(fd, head);
    for (size_t sent = 0; sent < body.n;) {
        ssize_t n = send(fd, body.p + sent, body.n - sent, MSG_DONTWAIT);
        if (n > 0)
            sent += (size_t)n;
        si_rig_pass(&s.rig, 0);
    }
    wait_requests(&s, 1);
    size_t got = 0, wanted = 0;
    static char piece[100000];
    while (!wanted || got < wanted) {
        wait_readable(&s, fd);
        ssize_t n = read(fd, piece, sizeof piece - 1);
        assert_true(n > 0);
        if (!wanted) {
            piece[n] = 0;
            const char *end = strstr(piece, "\r\n\r\n");
            check_str_has(piece, "HTTP/1.1 200");
            assert_non_null(end);
            wanted = (size_t)(end + 4 - piece) +
                     (size_t)atol(strcasestr(piece, "content-length: ") + 16);
        }
        got += (size_t)n;
    }
    check_int(got, ==, wanted);
    check_int(got, >, 4000000);
    buf_done(&body);
    close(fd);
    close_site(&s);
}

static void only_loopback_is_listened_on(void **state)
{
    (void)state;
    struct site s;
    const struct si_listener *l;
    struct err e = {0};
    open_site(&s, SI_SERVER, "fixed:0ms");
    static const char *const refused[] = {"0.0.0.0:0", "[::]:0",     "127.0.0.1",
                                          ":80",       "127.0.0.1:", "127.0.0.1:http"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        err_clear(&e);
        check_int(si_host_listen(&s.host, &si_tiers[SI_SERVER], SI_SPEAKS_HTTP1,
                                 refused[i], false, &l, &e),
                  ==, ERR_USAGE);
    }
    err_clear(&e);
    check_int(si_host_listen(&s.host, &si_tiers[SI_SERVER], SI_SPEAKS_HTTP1,
                             s.at->address, false, &l, &e),
              ==, ERR_IO);
    check_str_has(e.text, "Address already in use");
    err_clear(&e);
    check_ok(si_host_listen(&s.host, &si_tiers[SI_SERVER], SI_SPEAKS_HTTP1,
                            "127.9.9.9:0", false, &l, &e),
             &e);
    check_true(strncmp(l->address, "127.9.9.9:", 10) == 0);
    close_site(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_connection_is_closed_at_the_tiers_time),
        cmocka_unit_test(use_puts_the_close_off),
        cmocka_unit_test(what_came_in_time_is_answered_however_late_it_is_read),
        cmocka_unit_test(a_call_in_service_is_not_quiet),
        cmocka_unit_test(envoys_404_to_a_body_ends_in_a_reset),
        cmocka_unit_test(a_client_may_end_its_half_before_the_answer),
        cmocka_unit_test(a_client_that_vanishes_is_forgotten),
        cmocka_unit_test(a_large_answer_waits_for_a_slow_reader),
        cmocka_unit_test(only_loopback_is_listened_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
