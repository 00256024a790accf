/*
 * test_si_tiers.c - what the tiers do over time and when things go wrong, on a clock
 * turned by hand. What a good answer looks like to the header is test_si_wire.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/si_rig.h"

#define MS  CLK_MS
#define SEC CLK_SEC

#define IRIS                                                                           \
    "{\"inputs\":[{\"name\":\"predict\",\"shape\":[1,4],\"datatype\":\"FP32\","        \
    "\"data\":"                                                                        \
    "[1,2,3,4]}]}"
/* One dimension too many for add10, which Triton answers with 400. */
#define BAD_ADD10                                                                      \
    "{\"inputs\":[{\"name\":\"INPUT\",\"shape\":[1,2],\"datatype\":\"INT32\","         \
    "\"data\":"                                                                        \
    "[1,2]}]}"
#define BAD_IRIS                                                                       \
    "{\"inputs\":[{\"name\":\"predict\",\"shape\":[2],\"datatype\":\"BYTES\","         \
    "\"data\":"                                                                        \
    "[\"a\",\"b\"]}]}"

static char request_text[16384];

/* A POST with these header lines ("name: value\r\n"…). */
static const char *post(const char *path, const char *headers, const char *body)
{
    snprintf(request_text, sizeof request_text,
             "POST %s HTTP/1.1\r\nhost: a\r\n%scontent-length: %zu\r\n\r\n%s", path,
             headers, strlen(body), body);
    return request_text;
}

static void send_text(struct si_client *c, const char *text)
{
    si_client_send(c, text, strlen(text));
}

static void send_infer(struct si_client *c, const char *headers, const char *body)
{
    send_text(c, post("/v2/models/iris1/infer", headers, body));
}

static bool has_answer(struct si_client *c)
{
    return strstr(si_client_got(c), "HTTP/1.1 ") != NULL;
}

static void answer_begins(struct si_client *c, const char *wanted)
{
    const char *got = si_client_got(c);
    if (strncmp(got, wanted, strlen(wanted)) != 0)
        fail_msg("answer is \"%.200s\", wanted \"%s\"", got, wanted);
}

/* Nothing before `from`, an answer that begins with `wanted` before `until`. */
static void answers_between(struct si_rig *rig, struct si_client *c, int64_t from,
                            int64_t until, const char *wanted)
{
    si_rig_pass(rig, from - 1);
    check_str(si_client_got(c), "");
    si_rig_pass(rig, until - from + 1);
    answer_begins(c, wanted);
}

/* One request, to a stand-in of its own. */
static void one_rest(enum si_release release, int tier, const char *request,
                     int64_t from, int64_t until, const char *wanted)
{
    struct si_rig rig;
    struct si_client c;
    si_rig_open(&rig, "fixed:0ms", NULL, release);
    si_client_open(&c, &rig, tier);
    send_text(&c, request);
    if (until == 0)
        answer_begins(&c, wanted);
    else
        answers_between(&rig, &c, from, until, wanted);
    si_client_close(&c);
    si_rig_close(&rig);
}

/* --- service and queue --------------------------------------------------------- */

static void an_answer_comes_when_its_service_time_is_over(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_client c;
    si_rig_open(&rig, "fixed:5ms", NULL, SI_RELEASE_2_10);
    si_client_open(&c, &rig, SI_ENVOY);
    send_infer(&c, "", IRIS);
    answers_between(&rig, &c, 5 * MS, 5 * MS, "HTTP/1.1 200 OK");
    check_str_has(si_client_got(&c), "x-envoy-upstream-service-time: 5\r\n");
    si_client_close(&c);
    si_rig_close(&rig);
}

static void one_worker_serves_one_after_the_other(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_client c[3];
    struct si_core_options o = {.workers = 1};
    si_rig_open(&rig, "fixed:10ms", &o, SI_RELEASE_2_10);
    for (int i = 0; i < 3; i++) {
        si_client_open(&c[i], &rig, SI_SERVER);
        send_text(&c[i], post("/v2/models/iris1_1/infer", "", IRIS));
    }
    /* Looked at late: the second began when the first was over, not when it was seen.
     */
    si_rig_pass(&rig, 12 * MS);
    check_true(has_answer(&c[0]) && !has_answer(&c[1]));
    si_rig_pass(&rig, 8 * MS);
    check_true(has_answer(&c[1]) && !has_answer(&c[2]));
    si_rig_pass(&rig, 10 * MS - 1);
    check_true(!has_answer(&c[2]));
    si_rig_pass(&rig, 1);
    check_true(has_answer(&c[2]));
    check_int(rig.core.queue.longest, ==, 2);
    for (int i = 0; i < 3; i++)
        si_client_close(&c[i]);
    si_rig_close(&rig);
}

static void a_client_that_goes_leaves_its_worker_busy(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_client gone, c;
    struct si_core_options o = {.workers = 1};
    si_rig_open(&rig, "fixed:10ms", &o, SI_RELEASE_2_10);
    si_client_open(&gone, &rig, SI_ENVOY);
    si_client_open(&c, &rig, SI_ENVOY);
    send_infer(&gone, "", IRIS);
    send_infer(&c, "", IRIS);
    si_client_close(&gone);
    answers_between(&rig, &c, 20 * MS, 20 * MS, "HTTP/1.1 200 OK");
    check_int(rig.core.counts.abandoned, ==, 1);
    check_true(rig.core.in_use == NULL);
    si_client_close(&c);
    si_rig_close(&rig);
}

/* --- retries, reloads, panics, hangs ------------------------------------------- */

static void envoy_retries_a_500_for_seconds_and_the_older_one_does_not(void **state)
{
    (void)state;
    const char *bad = "/v2/models/iris1/infer";
    one_rest(SI_RELEASE_2_10, SI_ENVOY, post(bad, "", BAD_IRIS), 2500 * MS, 7800 * MS,
             "HTTP/1.1 500 ");
    one_rest(SI_RELEASE_2_8, SI_ENVOY, post(bad, "", BAD_IRIS), 0, 0, "HTTP/1.1 500 ");
    one_rest(SI_RELEASE_2_10, SI_RPROXY,
             post(bad, "seldon-model: iris1\r\nseldon-internal-model: iris1_1\r\n",
                  BAD_IRIS),
             0, 0, "HTTP/1.1 500 ");
}

