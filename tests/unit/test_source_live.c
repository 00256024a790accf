/*
 * test_source_live.c - the filter of a live source, and real packets on loopback. What
 * needs the capability CAP_NET_RAW is skipped without it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pcap/pcap.h>

#include "capture/flow.h"
#include "capture/link.h"
#include "capture/source.h"
#include "tests/unit/check.h"
#include "tests/unit/pktbuild.h"
#include "traces/base/rng.h"

#define ROUNDS   200
#define PATIENCE 200 /* waits of CAP_LIVE_WAIT_MS until the test gives up */
#define NOBODY   65534

/* --- the filter ---------------------------------------------------------------------
 */

static void the_filter_is_the_ports_and_what_hides_them(void **state)
{
    (void)state;
    const uint16_t ports[] = {9000, 9999};
    char text[CAP_FILTER_MAX];
    cap_live_filter(&(struct cap_live){.ports = ports, .port_count = 2}, false, text);
    check_str(text,
              "(tcp and (port 9000 or port 9999)) or (ip[9] = 6 and ip[6:2] & 0x1fff "
              "!= 0) or (ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 44 or ip6[6] = 60)");
    cap_live_filter(&(struct cap_live){0}, false, text);
    check_str_has(text, "(tcp) or (ip[9] = 6");
}

static bool takes(const struct bpf_program *program, const struct pkt_style *how,
                  uint16_t from, uint16_t to, bool last_fragment)
{
    struct pkt_tcp t = {.src = pkt_end(how->ip6, 1, from),
                        .dst = pkt_end(how->ip6, 2, to),
                        .flags = CAP_ACK,
                        .payload = SPAN_LIT("payload of a segment that is cut in two")};
    struct buf frame = {0};
    if (last_fragment)
        pkt_fragment(&frame, how, &t, 1, 32, 1000);
    else
        pkt_frame(&frame, how, &t);
    struct pcap_pkthdr head = {.caplen = (uint32_t)frame.n, .len = (uint32_t)frame.n};
    bool taken = pcap_offline_filter(program, &head, frame.p) > 0;
    buf_done(&frame);
    return taken;
}

static void the_filter_takes_what_it_should_and_no_more(void **state)
{
    (void)state;
    static const int links[] = {CAP_LINK_ETHERNET, CAP_LINK_SLL, CAP_LINK_SLL2};
    uint16_t ports[CAP_LIVE_PORTS_MAX];
    for (uint16_t i = 0; i < CAP_LIVE_PORTS_MAX; i++)
        ports[i] = (uint16_t)(9000 + i);
    for (size_t i = 0; i < 3; i++) {
        pcap_t *dead = pcap_open_dead(links[i], CAP_LIVE_SNAPLEN);
        struct bpf_program program;
        char text[CAP_FILTER_MAX];
        bool vlan = links[i] == CAP_LINK_ETHERNET;
        cap_live_filter(
            &(struct cap_live){.ports = ports, .port_count = CAP_LIVE_PORTS_MAX}, vlan,
            text);
        if (pcap_compile(dead, &program, text, 1, PCAP_NETMASK_UNKNOWN) < 0)
            fail_msg("%s", pcap_geterr(dead));
        check_int(program.bf_len, <=, 4096); /* what the kernel takes */
        for (int ip6 = 0; ip6 < 2; ip6++)
            for (unsigned tags = 0; tags <= (vlan ? 2 : 0); tags++) {
                struct pkt_style how = {
                    .link_type = links[i], .ip6 = ip6, .vlans = tags};
                check_true(takes(&program, &how, 40000, 9000, false));
                check_true(takes(&program, &how, 9127, 40000, false));
                check_true(!takes(&program, &how, 40000, 9128, false));
                check_true(takes(&program, &how, 40000, 9000, true));
                how.extensions = 1;
                check_true(ip6 == takes(&program, &how, 40000, 80, false));
            }
        pcap_freecode(&program);
        pcap_close(dead);
    }
}

/* --- loopback -----------------------------------------------------------------------
 */

struct talk {
    int listener, client, server; /* sockets */
    uint16_t port;
    struct buf said[2], heard[2]; /* towards the server, back */
    int closed;
    uint64_t gaps;
};

static void talk_open(struct talk *t)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    t->listener = socket(AF_INET, SOCK_STREAM, 0);
    check_true(bind(t->listener, (struct sockaddr *)&at, sizeof at) == 0);
    check_true(listen(t->listener, 1) == 0);
    check_true(getsockname(t->listener, (struct sockaddr *)&at, &n) == 0);
    t->port = ntohs(at.sin_port);
}

