/*
 * test_si_wire.c - the stand-in held against what a running SCv2 sent.
 *
 * Each file of tests/data/scv2-wire is a request and its answer. The request goes to
 * the same tier of the stand-in; status, fields (names, case, order, values), trailers
 * and body must be what was recorded, save for the differences listed here, each with
 * its reason. A listed difference that no longer occurs fails too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/si_rig.h"

#define DATA "tests/data/scv2-wire/"

/* Fields whose values are a moment or a duration. */
static const char *const moments[] = {"date", "x-envoy-upstream-service-time"};

/* Go writes trailers from a map: no order of theirs is right. */
static const char *const unordered_trailers[] = {"grpc-envoy", "grpc-rproxy"};

struct allowed {
    const char *file, *difference;
    size_t bytes; /* of a body, that may differ; SIZE_MAX: its length too */
    const char *reason;
};
static const struct allowed allowed[] = {
    {"grpc-envoy-raw", "body", SIZE_MAX,
     "MLServer writes an empty contents message beside raw outputs"},
    {"grpc-rproxy-from-modelgateway", "body", 1,
     "the class: a rule on petals stands in for the trained model"},
};

struct exchange {
    char name[64];
    struct buf bytes;                  /* the file */
    char *request, *answer, *trailers; /* heads, NUL-terminated lines */
    struct span request_body, answer_body;
    struct buf unhexed[2];
};

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* --- reading files ------------------------------------------------------------- */

/* The text between the line [section] and the line that starts with '[' behind it. */
static char *section(struct exchange *x, const char *name, char **end)
{
    char wanted[32], *text = (char *)x->bytes.p;
    snprintf(wanted, sizeof wanted, "\n[%s]\n", name);
    char *at = strstr(text, wanted);
    if (!at)
        return NULL;
    at += strlen(wanted);
    *end = strstr(at, "\n[");
    assert_non_null(*end);
    return at;
}

static struct span unhex(const char *text, size_t n, struct buf *out)
{
    for (size_t i = 0; i + 1 < n; i += 2) {
        char pair[3] = {text[i], text[i + 1], 0};
        buf_u8(out, (uint8_t)strtoul(pair, NULL, 16));
    }
    return buf_view(out);
}

/* Cuts a section into head and body. */
static char *cut(struct exchange *x, const char *name, bool hex, struct buf *unhexed,
                 struct span *body)
{
    char *end, *at = section(x, name, &end);
    assert_non_null(at);
    char *blank = strstr(at, "\n\n");
    assert_true(blank && blank < end);
    blank[1] = 0;
    char *from = blank + 2;
    *body = hex ? unhex(from, (size_t)(end - from), unhexed)
                : span_of(from, (size_t)(end - from));
    return at;
}

static void load(struct exchange *x, const char *file)
{
    struct err e = {0};
    char path[512], *end;
    memset(x, 0, sizeof *x);
    snprintf(path, sizeof path, DATA "%s", file);
    snprintf(x->name, sizeof x->name, "%.*s", (int)(strlen(file) - 4), file);
    check_ok(buf_read_file(&x->bytes, path, 1 << 20, &e), &e);
    buf_u8(&x->bytes, 0);
    bool grpc = starts_with(x->name, "grpc");
    if (grpc) {
        x->trailers = section(x, "trailers", &end);
        assert_non_null(x->trailers);
        end[1] = 0;
    }
    /* From the back to the front, because cutting puts NULs into the text. */
    x->answer = cut(x, "answer", grpc, &x->unhexed[1], &x->answer_body);
    x->request = cut(x, "request", grpc, &x->unhexed[0], &x->request_body);
}

static void unload(struct exchange *x)
{
    buf_done(&x->bytes);
    buf_done(&x->unhexed[0]);
    buf_done(&x->unhexed[1]);
}

static int tier_of(const char *name)
{
    const char *tier = strchr(name, '-') + 1;
    return starts_with(tier, "envoy")    ? SI_ENVOY
           : starts_with(tier, "rproxy") ? SI_RPROXY
           : starts_with(tier, "server") ? SI_SERVER
                                         : SI_GATEWAY;
}