static void envoy_lets_a_retried_request_run_six_times(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_client c;
    struct si_core_options o = {.faults = {.rates = {[SI_FAULT_ERROR] = 1}},
                                .error_status = 503,
                                .error_at_model = true};
    si_rig_open(&rig, "fixed:100ms", &o, SI_RELEASE_2_10);
    si_client_open(&c, &rig, SI_ENVOY);
    send_infer(&c, "", IRIS);
    answers_between(&rig, &c, 3100 * MS, 8400 * MS, "HTTP/1.1 503 ");
    si_client_close(&c);
    si_rig_close(&rig);
}

static void a_big_body_is_not_retried(void **state)
{
    (void)state;
    size_t n = (1u << 20) + 100;
    char *body = malloc(n + 1);
    assert_non_null(body);
    memset(body, ' ', n);
    memcpy(body, BAD_IRIS, sizeof BAD_IRIS - 1);
    body[n] = 0;
    char head[200];
    snprintf(head, sizeof head,
             "POST /v2/models/iris1/infer HTTP/1.1\r\nhost: a\r\ncontent-length: "
             "%zu\r\n\r\n",
             n);
    struct si_rig rig;
    struct si_client c;
    si_rig_open(&rig, "fixed:0ms", NULL, SI_RELEASE_2_10);
    si_client_open(&c, &rig, SI_ENVOY);
    send_text(&c, head);
    si_client_send(&c, body, n);
    answer_begins(&c, "HTTP/1.1 500 ");
    si_client_close(&c);
    si_rig_close(&rig);
    free(body);
}

static void missing_tensors_are_a_400_of_mlserver_and_refused_ones_a_500(void **state)
{
    (void)state;
    const char *path = "/v2/models/iris1_1/infer";
    one_rest(SI_RELEASE_2_10, SI_SERVER, post(path, "", "{\"inputs\":[]}"), 0, 0,
             "HTTP/1.1 400 ");
    one_rest(SI_RELEASE_2_10, SI_SERVER, post(path, "", BAD_IRIS), 0, 0,
             "HTTP/1.1 500 ");
}

static void triton_tells_bad_json_from_bad_requests(void **state)
{
    (void)state;
    const char *path = "/v2/models/add10_1/infer";
    one_rest(
        SI_RELEASE_2_10, SI_SERVER, post(path, "", "{\"inputs\":"), 0, 0,
        "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n");
    one_rest(SI_RELEASE_2_10, SI_SERVER,
             post(path, "", "{\"inputs\":[{\"name\":\"a\"}]}"), 0, 0,
             "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n");
    one_rest(SI_RELEASE_2_10, SI_SERVER, post(path, "", BAD_ADD10), 0, 0,
             "HTTP/1.1 400 ");
}

static void rproxy_repeats_a_400_after_a_reload(void **state)
{
    (void)state;
    one_rest(SI_RELEASE_2_10, SI_RPROXY,
             post("/v2/models/add10-1/infer", "seldon-internal-model: add10-1_1\r\n",
                  BAD_ADD10),
             20 * MS, 50 * MS, "HTTP/1.1 400 ");
}

static void the_gateway_panics_on_more_strings_than_the_first_dimension(void **state)
{
    (void)state;
    static const char body[] = "{\"inputs\":[{\"name\":\"a\",\"shape\":[1,2],"
                               "\"datatype\":\"BYTES\",\"data\":[\"1\",\"2\"]}]}";
    struct si_rig rig;
    struct si_client c;
    si_rig_open(&rig, "fixed:0ms", NULL, SI_RELEASE_2_10);
    si_client_open(&c, &rig, SI_GATEWAY);
    send_infer(&c, "seldon-model: iris1.pipeline\r\n", body);
    check_str(si_client_got(&c), "");
    check_true(c.conn.ending);
    si_client_close(&c);
    si_rig_close(&rig);
    const char *path = "/v2/pipelines/iris1/infer";
    one_rest(SI_RELEASE_2_10, SI_ENVOY, post(path, "", body), 2800 * MS, 2800 * MS,
             "HTTP/1.1 503 ");
    one_rest(SI_RELEASE_2_8, SI_ENVOY, post(path, "", body), MS, MS, "HTTP/1.1 503 ");
}

/* Still nothing after an hour, at the gateway; through envoy the stream time-out. */
static void hangs(const char *headers, const char *body)
{
    struct si_rig rig;
    struct si_client c, through;
    si_rig_open(&rig, "fixed:0ms", NULL, SI_RELEASE_2_10);
    si_client_open(&c, &rig, SI_GATEWAY);
    send_infer(&c, headers, body);
    si_rig_pass(&rig, 3600 * SEC);
    check_str(si_client_got(&c), "");
    check_int(rig.core.counts.hung, ==, 1);
    si_client_close(&c);
    if (strstr(headers, ".pipeline")) {
        si_client_open(&through, &rig, SI_ENVOY);
        send_infer(&through, headers, body);
        answers_between(&rig, &through, 300 * SEC, 300 * SEC, "HTTP/1.1 504 ");
        check_str_has(si_client_got(&through), "\r\n\r\nstream timeout");
        si_client_close(&through);
    }
    check_true(rig.core.in_use == NULL);
    si_rig_close(&rig);
}

static void what_hangs_at_the_gateway(void **state)
{
    (void)state;
    hangs("seldon-model: iris1.pipeline\r\n", "{\"inputs\":[]}");
    hangs("seldon-model: iris1.model\r\n", BAD_IRIS);
    hangs("seldon-model: unknown.model\r\n", IRIS);
}