static void say(struct talk *t, int dir, const uint8_t *bytes, size_t n)
{
    int from = dir ? t->server : t->client, to = dir ? t->client : t->server;
    uint8_t *got = malloc(n);
    check_true(got && write(from, bytes, n) == (ssize_t)n);
    for (size_t have = 0; have < n;) {
        ssize_t k = read(to, got + have, n - have);
        check_true(k > 0);
        have += (size_t)k;
    }
    free(got);
    buf_add(&t->said[dir], bytes, n);
}

static void talk(struct talk *t)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(t->port)};
    t->client = socket(AF_INET, SOCK_STREAM, 0);
    check_true(connect(t->client, (struct sockaddr *)&at, sizeof at) == 0);
    t->server = accept(t->listener, NULL, NULL);
    check_true(t->server >= 0);
    struct rng r;
    rng_init(&r, t->port);
    uint8_t bytes[5000];
    for (int i = 0; i < ROUNDS; i++) {
        size_t n = 1 + rng_below(&r, sizeof bytes);
        for (size_t k = 0; k < n; k++)
            bytes[k] = (uint8_t)rng_u64(&r);
        say(t, i & 1, bytes, n);
    }
    close(t->client);
    close(t->server);
    close(t->listener);
}

static void *on_open(void *arg, const struct cap_flow_info *info, struct clk_wall at)
{
    const struct talk *t = arg;
    (void)at;
    check_int(info->server.port, ==, t->port);
    check_true(info->from_start);
    return arg;
}

static void on_data(void *arg, void *conn, int dir, struct clk_wall at,
                    struct span bytes)
{
    struct talk *t = arg;
    (void)conn;
    (void)at;
    buf_span(&t->heard[dir], bytes);
}

static void on_gap(void *arg, void *conn, int dir, struct clk_wall at, uint64_t bytes,
                   enum cap_gap why)
{
    struct talk *t = arg;
    (void)conn;
    (void)dir;
    (void)at;
    (void)why;
    t->gaps += bytes;
}

static void on_finish(void *arg, void *conn, int dir, struct clk_wall at)
{
    (void)arg;
    (void)conn;
    (void)dir;
    (void)at;
}

static void on_close(void *arg, void *conn, struct clk_wall at, enum cap_end how)
{
    struct talk *t = arg;
    (void)conn;
    (void)at;
    check_true(how == CAP_END_FIN || how == CAP_END_RST);
    t->closed++;
}

/* Reads until the connection is closed. */
static void listen_to(struct talk *t, struct cap_source *s)
{
    struct cap_flow_sink sink = {on_open,  on_data, on_gap, on_finish,
                                 on_close, t,       NULL};
    struct cap_flows *f = cap_flows_new(&sink, &t->port, 1, NULL);
    struct cap_link *l = cap_link_new(NULL);
    check_true(f && l);
    struct cap_packet p;
    struct cap_segment seg;
    struct err e = {0};
    for (int quiet = 0; !t->closed && quiet < PATIENCE;) {
        int event = cap_source_next(s, &p, &e);
        check_true(event > 0);
        quiet = event == CAP_SOURCE_QUIET ? quiet + 1 : 0;
        if (event == CAP_SOURCE_PACKET &&
            cap_link_decode(l, &p, &seg) == CAP_SEEN_SEGMENT)
            cap_flows_segment(f, &seg);
    }
    cap_flows_free(f);
    cap_link_free(l);
    check_int(t->closed, ==, 1);
    check_int(t->gaps, ==, 0);
    for (int dir = 0; dir < 2; dir++) {
        check_true(span_eq(buf_view(&t->heard[dir]), buf_view(&t->said[dir])));
        buf_done(&t->heard[dir]);
        buf_done(&t->said[dir]);
    }
    const struct cap_source_counts *c = cap_source_counts(s);
    check_true(c->drops_known && c->packets > ROUNDS);
    check_int(c->kernel_drops, ==, 0);
}

static struct cap_source *open_or_skip(const struct cap_live *how)
{
    struct cap_source *s;
    struct err e = {0};
    int rc = cap_source_open_live(&s, how, &e);
    if (rc == ERR_IO && strstr(e.text, "CAP_NET_RAW"))
        skip();
    check_ok(rc, &e);
    check_true(cap_source_fd(s) >= 0);
    return s;
}