/* --- comparing ----------------------------------------------------------------- */

static int differences;
static bool used[sizeof allowed / sizeof *allowed];

static void differ(const char *file, const char *what, size_t bytes, const char *got,
                   const char *wanted)
{
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (strcmp(allowed[i].file, file) == 0 &&
            strcmp(allowed[i].difference, what) == 0 && bytes <= allowed[i].bytes) {
            used[i] = true;
            return;
        }
    print_error("%s: %s differs\n--- stand-in\n%s\n--- SCv2\n%s\n", file, what, got,
                wanted);
    differences++;
}

static size_t split(char *text, char **lines, size_t max)
{
    size_t n = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        assert_true(n < max);
        lines[n++] = line;
    }
    return n;
}

static bool is_moment(const char *line)
{
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)
        if (strncasecmp(line, moments[i], strlen(moments[i])) == 0)
            return true;
    return false;
}

/* "?" stands for a name that the recording cannot tell; with an empty value, for any
 * line. */
static bool same_line(const char *got, const char *wanted)
{
    const char *value = strstr(got, ": "), *known = strstr(wanted, ": ");
    if (wanted[0] == '?')
        return !known || !known[2] || (value && strcmp(value, known) == 0);
    if (is_moment(wanted) && value && known)
        return value - got == known - wanted &&
               memcmp(got, wanted, (size_t)(value - got)) == 0;
    return strcmp(got, wanted) == 0;
}

/* Each wanted line takes a line that fits; known ones first, then those with a "?". */
static bool same_set(char **got, char **wanted, size_t n)
{
    for (int unknown = 0; unknown < 2; unknown++)
        for (size_t i = 0; i < n; i++) {
            if ((wanted[i][0] == '?') != unknown)
                continue;
            size_t j = 0;
            while (j < n && !(got[j] && same_line(got[j], wanted[i])))
                j++;
            if (j == n)
                return false;
            got[j] = NULL;
        }
    return true;
}

static void compare_head(const char *file, const char *what, const char *got,
                         const char *wanted, bool ordered)
{
    char *a = strdup(got), *b = strdup(wanted), *x[64], *y[64];
    size_t n = split(a, x, 64), m = split(b, y, 64);
    bool same = n == m;
    if (same && ordered)
        for (size_t i = 0; i < n; i++)
            same = same && same_line(x[i], y[i]);
    else if (same)
        same = same_set(x, y, n);
    if (!same)
        differ(file, what, 0, got, wanted);
    free(a);
    free(b);
}

static void compare_bodies(const char *file, struct span got, struct span wanted)
{
    if (span_eq(got, wanted))
        return;
    char a[1024], b[1024];
    int n = 0, m = 0;
    size_t bytes = got.n == wanted.n ? 0 : SIZE_MAX;
    for (size_t i = 0; i < got.n && got.n == wanted.n; i++)
        bytes += got.p[i] != wanted.p[i];
    for (size_t i = 0; i < got.n && i < 300; i++)
        n += snprintf(a + n, sizeof a - (size_t)n, "%02x", got.p[i]);
    for (size_t i = 0; i < wanted.n && i < 300; i++)
        m += snprintf(b + m, sizeof b - (size_t)m, "%02x", wanted.p[i]);
    differ(file, "body", bytes, a, b);
}

/* --- sending ------------------------------------------------------------------- */