static void an_unknown_pipeline_hangs_at_the_older_release_only(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_client c;
    const char *request = "seldon-model: unknown.pipeline\r\n";
    si_rig_open(&rig, "fixed:0ms", NULL, SI_RELEASE_2_8);
    si_client_open(&c, &rig, SI_GATEWAY);
    send_infer(&c, request, IRIS);
    si_rig_pass(&rig, 3600 * SEC);
    check_str(si_client_got(&c), "");
    si_client_close(&c);
    si_rig_close(&rig);
    one_rest(SI_RELEASE_2_10, SI_GATEWAY, post("/v2/models/x/infer", request, IRIS), 0,
             0, "HTTP/1.1 500 Internal Server Error\r\n");
}

static void a_failed_step_is_a_400_with_its_model(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_client c;
    si_rig_open(&rig, "fixed:0ms", NULL, SI_RELEASE_2_10);
    si_client_open(&c, &rig, SI_GATEWAY);
    send_infer(&c, "seldon-model: iris1.pipeline\r\nx-request-id: q\r\n", BAD_IRIS);
    answer_begins(&c, "HTTP/1.1 400 ");
    check_str_has(si_client_got(&c), "X-Request-Id: 0.iris1.q\r\n");
    check_str_has(si_client_got(&c),
                  "\r\n\r\niris1 : rpc error: code = Internal desc = ");
    si_client_close(&c);
    si_rig_close(&rig);
}

static void equal_ids_mix_answers_up_and_the_first_hangs(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_client first, second;
    si_rig_open(&rig, "fixed:10ms", NULL, SI_RELEASE_2_10);
    si_client_open(&first, &rig, SI_GATEWAY);
    si_client_open(&second, &rig, SI_GATEWAY);
    const char *headers = "seldon-model: tfsimple1.pipeline\r\nx-request-id: same\r\n";
    char body[2][600];
    for (int i = 0; i < 2; i++) {
        char numbers[100] = "";
        for (int k = 0; k < 16; k++)
            sprintf(numbers + strlen(numbers), "%s%d", k ? "," : "", i ? 444 : 333);
        snprintf(body[i], sizeof body[i],
                 "{\"inputs\":[{\"name\":\"INPUT0\",\"shape\":[1,16],\"datatype\":"
                 "\"INT32\",\"data\":[%s]},{\"name\":\"INPUT1\",\"shape\":[1,16],"
                 "\"datatype\":\"INT32\",\"data\":[%s]}]}",
                 numbers, numbers);
    }
    send_infer(&first, headers, body[0]);
    si_rig_pass(&rig, 4 * MS);
    send_infer(&second, headers, body[1]);
    si_rig_pass(&rig,
                6 * MS); /* the first answer arrives, and the second caller waits */
    check_true(!has_answer(&first));
    answer_begins(&second, "HTTP/1.1 200 OK");
    check_str_has(si_client_got(&second),
                  "[666,666,"); /* 333 + 333, though it sent 444 */
    si_rig_pass(&rig, 3600 * SEC);
    check_true(!has_answer(&first));
    check_int(rig.core.counts.hung, ==, 1);
    si_client_close(&first);
    si_client_close(&second);
    check_true(rig.core.in_use == NULL);
    si_rig_close(&rig);
}

static void different_ids_do_not_mix(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_client a, b;
    si_rig_open(&rig, "fixed:10ms", NULL, SI_RELEASE_2_10);
    si_client_open(&a, &rig, SI_GATEWAY);
    si_client_open(&b, &rig, SI_GATEWAY);
    send_infer(&a, "seldon-model: iris1.pipeline\r\nx-request-id: 1\r\n", IRIS);
    send_infer(&b, "seldon-model: iris2.pipeline\r\nx-request-id: 1\r\n", IRIS);
    si_rig_pass(&rig, 10 * MS);
    check_str_has(si_client_got(&a), "0.iris1.1");
    check_str_has(si_client_got(&b), "0.iris2.1");
    si_client_close(&a);
    si_client_close(&b);
    si_rig_close(&rig);
}

static void the_older_gateway_is_poisoned_by_a_model_call(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_client c;
    struct err e = {0};
    static const char body[] = "{\"inputs\":[{\"name\":\"INPUT\",\"shape\":[4],"
                               "\"datatype\":\"FP32\",\"data\":[1,2,3,4]}]}";
    for (int release = SI_RELEASE_2_10; release <= SI_RELEASE_2_8; release++) {
        si_rig_open(&rig, "fixed:0ms", NULL, (enum si_release)release);
        check_ok(si_catalog_pipeline(&rig.world.catalog, "chain=add10-1,add10-2", &e),
                 &e);
        si_client_open(&c, &rig, SI_GATEWAY);
        send_infer(&c, "seldon-model: chain.pipeline\r\n", body);
        check_str_has(si_client_got(&c), "[21,22,23,24]");
        buf_reset(&c.got);
        send_infer(&c, "seldon-model: add10-1\r\n", body);
        check_str_has(si_client_got(&c), "[11,12,13,14]");
        buf_reset(&c.got);
        send_infer(&c, "seldon-model: chain.pipeline\r\n", body);
        check_str_has(si_client_got(&c),
                      release == SI_RELEASE_2_8 ? "[11,12,13,14]" : "[21,22,23,24]");
        si_client_close(&c);
        si_rig_close(&rig);
    }
}

static void a_cold_gateway_stalls_once(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_client c;
    si_rig_open(&rig, "fixed:0ms", NULL, SI_RELEASE_2_10);
    rig.world.cold = true;
    si_client_open(&c, &rig, SI_GATEWAY);
    send_infer(&c, "seldon-model: iris1.pipeline\r\n", IRIS);
    answers_between(&rig, &c, 600 * MS, 850 * MS, "HTTP/1.1 200 OK");
    buf_reset(&c.got);
    send_infer(&c, "seldon-model: iris1.pipeline\r\n", IRIS);
    answer_begins(&c, "HTTP/1.1 200 OK");
    buf_reset(&c.got);
    send_infer(&c, "seldon-model: iris1\r\n", IRIS);
    answers_between(&rig, &c, SEC, 2 * SEC, "HTTP/1.1 200 OK");
    si_client_close(&c);
    si_rig_close(&rig);
}

