/* test_metrics.c - the page for Prometheus, and its server against rude clients.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "replay/metrics.h"
#include "traces/base/clk.h"

static struct rep_metrics *server;
static int pages;

static int setup(void **state)
{
    (void)state;
    pages = 0;
    return rep_metrics_open(&server, ":0", NULL);
}

static int teardown(void **state)
{
    (void)state;
    rep_metrics_close(server);
    return 0;
}

static void make(void *arg, struct buf *page)
{
    (void)arg;
    pages++;
    buf_str(page, "up 1\n");
}

static int dial(void)
{
    const char *colon = strrchr(rep_metrics_address(server), ':');
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(colon + 1)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check_int(connect(fd, (struct sockaddr *)&to, sizeof to), ==, 0);
    return fd;
}

static void say(int fd, const char *text)
{
    size_t n = strlen(text);
    check_int(send(fd, text, n, MSG_NOSIGNAL), ==, (ssize_t)n);
}

/* Serves at that moment until the client's connection says something or ends. */
static const char *hear(int fd, int64_t now)
{
    static char text[4096];
    size_t got = 0;
    for (int i = 0; i < 120000 && got < sizeof text - 1; i++) {
        rep_metrics_serve(server, now, make, NULL);
        ssize_t n = recv(fd, text + got, sizeof text - 1 - got, MSG_DONTWAIT);
        if (n == 0)
            break;
        if (n > 0)
            got += (size_t)n;
        else
            usleep(500);
    }
    text[got] = '\0';
    return text;
}

static void check_answer(const char *request, const char *status, const char *body)
{
    int fd = dial();
    say(fd, request);
    const char *text = hear(fd, 0);
    check_int(strncmp(text, status, strlen(status)), ==, 0);
    const char *end = strstr(text, "\r\n\r\n");
    check_true(end != NULL);
    check_str(end + 4, body);
    close(fd);
    rep_metrics_serve(server, 0, make, NULL);
}

static void the_page_is_served_and_nothing_else(void **state)
{
    (void)state;
    check_answer("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n",
                 "up 1\n");
    check_answer("HEAD /metrics HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "");
    check_int(pages, ==, 2);
    check_answer("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ", "only /metrics\n");
    check_answer("POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 ",
                 "only GET and HEAD\n");
    check_answer("GET /metrics\r\n\r\n", "HTTP/1.1 400 ", "no HTTP/1.1\n");
    check_answer("\r\n\r\n", "HTTP/1.1 400 ", "no HTTP/1.1\n");
    check_answer("\x16\x03\x01 \xff \x80\r\n\r\n", "HTTP/1.1 400 ", "no HTTP/1.1\n");
    check_int(pages, ==, 2);
}

static void a_request_may_come_byte_by_byte(void **state)
{
    const char *request = "GET /metrics HTTP/1.1\r\n\r\n";
    int fd = dial();
    (void)state;
    for (const char *p = request; *p; p++) {
        char one[2] = {*p, '\0'};
        say(fd, one);
        rep_metrics_serve(server, 0, make, NULL);
    }
    check_str_has(hear(fd, 0), "up 1\n");
    close(fd);
}

static void an_endless_request_is_turned_away(void **state)
{
    char much[REP_METRICS_HEAD_MAX + 1];
    int fd = dial();
    (void)state;
    memset(much, 'a', sizeof much - 1);
    much[sizeof much - 1] = '\0';
    say(fd, much);
    check_str_has(hear(fd, 0), "HTTP/1.1 431 ");
    close(fd);
}

static void who_says_nothing_makes_room_after_a_while(void **state)
{
    int idle[REP_METRICS_CLIENTS];
    (void)state;
    for (size_t i = 0; i < REP_METRICS_CLIENTS; i++)
        idle[i] = dial();
    for (size_t i = 0; i < 2 * REP_METRICS_CLIENTS; i++)
        rep_metrics_serve(server, 0, make, NULL);
    int fd = dial();
    say(fd, "GET /metrics HTTP/1.1\r\n\r\n");
    for (int i = 0; i < 50; i++)
        rep_metrics_serve(server, REP_METRICS_PATIENCE_NS - 1, make, NULL);
    check_int(pages, ==, 0); /* all places are taken */
    check_str_has(hear(fd, REP_METRICS_PATIENCE_NS), "up 1\n");
    for (size_t i = 0; i < REP_METRICS_CLIENTS; i++)
        close(idle[i]);
    close(fd);
}

static void addresses_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = {"",          "9464",        "localhost:9464",
                                      "1.2.3.4:",  "1.2.3.4:x",   "127.0.0.1:65536",
                                      "::1:9464",  "[::1:9464",   "127.0.0.1:123456",
                                      "1.2.3:4:5", "127.0.0.1:-1"};
    struct rep_metrics *m = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        check_int(rep_metrics_open(&m, bad[i], &e), ==, ERR_USAGE);
        check_str_has(e.text, "--metrics");
        check_true(m == NULL);
    }
    struct err e = {0};
    check_int(rep_metrics_open(&m, rep_metrics_address(server), &e), ==, ERR_IO);
}