static void send_rest(struct si_rig *rig, const struct exchange *x)
{
    struct si_client c;
    struct buf wire = {0};
    si_client_open(&c, rig, tier_of(x->name));
    for (const char *p = x->request; *p; p++) {
        if (*p == '\n')
            buf_u8(&wire, '\r');
        buf_u8(&wire, (uint8_t)*p);
    }
    buf_str(&wire, "\r\n");
    buf_span(&wire, x->request_body);
    si_client_send(&c, (const char *)wire.p, wire.n);
    si_rig_pass(rig, 5 * CLK_MS);
    char *got = strdup(si_client_got(&c)), *body = strstr(got, "\r\n\r\n");
    if (!body) {
        differ(x->name, "answer", 0, got, "(an answer)");
    } else {
        struct span b = span_str(body + 4);
        body[2] = 0;
        char *to = got;
        for (const char *from = got; *from; from++)
            if (*from != '\r')
                *to++ = *from;
        *to = 0;
        compare_head(x->name, "head", got, x->answer, true);
        compare_bodies(x->name, b, x->answer_body);
    }
    free(got);
    buf_done(&wire);
    si_client_close(&c);
}

/* What is known of the recorded request; what every call must have is added. */
static void fill_request(const struct exchange *x, struct buf *fields)
{
    char *copy = strdup(x->request), *lines[64];
    size_t n = split(copy, lines, 64);
    buf_str(fields, ":method: POST\n:scheme: http\n:authority: a\n"
                    ":path: /inference.GRPCInferenceService/ModelInfer\n"
                    "content-type: application/grpc\nte: trailers\n");
    bool has_id = false;
    for (size_t i = 0; i < n; i++) {
        if (starts_with(lines[i], "? ") || starts_with(lines[i], "?: pcap-")) {
            if (!has_id)
                buf_fmt(fields, "x-request-id: %s\n", lines[i] + 3);
            has_id = true;
        } else if (lines[i][0] != '?' && lines[i][0] != ':' &&
                   !starts_with(lines[i], "content-type") &&
                   !starts_with(lines[i], "te:")) {
            buf_fmt(fields, "%s\n", lines[i]);
        }
    }
    /* The model gateway's call: its own routing headers are among the unknown. */
    if (strcmp(x->name, "grpc-rproxy-from-modelgateway") == 0)
        buf_str(fields, "seldon-model: iris\nseldon-internal-model: iris_1\n");
    free(copy);
}

static bool has_order(const char *name)
{
    for (size_t i = 0; i < sizeof unordered_trailers / sizeof *unordered_trailers; i++)
        if (starts_with(name, unordered_trailers[i]))
            return false;
    return true;
}

static void send_grpc(struct si_rig *rig, const struct exchange *x)
{
    struct si_h2_client c;
    struct buf fields = {0};
    si_h2_client_open(&c, rig, tier_of(x->name));
    fill_request(x, &fields);
    struct si_h2_answer *a = si_h2_client_call(&c, buf_text(&fields), x->request_body);
    si_rig_pass(rig, 5 * CLK_MS);
    si_h2_client_pump(&c);
    assert_true(a->closed);
    compare_head(x->name, "headers", buf_text(&a->headers), x->answer, true);
    compare_head(x->name, "trailers", buf_text(&a->trailers), x->trailers,
                 has_order(x->name));
    compare_bodies(x->name, buf_view(&a->body), x->answer_body);
    buf_done(&fields);
    si_h2_client_close(&c);
}

static void the_stand_in_answers_as_scv2_did(void **state)
{
    (void)state;
    DIR *dir = opendir(DATA);
    assert_non_null(dir); /* tests run from the root of the repository */
    int files = 0;
    for (struct dirent *d; (d = readdir(dir));) {
        struct span name = span_str(d->d_name);
        if (!span_ends(name, ".txt"))
            continue;
        struct exchange x;
        struct si_rig rig;
        load(&x, d->d_name);
        si_rig_open(&rig, "fixed:5ms", NULL, SI_RELEASE_2_10);
        (starts_with(x.name, "grpc") ? send_grpc : send_rest)(&rig, &x);
        si_rig_close(&rig);
        unload(&x);
        files++;
    }
    closedir(dir);
    check_int(files, ==, 10);
    check_int(differences, ==, 0);
}

static void every_allowed_difference_still_occurs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (!used[i])
            fail_msg("%s: no difference in %s any more", allowed[i].file,
                     allowed[i].difference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_stand_in_answers_as_scv2_did),
        cmocka_unit_test(every_allowed_difference_still_occurs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