static void large_answers_come_chunked_to_who_names_no_encoding(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_client c;
    char body[4096] = "{\"inputs\":[{\"name\":\"predict\",\"shape\":[200,4],"
                      "\"datatype\":\"FP32\",\"data\":[";
    for (int i = 0; i < 800; i++)
        strcat(body, i ? ",1" : "1");
    strcat(body, "]}]}");
    const char *headers = "seldon-model: iris1\r\nseldon-internal-model: iris1_1\r\n";
    si_rig_open(&rig, "fixed:0ms", NULL, SI_RELEASE_2_10);
    si_client_open(&c, &rig, SI_RPROXY);
    send_infer(&c, headers, body);
    answer_begins(&c, "HTTP/1.1 200 OK");
    check_str_has(si_client_got(&c), "Transfer-Encoding: chunked\r\n");
    check_true(!strstr(si_client_got(&c), "Content-Length"));
    check_true(span_ends(span_str(si_client_got(&c)), "\r\n0\r\n\r\n"));
    buf_reset(&c.got);
    char with[200];
    snprintf(with, sizeof with, "%saccept-encoding: identity\r\n", headers);
    send_infer(&c, with, body);
    check_str_has(si_client_got(&c), "Content-Length: ");
    si_client_close(&c);
    si_rig_close(&rig);
}

/* --- connections --------------------------------------------------------------- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_client c;
    si_rig_open(&rig, "fixed:5ms", NULL, SI_RELEASE_2_10);
    si_client_open(&c, &rig, SI_ENVOY);
    char both[40000];
    snprintf(both, sizeof both, "%s", post("/v2/models/iris1/infer", "", IRIS));
    strcat(both, "GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n");
    strcat(both, post("/v2/models/iris2/infer", "connection: close\r\n", IRIS));
    send_text(&c, both);
    si_rig_pass(&rig, 5 * MS);
    check_str_has(si_client_got(&c), ":iris1_1:");
    check_str_has(si_client_got(&c), "HTTP/1.1 404 ");
    check_true(!strstr(si_client_got(&c), ":iris2_1:"));
    si_rig_pass(&rig, 5 * MS);
    check_str_has(si_client_got(&c), ":iris2_1:");
    check_true(c.conn.ending);
    si_client_close(&c);
    si_rig_close(&rig);
}

static void a_request_may_come_byte_by_byte(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_client c;
    si_rig_open(&rig, "fixed:0ms", NULL, SI_RELEASE_2_10);
    si_client_open(&c, &rig, SI_ENVOY);
    const char *text = post("/v2/models/iris1/infer", "expect: 100-continue\r\n", IRIS);
    for (const char *p = text; *p; p++)
        si_client_send(&c, p, 1);
    answer_begins(&c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n");
    check_true(si_conn_idle(&c.conn));
    si_client_close(&c);
    si_rig_close(&rig);
}

static void what_is_not_http_is_refused(void **state)
{
    (void)state;
    one_rest(SI_RELEASE_2_10, SI_SERVER, "\x16\x03\x01 hello", 0, 0, "HTTP/1.1 400 ");
    one_rest(SI_RELEASE_2_10, SI_SERVER,
             "POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", 0, 0,
             "HTTP/1.1 413 ");
    one_rest(SI_RELEASE_2_10, SI_ENVOY, "PRI * HTTP/1.1\r\nhost: a\r\n\r\n", 0, 0,
             "HTTP/1.1 404 ");
    one_rest(SI_RELEASE_2_10, SI_ENVOY, "GET /v2 HTTP/1.1\r\n\r\n", 0, 0,
             "HTTP/1.1 400 ");
    one_rest(SI_RELEASE_2_10, SI_RPROXY, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 0,
             "HTTP/1.1 400 ");
}

static void injected_faults_over_http1(void **state)
{
    (void)state;
    static const struct {
        enum si_fault fault;
        const char *begins;
        bool ends;
    } cases[] = {
        {SI_FAULT_ERROR, "HTTP/1.1 429 Too Many Requests\r\n", false},
        {SI_FAULT_CLOSE, "HTTP/1.1 200 OK\r\n", true},
        {SI_FAULT_GARBAGE, "\x7f\x01 this is not HTTP\n", true},
        {SI_FAULT_NEVER, "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct si_rig rig;
        struct si_client c;
        struct si_core_options o = {.error_status = 429};
        o.faults.rates[cases[i].fault] = 1;
        si_rig_open(&rig, "fixed:1ms", &o, SI_RELEASE_2_10);
        si_client_open(&c, &rig, SI_SERVER);
        send_text(&c, post("/v2/models/iris1_1/infer", "", IRIS));
        si_rig_pass(&rig, MS);
        answer_begins(&c, cases[i].begins);
        check_int(c.conn.ending, ==, cases[i].ends);
        check_int(rig.core.counts.faults[cases[i].fault], ==, 1);
        if (cases[i].fault == SI_FAULT_CLOSE)
            check_true(!strstr(si_client_got(&c), "]}]}"));
        if (cases[i].fault == SI_FAULT_NEVER)
            check_str(si_client_got(&c), "");
        /* What does not reach a model is never hit. */
        struct si_client other;
        si_client_open(&other, &rig, SI_SERVER);
        send_text(&other, "GET /v2/health/ready HTTP/1.1\r\n\r\n");
        answer_begins(&other, "HTTP/1.1 200 OK");
        si_client_close(&other);
        si_client_close(&c);
        si_rig_close(&rig);
    }
}

/* --- gRPC ---------------------------------------------------------------------- */

#define SERVICE "/inference.GRPCInferenceService/"

static struct span framed(const char *message, size_t n)
{
    static uint8_t bytes[1024];
    memset(bytes, 0, 4);
    bytes[4] = (uint8_t)n;
    memcpy(bytes + 5, message, n);
    return span_of(bytes, n + 5);
}

static const char *grpc_fields(const char *method, const char *more)
{
    static char text[1024];
    snprintf(text, sizeof text,
             ":method: POST\n:scheme: http\n:authority: a\n:path: " SERVICE
             "%s\ncontent-type: application/grpc\nte: trailers\n%s",
             method, more);
    return text;
}