static void the_page_counts_each_outcome_once(void **state)
{
    struct rep_tally t;
    struct rep_health health = {.verdict = REP_DEGRADED};
    struct rep_progress_counts counts = {.due = 5, .sent = 4, .in_flight = 1};
    struct rep_metrics_view v = {.tier = "envoy",
                                 .tally = &t,
                                 .counts = &counts,
                                 .health = &health,
                                 .position_ns = 1500 * CLK_MS};
    struct buf page = {0};
    struct err e = {0};
    (void)state;
    check_ok(rep_tally_init(&t, &e), &e);
    for (int i = 0; i < 4; i++) {
        struct outcome o = outcome_empty();
        o.cause = i < 3 ? OUT_OK : OUT_STATUS;
        o.status = i < 3 ? 200 : 503;
        o.due_ns = o.ready_ns = 0;
        o.sent_ns = 20 * CLK_US;
        o.first_ns = o.done_ns = (i + 1) * 2 * CLK_MS;
        o.attempts = 1;
        (void)rep_tally_add(&t, &o, NULL);
    }
    rep_metrics_page(&v, &page);
    const char *text = buf_text(&page);
    check_str_has(text, "# TYPE reprise_operations_total counter\n");
    check_str_has(text, "reprise_operations_total{tier=\"envoy\",outcome=\"ok\"} 3\n");
    check_str_has(text,
                  "reprise_operations_total{tier=\"envoy\",outcome=\"http 503\"} 1\n");
    check_str_has(text, "reprise_operations_in_flight{tier=\"envoy\"} 1\n");
    check_str_has(text, "reprise_health{verdict=\"DEGRADED\"} 1\n");
    check_str_has(text, "reprise_health{verdict=\"VALID\"} 0\n");
    check_str_has(text, "reprise_position_seconds 1.500\n");
    check_str_has(text,
                  "reprise_response_seconds_bucket{tier=\"envoy\",le=\"0.001\"} 0");
    check_str_has(text,
                  "reprise_response_seconds_bucket{tier=\"envoy\",le=\"0.005\"} 2");
    check_str_has(text,
                  "reprise_response_seconds_bucket{tier=\"envoy\",le=\"+Inf\"} 4");
    check_str_has(text, "reprise_response_seconds_sum{tier=\"envoy\"} 0.020000000");
    check_str_has(text, "reprise_lateness_seconds_bucket{tier=\"envoy\",cause="
                        "\"generator\",le=\"1e-05\"} 0");
    check_str_has(text, "reprise_lateness_seconds_bucket{tier=\"envoy\",cause="
                        "\"generator\",le=\"2.5e-05\"} 4");
    buf_done(&page);
    rep_tally_done(&t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_page_is_served_and_nothing_else),
        TEST(a_request_may_come_byte_by_byte),
        TEST(an_endless_request_is_turned_away),
        TEST(who_says_nothing_makes_room_after_a_while),
        TEST(addresses_that_are_none_are_refused),
        cmocka_unit_test(the_page_counts_each_outcome_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