static void loopback_is_captured_byte_for_byte(void **state)
{
    (void)state;
    struct talk t = {0};
    talk_open(&t);
    struct cap_source *s = open_or_skip(
        &(struct cap_live){.interface = "lo", .ports = &t.port, .port_count = 1});
    talk(&t);
    listen_to(&t, s);
    cap_source_close(s);
}

static void all_interfaces_are_captured_at_once(void **state)
{
    (void)state;
    struct talk t = {0};
    talk_open(&t);
    struct cap_source *s = open_or_skip(&(struct cap_live){
        .interface = "any", .ports = &t.port, .port_count = 1, .ring_bytes = 8 << 20});
    talk(&t);
    listen_to(&t, s);
    cap_source_close(s);
}

static void a_quiet_interface_says_so(void **state)
{
    (void)state;
    const uint16_t port = 1; /* no one listens there */
    struct cap_source *s = open_or_skip(&(struct cap_live){
        .interface = "lo", .ports = &port, .port_count = 1, .no_wait = true});
    struct cap_packet p;
    check_int(cap_source_next(s, &p, NULL), ==, CAP_SOURCE_QUIET);
    cap_source_close(s);
}

/* Runs the test in a process of its own, which may give up its privileges. */
static void in_child(bool (*test)(void))
{
    pid_t pid = fork();
    check_true(pid >= 0);
    if (pid == 0)
        _exit(test() ? 0 : 1);
    int status;
    check_true(waitpid(pid, &status, 0) == pid);
    check_int(status, ==, 0);
}

static bool is_refused_without_capability(void)
{
    struct cap_source *s;
    struct err e = {0};
    return cap_source_open_live(&s, &(struct cap_live){.interface = "lo"}, &e) ==
               ERR_IO &&
           !s && strstr(e.text, "capturing on 'lo' needs the capability CAP_NET_RAW");
}

static bool nobody_is_refused(void)
{
    if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
        return false;
    return is_refused_without_capability();
}

static void the_missing_capability_is_named(void **state)
{
    (void)state;
    in_child(nobody_is_refused);
}

static bool captures_as_nobody(void)
{
    struct talk t = {0};
    struct cap_source *s;
    struct err e = {0};
    talk_open(&t);
    if (cap_source_open_live(
            &s,
            &(struct cap_live){
                .interface = "lo", .ports = &t.port, .port_count = 1, .user = "nobody"},
            &e) < 0)
        return false;
    talk(&t);
    listen_to(&t, s);
    cap_source_close(s);
    return geteuid() == NOBODY && getuid() == NOBODY && setuid(0) < 0 &&
           is_refused_without_capability();
}

static void privileges_are_dropped_once_it_is_open(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    cap_source_close(open_or_skip(&(struct cap_live){.interface = "lo"}));
    in_child(captures_as_nobody);
}

static void what_is_not_there_is_a_mistake_of_the_user(void **state)
{
    (void)state;
    struct cap_source *s;
    struct err e = {0};
    check_int(
        cap_source_open_live(
            &s, &(struct cap_live){.interface = "lo", .user = "no-such-user"}, &e),
        ==, ERR_USAGE);
    check_str(e.text, "there is no user 'no-such-user'");
    e = (struct err){0};
    check_int(
        cap_source_open_live(
            &s, &(struct cap_live){.interface = "lo", .ring_bytes = 2ul << 30}, &e),
        ==, ERR_USAGE);
    check_str_has(e.text, "a ring of 2147483648 bytes is over the limit");
    cap_source_close(open_or_skip(&(struct cap_live){.interface = "lo"}));
    e = (struct err){0};
    check_int(
        cap_source_open_live(&s, &(struct cap_live){.interface = "no-such-0"}, &e), ==,
        ERR_USAGE);
    check_str(e.text, "there is no interface 'no-such-0'");
    check_true(s == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_filter_is_the_ports_and_what_hides_them),
        cmocka_unit_test(the_filter_takes_what_it_should_and_no_more),
        cmocka_unit_test(loopback_is_captured_byte_for_byte),
        cmocka_unit_test(all_interfaces_are_captured_at_once),
        cmocka_unit_test(a_quiet_interface_says_so),
        cmocka_unit_test(the_missing_capability_is_named),
        cmocka_unit_test(privileges_are_dropped_once_it_is_open),
        cmocka_unit_test(what_is_not_there_is_a_mistake_of_the_user),
    };
    return cmocka_run_group_tests_name("source_live", tests, NULL, NULL);
}