/* grpc-status, from headers or trailers; -1 while there is none. */
static int status_of(struct si_h2_answer *a)
{
    const char *at = strstr(buf_text(&a->trailers), "grpc-status: ");
    if (!at)
        at = strstr(buf_text(&a->headers), "grpc-status: ");
    return at ? atoi(at + 13) : -1;
}

struct grpc_case {
    int tier;
    const char *method, *headers, *name; /* name: field 1 of the message */
    int code_210, code_28;               /* -1: hangs */
};

static void codes_by_tier_method_and_release(void **state)
{
    (void)state;
#define BOTH "seldon-model: iris1\nseldon-internal-model: iris1_1\n"
    static const struct grpc_case cases[] = {
        {SI_ENVOY, "ModelReady", "seldon-model: iris1\n", "x", 0, 0},
        {SI_ENVOY, "ModelReady", "seldon-model: nope\n", "x", 12, 12},
        {SI_ENVOY, "ModelReady", "", "iris1", 12, 12},
        {SI_ENVOY, "ModelReady", "seldon-model: iris1\nx-seldon-route: :iris1_1:\n",
         "x", 12, 12},
        {SI_ENVOY, "ServerReady", "seldon-model: iris1\n", "", 12, 12},
        {SI_ENVOY, "ModelMetadata", "seldon-model: iris1\n", "x", 0, 0},
        {SI_RPROXY, "ModelReady", BOTH, "x", 0, 0},
        {SI_RPROXY, "ModelReady", "seldon-internal-model: iris1_1\n", "x", 0, 9},
        {SI_RPROXY, "ModelReady", "seldon-internal-model: iris1\n", "x", 9, 9},
        {SI_RPROXY, "ModelReady", "", "iris1_1", 9, 9},
        {SI_RPROXY, "ModelReady", "seldon-model: nope\nseldon-internal-model: nope_1\n",
         "x", 5, 5},
        {SI_RPROXY, "ServerLive", BOTH, "", 12, 12},
        {SI_RPROXY, "RepositoryIndex", BOTH, "", 12, 12},
        {SI_SERVER, "ModelReady", "", "iris1_1", 0, 0},
        {SI_SERVER, "ModelReady", "", "iris1", 2, 2},
        {SI_SERVER, "ModelMetadata", "", "iris1", 5, 5},
        {SI_SERVER, "ServerLive", "", "", 0, 0},
        {SI_SERVER, "ServerMetadata", "", "", 0, 0},
        {SI_SERVER, "RepositoryIndex", "", "", 0, 0},
        {SI_SERVER, "NoSuchMethod", "", "", 12, 12},
        {SI_SERVER, "ModelInfer", "", "nope_1", 5, 5},
        {SI_GATEWAY, "ServerReady", "", "", 0, 12},
        {SI_GATEWAY, "ServerLive", "", "", 12, 12},
        {SI_GATEWAY, "ModelReady", "", "iris1", 0, 0},
        {SI_GATEWAY, "ModelReady", "", "nope", 5, 5},
        {SI_GATEWAY, "ModelMetadata", "", "iris1", 12, 12},
        {SI_GATEWAY, "ModelInfer", "", "x", 9, 9},
        {SI_GATEWAY, "ModelInfer", "seldon-model: e.experiment\n", "x", 9, 9},
        {SI_GATEWAY, "ModelInfer", "seldon-model: nope.pipeline\n", "x", 9, -1},
        {SI_GATEWAY, "ModelInfer", "seldon-model: iris1.pipeline\n", "x", -1, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int release = SI_RELEASE_2_10; release <= SI_RELEASE_2_8; release++) {
            const struct grpc_case *k = &cases[i];
            struct si_rig rig;
            struct si_h2_client c;
            char message[64];
            int n = k->name[0] ? snprintf(message, sizeof message, "\n%c%s",
                                          (char)strlen(k->name), k->name)
                               : 0;
            si_rig_open(&rig, "fixed:0ms", NULL, (enum si_release)release);
            si_h2_client_open(&c, &rig, k->tier);
            struct si_h2_answer *a = si_h2_client_call(
                &c, grpc_fields(k->method, k->headers), framed(message, (size_t)n));
            si_rig_pass(&rig, SEC);
            si_h2_client_pump(&c);
            int wanted = release == SI_RELEASE_2_10 ? k->code_210 : k->code_28;
            if (status_of(a) != wanted || a->closed != (wanted >= 0))
                fail_msg("case %zu (%s at %s, release %s): code %d, wanted %d", i,
                         k->method, si_tiers[k->tier].name, si_release_names[release],
                         status_of(a), wanted);
            si_h2_client_close(&c);
            si_rig_close(&rig);
        }
}

/* Of a good pipeline, by release: not ready at 2.10. */
static void a_good_pipeline_is_ready_at_the_older_release_only(void **state)
{
    (void)state;
    for (int release = SI_RELEASE_2_10; release <= SI_RELEASE_2_8; release++) {
        struct si_rig rig;
        struct si_h2_client c;
        si_rig_open(&rig, "fixed:0ms", NULL, (enum si_release)release);
        si_h2_client_open(&c, &rig, SI_GATEWAY);
        struct si_h2_answer *a = si_h2_client_call(&c, grpc_fields("ModelReady", ""),
                                                   framed("\n\5iris1", 7));
        check_int(a->body.n, ==, release == SI_RELEASE_2_8 ? 7 : 5);
        si_h2_client_close(&c);
        si_rig_close(&rig);
    }
}

/* tfsimple's two inputs of ones as ModelInferRequest fields 5, behind a model name. */
static size_t simple_message(const char *name, char *out)
{
    char *p = out;
    p += sprintf(p, "\n%c%s", (char)strlen(name), name);
    for (int input = 0; input < 2; input++) {
        static const char head[] =
            "\x2a\x27\x0a\x06INPUT0\x12\x05INT32\x1a\x02\x01\x10\x2a\x12\x12\x10";
        memcpy(p, head, sizeof head - 1);
        p[9] = (char)('0' + input);
        p += sizeof head - 1;
        memset(p, input + 1, 16);
        p += 16;
    }
    return (size_t)(p - out);
}

static void triton_answers_raw_and_without_events(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_h2_client c;
    char message[256];
    size_t n = simple_message("tfsimple1_1", message);
    si_rig_open(&rig, "fixed:0ms", NULL, SI_RELEASE_2_10);
    si_h2_client_open(&c, &rig, SI_SERVER);
    struct si_h2_answer *a =
        si_h2_client_call(&c, grpc_fields("ModelInfer", ""), framed(message, n));
    check_int(status_of(a), ==, 0);
    check_true(!strstr(buf_text(&a->trailers), "ce-"));
    struct span three = SPAN_LIT("\3\0\0\0\3\0\0\0");
    check_true(memmem(a->body.p, a->body.n, three.p, three.n) != NULL);
    si_h2_client_close(&c);
    si_rig_close(&rig);
}

static void a_stream_answers_each_message(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_h2_client c;
    struct buf body = {0};
    static const char iris[] =
        "\n\7iris1_1\x2a\x27\x0a\x07predict\x12\x04"
        "FP32\x1a\x02\x01\x04\x2a\x12\x32\x10\0\0\x80\x3f\0\0\x80\x3f\0\0"
        "\x80\x3f\0\0\x80\x3f";
    for (int i = 0; i < 3; i++)
        buf_span(&body, framed(iris, sizeof iris - 1));
    si_rig_open(&rig, "fixed:0ms", NULL, SI_RELEASE_2_10);
    si_h2_client_open(&c, &rig, SI_SERVER);
    struct si_h2_answer *a =
        si_h2_client_call(&c, grpc_fields("ModelStreamInfer", ""), buf_view(&body));
    check_int(status_of(a), ==, 0);
    struct span message;
    struct cursor answers = cursor_of(buf_view(&a->body));
    for (int i = 0; i < 3; i++)
        check_true(si_grpc_next(&answers, &message));
    check_int(cursor_left(&answers), ==, 0);
    si_h2_client_close(&c);
    si_rig_close(&rig);
    si_rig_open(&rig, "fixed:0ms", NULL, SI_RELEASE_2_8);
    si_h2_client_open(&c, &rig, SI_SERVER);
    a = si_h2_client_call(&c, grpc_fields("ModelStreamInfer", ""), buf_view(&body));
    check_int(status_of(a), ==, SI_UNIMPLEMENTED);
    si_h2_client_close(&c);
    si_rig_close(&rig);
    buf_done(&body);
}

static void injected_faults_over_http2(void **state)
{
    (void)state;
    char message[256];
    size_t n = simple_message("tfsimple1_1", message);
    for (int fault = SI_FAULT_ERROR; fault < SI_FAULT_CROSS; fault++) {
        struct si_rig rig;
        struct si_h2_client c;
        struct si_core_options o = {.error_status = 503, .error_code = SI_UNAVAILABLE};
        o.faults.rates[fault] = 1;
        si_rig_open(&rig, "fixed:1ms", &o, SI_RELEASE_2_10);
        si_h2_client_open(&c, &rig, SI_SERVER);
        struct si_h2_answer *a =
            si_h2_client_call(&c, grpc_fields("ModelInfer", ""), framed(message, n));
        si_rig_pass(&rig, MS);
        si_h2_client_pump(&c);
        struct span inner;
        struct cursor answer = cursor_of(buf_view(&a->body));
        check_int(status_of(a), ==,
                  fault == SI_FAULT_ERROR     ? SI_UNAVAILABLE
                  : fault == SI_FAULT_GARBAGE ? SI_OK
                                              : -1);
        check_int(a->closed, ==, fault != SI_FAULT_NEVER);
        check_int(a->error != 0, ==, fault == SI_FAULT_CLOSE);
        if (fault == SI_FAULT_GARBAGE)
            check_true(!si_grpc_next(&answer, &inner));
        /* Other calls of the connection go on. */
        a = si_h2_client_call(&c, grpc_fields("ServerLive", ""), framed("", 0));
        check_int(status_of(a), ==, SI_OK);
        si_h2_client_close(&c);
        check_true(rig.core.in_use == NULL);
        si_rig_close(&rig);
    }
}

static bool holds(struct si_h2_answer *a, const char *text)
{
    return a->body.n > 0 && memmem(a->body.p, a->body.n, text, strlen(text)) != NULL;
}

static void two_callers_get_each_others_answers(void **state)
{
    (void)state;
    static const char *const names[] = {"tfsimple1_1", "tfsimple2_1"};
    char message[2][256];
    struct si_h2_answer *a[2];
    struct si_core_options o = {.faults.rates = {[SI_FAULT_CROSS] = 1}};
    struct si_rig rig;
    struct si_h2_client c;
    si_rig_open(&rig, "fixed:1ms", &o, SI_RELEASE_2_10);
    si_h2_client_open(&c, &rig, SI_SERVER);
    for (int i = 0; i < 2; i++) {
        size_t n = simple_message(names[i], message[i]);
        a[i] =
            si_h2_client_call(&c, grpc_fields("ModelInfer", ""), framed(message[i], n));
    }
    si_rig_pass(&rig, MS);
    si_h2_client_pump(&c);
    for (int i = 0; i < 2; i++) {
        check_int(status_of(a[i]), ==, SI_OK);
        check_true(holds(a[i], names[1 - i]) && !holds(a[i], names[i]));
    }
    check_int(rig.core.counts.faults[SI_FAULT_CROSS], ==, 2);
    /* A third finds no other: it waits, and keeps its own. */
    size_t n = simple_message(names[0], message[0]);
    a[0] = si_h2_client_call(&c, grpc_fields("ModelInfer", ""), framed(message[0], n));
    si_rig_pass(&rig, MS);
    si_h2_client_pump(&c);
    check_true(!a[0]->closed);
    si_rig_pass(&rig, 50 * MS);
    si_h2_client_pump(&c);
    check_int(status_of(a[0]), ==, SI_OK);
    check_true(holds(a[0], names[0]));
    check_int(rig.core.counts.faults[SI_FAULT_CROSS], ==, 2);
    si_h2_client_close(&c);
    check_true(rig.core.in_use == NULL);
    si_rig_close(&rig);
}

static void a_model_error_is_converted_by_the_tiers_in_front(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        int code;
    } cases[] = {{500, SI_INTERNAL},
                 {404, SI_NOT_FOUND},
                 {400, SI_INVALID_ARGUMENT},
                 {429, SI_UNKNOWN},
                 {503, SI_UNKNOWN}};
    char message[256];
    size_t n = simple_message("x", message);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct si_rig rig;
        struct si_h2_client c;
        struct si_core_options o = {.error_status = cases[i].status,
                                    .error_at_model = true};
        o.faults.rates[SI_FAULT_ERROR] = 1;
        si_rig_open(&rig, "fixed:1ms", &o, SI_RELEASE_2_10);
        si_h2_client_open(&c, &rig, SI_ENVOY);
        struct si_h2_answer *a = si_h2_client_call(
            &c, grpc_fields("ModelInfer", "seldon-model: tfsimple1\n"),
            framed(message, n));
        si_rig_pass(&rig, MS);
        si_h2_client_pump(&c);
        /* Over gRPC only NOT_FOUND is run again, after a reload. */
        check_int(status_of(a), ==, cases[i].status == 404 ? -1 : cases[i].code);
        si_rig_pass(&rig, 60 * MS);
        si_h2_client_pump(&c);
        check_int(status_of(a), ==, cases[i].code);
        si_h2_client_close(&c);
        si_rig_close(&rig);
    }
}

static void a_silent_call_through_envoy_becomes_unavailable(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_h2_client c;
    si_rig_open(&rig, "fixed:0ms", NULL, SI_RELEASE_2_10);
    si_h2_client_open(&c, &rig, SI_ENVOY);
    struct si_h2_answer *a = si_h2_client_call(
        &c, grpc_fields("ModelInfer", "seldon-model: iris1.pipeline\n"),
        framed("\n\1x", 3));
    si_rig_pass(&rig, 300 * SEC - 1);
    si_h2_client_pump(&c);
    check_int(status_of(a), ==, -1);
    si_rig_pass(&rig, 1);
    si_h2_client_pump(&c);
    check_int(status_of(a), ==, SI_UNAVAILABLE);
    check_str_has(buf_text(&a->headers), "grpc-message: stream timeout\n");
    si_h2_client_close(&c);
    si_rig_close(&rig);
}

static void a_reset_call_is_given_up_and_its_work_goes_on(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_h2_client c;
    char message[256];
    size_t n = simple_message("x", message);
    struct si_core_options o = {.workers = 1};
    si_rig_open(&rig, "fixed:5ms", &o, SI_RELEASE_2_10);
    si_h2_client_open(&c, &rig, SI_ENVOY);
    const char *fields = grpc_fields("ModelInfer", "seldon-model: tfsimple1\n");
    struct si_h2_answer *gone = si_h2_client_call(&c, fields, framed(message, n));
    struct si_h2_answer *a = si_h2_client_call(&c, fields, framed(message, n));
    si_h2_client_reset(&c, gone);
    si_rig_pass(&rig, 9 * MS);
    si_h2_client_pump(&c);
    check_int(status_of(a), ==, -1);
    si_rig_pass(&rig, MS);
    si_h2_client_pump(&c);
    check_int(status_of(a), ==, SI_OK);
    check_int(rig.core.counts.abandoned, ==, 1);
    si_h2_client_close(&c);
    check_true(rig.core.in_use == NULL);
    si_rig_close(&rig);
}

/* --- instruments --------------------------------------------------------------- */

static void stamps_tell_first_byte_and_answer(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_client c;
    struct err e = {0};
    struct buf file = {0};
    char path[] = "/tmp/si_stamps.XXXXXX", wanted[400];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    si_rig_open(&rig, "fixed:5ms", NULL, SI_RELEASE_2_10);
    rig.core.stamps.on = true;
    si_client_open(&c, &rig, SI_SERVER);
    const char *text = post("/v2/models/iris1_1/infer", "", IRIS);
    si_client_send(&c, text, 10);
    si_rig_pass(&rig, 2 * MS);
    send_text(&c, text + 10);
    si_rig_pass(&rig, 5 * MS);
    si_stamps_stall(&rig.core.stamps, 1, 2);
    check_ok(si_stamps_write(&rig.core.stamps, path, &e), &e);
    check_ok(buf_read_file(&file, path, 10000, &e), &e);
    snprintf(wanted, sizeof wanted,
             "# reprise stand-in stamps 1: first_ns connection replied_ns status tier\n"
             "# requests 1 lost 0\n# stall 1 2\n%lld 0 %lld 200 server\n",
             (long long)(1000 * SEC), (long long)(1000 * SEC + 7 * MS));
    check_str(buf_text(&file), wanted);
    buf_done(&file);
    remove(path);
    si_client_close(&c);
    si_rig_close(&rig);
}

static void names_by_rule(void **state)
{
    (void)state;
    struct si_catalog c = {0};
    struct si_model m;
    struct si_chain chain;
    struct arena a = {0};
    static const char *const good[][2] = {{"iris", "iris"},
                                          {"iris0", "iris"},
                                          {"iris-12", "iris"},
                                          {"add10", "add10"},
                                          {"add101", "add10"},
                                          {"tfsimple-string3", "tfsimple_string"},
                                          {"tfsimple_string", "tfsimple_string"},
                                          {"pytorch-cifar10-2", "pytorch_cifar10"}};
    static const char *const bad[] = {
        "", "iri", "irisx", "iris-", "iris1a", "iris_1", "tfsimple-string-x"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(si_catalog_find(&c, span_str(good[i][0]), &m));
        check_str(m.type->name, good[i][1]);
        check_int(m.version, ==, 1);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(si_catalog_find(&c, span_str(bad[i]), &m));
    assert_true(si_catalog_find_internal(&c, SPAN_LIT("iris7_1"), &m));
    assert_false(si_catalog_find_internal(&c, SPAN_LIT("iris7_2"), &m));
    assert_false(si_catalog_find_internal(&c, SPAN_LIT("iris7"), &m));
    assert_false(si_catalog_find_internal(&c, SPAN_LIT("_1"), &m));
    static const char *const chains[][2] = {{"iris1", "iris1"},
                                            {"irispipe", "iris"},
                                            {"iris-pipeline-4", "iris-4"},
                                            {"echopipeline2", "echo2"}};
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
        assert_true(si_catalog_find_pipeline(&c, span_str(chains[i][0]), &a, &chain));
        check_int(chain.step_count, ==, 1);
        check_span(chain.steps[0], chains[i][1]);
    }
    assert_false(si_catalog_find_pipeline(&c, SPAN_LIT("irispipes"), &a, &chain));
    arena_done(&a);
    si_catalog_done(&c);
}

static void declared_names_replace_the_rule(void **state)
{
    (void)state;
    struct si_catalog c = {0};
    struct si_model m;
    struct err e = {0};
    check_ok(si_catalog_types(&c, "iris,tfsimple_string", 2, &e), &e);
    check_ok(si_catalog_model(&c, "box=echo:12", &e), &e);
    for (int sorted = 0; sorted < 2; sorted++) {
        assert_true(si_catalog_find(&c, SPAN_LIT("tfsimple-string1"), &m));
        check_str(m.type->name, "tfsimple_string");
        assert_true(si_catalog_find(&c, SPAN_LIT("iris0"), &m));
        assert_true(si_catalog_find(&c, SPAN_LIT("iris1"), &m));
        assert_false(si_catalog_find(&c, SPAN_LIT("iris2"), &m));
        assert_false(si_catalog_find(&c, SPAN_LIT("iris"), &m));
        assert_true(si_catalog_find_internal(&c, SPAN_LIT("box_12"), &m));
        si_catalog_ready(&c);
    }
    check_int(si_catalog_model(&c, "box=iris", &e), ==, ERR_USAGE);
    check_str_has(e.text, "model 'box' is declared twice");
    err_clear(&e);
    check_int(si_catalog_experiment(&c, "x=a:0", &e), ==, ERR_USAGE);
    check_str_has(e.text, "a weight is a number from 1");
    err_clear(&e);
    check_int(si_catalog_pipeline(&c, "p=a,,b", &e), ==, ERR_USAGE);
    si_catalog_done(&c);
}

static void an_experiment_splits_by_weight_and_can_be_pinned(void **state)
{
    (void)state;
    struct si_rig rig;
    struct si_client c;
    struct err e = {0};
    si_rig_open(&rig, "fixed:0ms", NULL, SI_RELEASE_2_10);
    check_ok(si_catalog_experiment(&rig.world.catalog, "ab=iris1:3,iris2:1", &e), &e);
    si_client_open(&c, &rig, SI_ENVOY);
    int first = 0;
    for (int i = 0; i < 1000; i++) {
        buf_reset(&c.got);
        send_infer(&c, "seldon-model: ab.experiment\r\n", IRIS);
        first += strstr(si_client_got(&c), "x-seldon-route: :iris1_1:") != NULL;
    }
    check_int(first, >, 750 - 70); /* five standard deviations of 13.7 */
    check_int(first, <, 750 + 70);
    for (int i = 0; i < 20; i++) {
        buf_reset(&c.got);
        send_infer(&c, "seldon-model: ab.experiment\r\nx-seldon-route: :iris2_1:\r\n",
                   IRIS);
        check_str_has(si_client_got(&c), "x-seldon-route: :iris2_1:");
    }
    si_client_close(&c);
    si_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_when_its_service_time_is_over),
        cmocka_unit_test(one_worker_serves_one_after_the_other),
        cmocka_unit_test(a_client_that_goes_leaves_its_worker_busy),
        cmocka_unit_test(envoy_retries_a_500_for_seconds_and_the_older_one_does_not),
        cmocka_unit_test(envoy_lets_a_retried_request_run_six_times),
        cmocka_unit_test(a_big_body_is_not_retried),
        cmocka_unit_test(missing_tensors_are_a_400_of_mlserver_and_refused_ones_a_500),
        cmocka_unit_test(triton_tells_bad_json_from_bad_requests),
        cmocka_unit_test(rproxy_repeats_a_400_after_a_reload),
        cmocka_unit_test(the_gateway_panics_on_more_strings_than_the_first_dimension),
        cmocka_unit_test(what_hangs_at_the_gateway),
        cmocka_unit_test(an_unknown_pipeline_hangs_at_the_older_release_only),
        cmocka_unit_test(a_failed_step_is_a_400_with_its_model),
        cmocka_unit_test(equal_ids_mix_answers_up_and_the_first_hangs),
        cmocka_unit_test(different_ids_do_not_mix),
        cmocka_unit_test(the_older_gateway_is_poisoned_by_a_model_call),
        cmocka_unit_test(a_cold_gateway_stalls_once),
        cmocka_unit_test(large_answers_come_chunked_to_who_names_no_encoding),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_request_may_come_byte_by_byte),
        cmocka_unit_test(what_is_not_http_is_refused),
        cmocka_unit_test(injected_faults_over_http1),
        cmocka_unit_test(codes_by_tier_method_and_release),
        cmocka_unit_test(a_good_pipeline_is_ready_at_the_older_release_only),
        cmocka_unit_test(triton_answers_raw_and_without_events),
        cmocka_unit_test(a_stream_answers_each_message),
        cmocka_unit_test(injected_faults_over_http2),
        cmocka_unit_test(two_callers_get_each_others_answers),
        cmocka_unit_test(a_model_error_is_converted_by_the_tiers_in_front),
        cmocka_unit_test(a_silent_call_through_envoy_becomes_unavailable),
        cmocka_unit_test(a_reset_call_is_given_up_and_its_work_goes_on),
        cmocka_unit_test(stamps_tell_first_byte_and_answer),
        cmocka_unit_test(names_by_rule),
        cmocka_unit_test(declared_names_replace_the_rule),
        cmocka_unit_test(an_experiment_splits_by_weight_and_can_be_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
