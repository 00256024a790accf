/*
 * test_import_calls.c - calls of foreign files: put in order, joined with their
 * answers, named; archives taken apart.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "traces/base/buf.h"
#include "traces/container/trc_reader.h"
#include "traces/import/csv_rows.h"
#include "traces/import/gor_file.h"
#include "traces/import/har_doc.h"
#include "traces/import/imp_call.h"
#include "traces/import/imp_names.h"
#include "traces/payload/call_name.h"
#include "traces/payload/model_type.h"

static char path[] = "/tmp/test_import_calls.XXXXXX";

static int make_path(void **state)
{
    (void)state;
    close(mkstemp(path));
    return 0;
}

static int drop_path(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

/* --- order and answers ------------------------------------------------------------ */

static struct imp_out *open_out(size_t ops_max, bool calendar)
{
    struct imp_out *o;
    struct err e = {0};
    const struct imp_out_options how = {.path = path,
                                        .format = "test",
                                        .source = "some/where",
                                        .calendar = calendar,
                                        .ops_max = ops_max};
    check_ok(imp_out_open(&o, &how, &e), &e);
    return o;
}

static int add(struct imp_out *o, int64_t at_ns, const char *name, uint64_t key,
               struct err *e)
{
    char text[32];
    snprintf(text, sizeof text, "%s", name);
    struct op_header header = {SPAN_LIT("seldon-model"), span_str(text)};
    struct op_stream s = {
        .name = span_str(text), .headers = &header, .header_count = 1};
    struct op op = op_empty();
    op.stream = &s;
    op.arrival_ns = at_ns;
    op.id = span_str(text);
    op.request = op_body_of(span_str(text));
    int rc = imp_out_add(o, &op, key, e);
    memset(text, 'x', sizeof text - 1); /* what was added is a copy */
    return rc;
}

static struct trc_block *first_block(struct trc_reader **r)
{
    struct trc_block *b;
    struct err e = {0};
    check_ok(trc_reader_open(r, path, &e), &e);
    check_int(trc_reader_next(*r, &b, &e), ==, 1);
    return b;
}

static void operations_are_put_in_order_while_there_is_room(void **state)
{
    (void)state;
    struct imp_out *o = open_out(3, true);
    struct imp_out_done done;
    struct trc_reader *r;
    struct err e = {0};
    static const int64_t times[] = {1500, 1200, 1300, 1100, 1700, 1700, 1600};
    static const char *const names[] = {"d", "b", "c", "a", "f", "g", "e"};
    for (size_t i = 0; i < 5; i++)
        check_ok(add(o, times[i], names[i], 0, &e), &e);
    /* Three are held, two are out: 1100 and 1200. */
    check_int(add(o, 1199, "late", 0, &e), ==, ERR_FORMAT);
    check_str_has(e.text, "it comes 1 ns before one that is written already; 3 "
                          "operations and 64 MiB are held to put them in order");
    err_clear(&e);
    for (size_t i = 5; i < 7; i++)
        check_ok(add(o, times[i], names[i], 0, &e), &e);
    check_ok(imp_out_close(o, 0, &done, &e), &e);
    check_int(done.operations, ==, 7);
    check_int(done.last_ns, ==, 600);
    check_int(done.worst_back_ns, ==, 300);
    struct trc_block *b = first_block(&r);
    check_int(trc_reader_info(r)->epoch_wall_ns, ==, 1100);
    check_int(b->count, ==, 7);
    for (uint32_t i = 0; i < 7; i++) {
        char name[2] = {(char)('a' + (int)i), 0};
        check_span(b->ops[i].stream->name, name);
        check_span(b->ops[i].stream->headers[0].value, name);
        check_span(b->ops[i].id, name);
        check_span(b->ops[i].request.data, name);
    }
    check_int(b->ops[6].arrival_ns, ==, 600);
    trc_block_free(b);
    trc_reader_close(r);
}

static void an_answer_finds_its_operation_held_written_or_not_at_all(void **state)
{
    (void)state;
    struct imp_out *o = open_out(2, false);
    struct imp_out_done done;
    struct trc_reader *r;
    struct err e = {0};
    int64_t at;
    char text[] = "told";
    struct op answer = op_empty();
    answer.status = 207;
    answer.first_ns = 3;
    answer.last_ns = 5;
    answer.response_codings = 1;
    answer.response = op_body_of(span_str(text));
    for (int i = 0; i < 4; i++) /* the first two are written then */
        check_ok(add(o, 10 * i, "m", 70 + (uint64_t)i, &e), &e);
    check_true(!imp_out_waiting(o, 99, &at));
    check_true(!imp_out_waiting(o, 0, &at));
    static const uint64_t keys[] = {70, 73};
    for (size_t i = 0; i < 2; i++) {
        check_true(imp_out_waiting(o, keys[i], &at));
        check_int(at, ==, i == 0 ? 0 : 30);
        check_ok(imp_out_answer(o, keys[i], &answer, &e), &e);
        check_true(!imp_out_waiting(o, keys[i], &at)); /* one answer each */
    }
    memset(text, 'x', sizeof text - 1);
    check_ok(imp_out_close(o, 0, &done, &e), &e);
    check_int(done.answers, ==, 2);
    check_int(done.late, ==, 1);
    struct trc_block *b = first_block(&r);
    check_int(b->count, ==, 4);
    for (uint32_t i = 0; i < 4; i++) {
        bool answered = i == 0 || i == 3; /* the writer's block was still open */
        check_int(b->ops[i].status, ==, answered ? 207 : 0);
        check_int(b->ops[i].last_ns, ==, answered ? 5 : OP_TIME_NONE);
        check_span(b->ops[i].response.data, answered ? "told" : "");
    }
    trc_block_free(b);
    trc_reader_close(r);
}

static void only_the_latest_operations_wait(void **state)
{
    (void)state;
    struct imp_out *o = open_out(10, false);
    struct imp_out_done done;
    struct err e = {0};
    int64_t at = 0;
    const uint64_t n = IMP_OUT_WAITING + 100;
    for (uint64_t i = 1; i <= n; i++) /* many of a bucket */
        check_ok(add(o, (int64_t)i, "m", i % 2 ? i : i << 16, &e), &e);
    check_true(!imp_out_waiting(o, 1, &at));
    check_true(!imp_out_waiting(o, 100 << 16, &at));
    check_true(imp_out_waiting(o, 101, &at));
    check_int(at, ==, 101);
    check_true(imp_out_waiting(o, n << 16, &at));
    check_int(at, ==, (int64_t)n);
    check_ok(add(o, (int64_t)n + 1, "m", 101, &e), &e); /* the latest of that key */
    check_true(imp_out_waiting(o, 101, &at));
    check_int(at, ==, (int64_t)n + 1);
    check_ok(imp_out_close(o, 0, &done, &e), &e);
    check_int(done.operations, ==, (int64_t)n + 1);
}

static void a_trace_of_nothing_is_none(void **state)
{
    (void)state;
    struct imp_out_done done;
    struct err e = {0};
    struct imp_out *o = open_out(0, true);
    imp_out_leave(o, IMP_LEFT_OTHER, "line 7");
    imp_out_leave(o, IMP_LEFT_OTHER, "line 9");
    check_int(imp_out_close(o, 0, &done, &e), ==, ERR_FORMAT);
    check_str_has(e.text, "no operation in it");
    check_int(done.left[IMP_LEFT_OTHER], ==, 2);
    check_str(done.left_first[IMP_LEFT_OTHER], "line 7");
}

static void names_get_ordinals_in_the_order_they_come(void **state)
{
    (void)state;
    struct imp_names t = {0};
    struct err e = {0};
    char text[32];
    uint32_t ordinal;
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 5000; i++) {
            snprintf(text, sizeof text, "session %u", i);
            check_ok(imp_names_of(&t, span_str(text), &ordinal, &e), &e);
            check_int(ordinal, ==, i);
        }
    imp_names_done(&t);
}

/* --- names of calls --------------------------------------------------------------- */

static void a_call_is_named_by_header_path_or_message(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target, *model;
        enum op_tier tier;
        const char *name;
        enum op_resource resource;
    } cases[] = {
        {"POST", "/v2/models/iris/infer", NULL, OP_TIER_ANY, "iris", OP_MODEL},
        {"POST", "http://a:9000/v2/models/iris_1/versions/1/infer", NULL,
         OP_TIER_SERVER, "iris", OP_MODEL},
        {"POST", "/v2/models/iris/infer", "p.pipeline", OP_TIER_ENVOY, "p",
         OP_PIPELINE},
        {"POST", "https://a/v2/pipelines/p_1/generate_stream", NULL, OP_TIER_ANY, "p_1",
         OP_PIPELINE},
        {"POST", "/v2/models//infer", "e.experiment", OP_TIER_ANY, NULL, OP_MODEL},
        {"GET", "/v2/models/iris/infer", NULL, OP_TIER_ANY, NULL, OP_MODEL},
        {"POST", "/v2/models/iris/ready", NULL, OP_TIER_ANY, NULL, OP_MODEL},
        {"POST", "ws://a/v2/models/iris/infer", NULL, OP_TIER_ANY, NULL, OP_MODEL},
        /* no content type: the path tells that it is gRPC */
        {"POST", CALL_GRPC_SERVICE "ModelInfer", "iris", OP_TIER_ANY, "iris", OP_MODEL},
        {"POST", CALL_GRPC_SERVICE "ModelReady", "iris", OP_TIER_ANY, NULL, OP_MODEL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a = {0};
        struct imp_out_done done = {0};
        struct op op = op_empty();
        struct op_stream s;
        enum imp_left why;
        struct op_header h = {SPAN_LIT("Seldon-Model"), span_str(cases[i].model)};
        struct imp_call c = {.method = span_str(cases[i].method),
                             .target = span_str(cases[i].target),
                             .headers = &h,
                             .header_count = cases[i].model != NULL};
        const struct imp_rule rule = {.tier = cases[i].tier};
        bool is = imp_call_make(&rule, &c, &a, &s, &op, &why, &done);
        if (is != (cases[i].name != NULL))
            fail_msg("%s %s", cases[i].method, cases[i].target);
        if (is) {
            check_span(s.name, cases[i].name);
            check_int(s.resource, ==, cases[i].resource);
            check_int(s.tier, ==, cases[i].tier);
        } else {
            check_int(why, ==, IMP_LEFT_OTHER);
        }
        arena_done(&a);
    }
}

static void a_model_type_is_told_by_name_and_tensors(void **state)
{
    (void)state;
    static const struct {
        const char *target, *encoding, *type;
    } cases[] = {{"/v2/models/iris7/infer", NULL, "iris"},
                 {"/v2/models/wine/infer", NULL, NULL},
                 {"/v2/models/iris/infer", "gzip", NULL}, /* it says so */
                 {"/v2/pipelines/iris/infer", NULL, NULL}};
    const struct mt_request q = {.protocol = OP_REST, .batch = 1};
    struct buf body = {0};
    struct err e = {0};
    check_ok(model_type_request(model_type_find(SPAN_LIT("iris")), &q, &body, &e), &e);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a = {0};
        struct imp_out_done done = {0};
        struct op op = op_empty();
        struct op_stream s;
        enum imp_left why;
        struct op_header h = {SPAN_LIT("Content-Encoding"),
                              span_str(cases[i].encoding)};
        struct imp_call c = {.method = SPAN_LIT("POST"),
                             .target = span_str(cases[i].target),
                             .headers = &h,
                             .header_count = cases[i].encoding != NULL,
                             .body = op_body_of(buf_view(&body))};
        const struct imp_rule rule = {.tier = OP_TIER_ENVOY};
        check_true(imp_call_make(&rule, &c, &a, &s, &op, &why, &done));
        check_span(s.model_type, cases[i].type ? cases[i].type : "");
        arena_done(&a);
    }
    buf_done(&body);
}

static void a_message_of_grpc_loses_its_prefix_or_is_left_out(void **state)
{
    (void)state;
    static const struct {
        struct span framed;
        bool good;
    } cases[] = {
        {SPAN_LIT("\0\0\0\0\2ab"), true},  {SPAN_LIT("\0\0\0\0\0"), true},
        {SPAN_LIT("\1\0\0\0\2ab"), false}, {SPAN_LIT("\0\0\0\0\3ab"), false},
        {SPAN_LIT("\0\0\0\0\1ab"), false}, {SPAN_LIT("\0\0\0\0"), false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct span message;
        check_int(imp_grpc_message(cases[i].framed, &message), ==, cases[i].good);
        if (cases[i].good)
            check_int(message.n, ==, cases[i].framed.n - 5);
    }
    struct op_header type = {SPAN_LIT("Content-Type"),
                             SPAN_LIT("application/grpc+proto")};
    struct imp_call c = {.headers = &type, .header_count = 1};
    check_true(imp_is_grpc(&c));
    type.value = SPAN_LIT("application/grpc-web+proto"); /* is another protocol */
    check_true(!imp_is_grpc(&c));
}

/* --- archives --------------------------------------------------------------------- */

/* Larger than any window of the input, and with all that could be taken for an end. */
static void entries_are_found_however_large(void **state)
{
    (void)state;
    struct buf text = {0};
    struct har_doc d;
    struct zin *in;
    struct span entry;
    struct err e = {0};
    static const size_t sizes[] = {0, 1, 70000, 300000, 5, 3000000};
    size_t ends[6], starts[6];
    buf_str(
        &text,
        "\xef\xbb\xbf {\"comment\" : \"}]\\\"{\", \"log\":{ \"creator\":{\"a\":[]},");
    buf_str(&text, "\"x\":[1,-2.5e3 ,true],\"_epochWallNs\":-7 ,\"entries\" : [ ");
    for (size_t i = 0; i < 6; i++) {
        starts[i] = text.n;
        buf_str(&text, "{\"a\":\"");
        for (size_t k = 0; k < sizes[i]; k += 5)
            buf_str(&text, k % 3 ? "\\\\\\\"}" : "{[]},");
        buf_str(&text, "\",\"b\":{\"c\":[{}]}}");
        ends[i] = text.n;
        buf_str(&text, i < 5 ? " ,\n" : "]");
    }
    buf_str(&text, ",\"after\":null} ,\"more\":\"\" }\n");
    FILE *f = fopen(path, "we");
    check_true(f && fwrite(text.p, 1, text.n, f) == text.n && fclose(f) == 0);
    check_ok(zin_open(&in, path, &e), &e);
    har_doc_init(&d, in);
    for (size_t i = 0; i < 6; i++) {
        check_int(har_doc_next(&d, &entry, &e), ==, 1);
        check_int(d.entry_at, ==, (int64_t)starts[i]);
        check_true(span_eq(entry, span_of(text.p + starts[i], ends[i] - starts[i])));
    }
    check_span(buf_view(&d.creator), "{\"a\":[]}");
    check_span(buf_view(&d.epoch), "-7");
    check_int(har_doc_next(&d, &entry, &e), ==, 0);
    check_int(har_doc_next(&d, &entry, &e), ==, 0);
    har_doc_done(&d);
    zin_close(in);
    buf_done(&text);
}

/* A document cut off anywhere says so; it never ends in silence. */
static void an_archive_that_is_cut_off_is_told(void **state)
{
    (void)state;
    static const char whole[] =
        "{\"log\":{\"a\":\"\\\"\",\"entries\":[{\"b\":[1]},{}],\"c\":0}}";
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        struct har_doc d;
        struct zin *in;
        struct span entry;
        struct err e = {0};
        int rc;
        check_ok(zin_open_bytes(&in, span_of(whole, n), &e), &e);
        har_doc_init(&d, in);
        while ((rc = har_doc_next(&d, &entry, &e)) == 1)
            continue;
        if (rc != ERR_TRUNCATED)
            fail_msg("of %zu bytes: %d %s", n, rc, e.text);
        har_doc_done(&d);
        zin_close(in);
    }
}

/* --- tables ----------------------------------------------------------------------- */

static struct csv_rows rows_of(const char *text, struct zin **in)
{
    struct csv_rows c;
    struct err e = {0};
    check_ok(zin_open_bytes(in, span_str(text), &e), &e);
    csv_rows_init(&c, *in, ',');
    return c;
}

static void rows_are_read_as_the_rfc_has_them(void **state)
{
    (void)state;
    static const struct {
        const char *text, *cells; /* with | between, ; behind each row */
    } cases[] = {
        {"", ""},
        {"a", "a;"},
        {"a,b\nc,d\n", "a|b;c|d;"},
        {"a,b\r\nc,d\r\n", "a|b;c|d;"},
        {"\xef\xbb\xbf"
         "a\n",
         "a;"},
        {"\n\n,\n\r\n\na\n\n", "|;a;"},
        {"\"a\",\"\",\"b,\n\"\"c\"\"\"\n", "a||b,\n\"c\";"},
        {"a,\nb", "a|;b;"},
        {"\"a\r\nb\"\r\n", "a\r\nb;"},
        {" a , b ", " a | b ;"},
        {"a,\"b\"", "a|b;"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct zin *in;
        struct csv_rows c = rows_of(cases[i].text, &in);
        struct buf got = {0};
        struct err e = {0};
        int rc;
        while ((rc = csv_rows_next(&c, &e)) == 1)
            for (size_t k = 0; k < c.n; k++) {
                buf_span(&got, c.cells[k]);
                buf_u8(&got, k + 1 < c.n ? '|' : ';');
            }
        check_ok(rc, &e);
        check_str(buf_text(&got), cases[i].cells);
        buf_done(&got);
        csv_rows_done(&c);
        zin_close(in);
    }
}

static void a_row_knows_the_line_that_it_begins_in(void **state)
{
    (void)state;
    struct zin *in;
    struct err e = {0};
    struct csv_rows c = rows_of("a\n\"b\n\nc\"\r\n\nd\ne\"", &in);
    static const uint64_t lines[] = {1, 2, 6};
    for (size_t i = 0; i < 3; i++) {
        check_int(csv_rows_next(&c, &e), ==, 1);
        check_int(c.line, ==, lines[i]);
    }
    check_int(csv_rows_next(&c, &e), ==, ERR_FORMAT);
    check_int(c.line, ==, 7);
    csv_rows_done(&c);
    zin_close(in);
}

/* Cells beyond any window of the input. */
static void cells_may_be_large(void **state)
{
    (void)state;
    struct zin *in;
    struct err e = {0};
    struct buf text = {0};
    const size_t n = 3000000;
    buf_str(&text, "head,\"");
    for (size_t i = 0; i < n; i++)
        buf_str(&text, i % 1000 ? "x" : "\"\"");
    buf_str(&text, "\",tail\n");
    FILE *f = fopen(path, "we");
    check_true(f && fwrite(text.p, 1, text.n, f) == text.n && fclose(f) == 0);
    struct csv_rows c;
    check_ok(zin_open(&in, path, &e), &e);
    csv_rows_init(&c, in, ',');
    check_int(csv_rows_next(&c, &e), ==, 1);
    check_int(c.n, ==, 3);
    check_int(c.cells[1].n, ==, n);
    check_int(c.cells[1].p[1000], ==, '"');
    check_span(c.cells[2], "tail");
    csv_rows_done(&c);
    zin_close(in);
    buf_done(&text);
}

/* --- GoReplay --------------------------------------------------------------------- */

#define MONKEYS "\n\xF0\x9F\x90\xB5\xF0\x9F\x99\x88\xF0\x9F\x99\x89\n"

static void a_payload_ends_where_another_or_nothing_follows(void **state)
{
    (void)state;
    static const struct {
        const char *text, *messages; /* with | behind each */
        int closed;                  /* of the last */
    } cases[] = {
        {"1 a 2\nx" MONKEYS, "x|", 1},
        {"1 a 2\nx", "x|", 0},
        {"1 a 2\n" MONKEYS "2 a 3 4\n\n" MONKEYS, "|\n|", 1},
        {"1 a 2\nx" MONKEYS "y" MONKEYS, "x" MONKEYS "y|", 1},
        {"1 a 2\nx" MONKEYS "1 b x\n" MONKEYS "1 c 2\nz", "x" MONKEYS "1 b x\n|z|", 0},
        {"1 a 2\nx" MONKEYS MONKEYS, "x" MONKEYS "|", 1},
        {"1 a 2\nx\n\xF0\x9F\x90\xB5\n" MONKEYS, "x\n\xF0\x9F\x90\xB5\n|", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct zin *in;
        struct gor_file f;
        struct gor_payload p = {.closed = false};
        struct buf got = {0};
        struct err e = {0};
        int rc;
        check_ok(zin_open_bytes(&in, span_str(cases[i].text), &e), &e);
        gor_file_init(&f, in);
        while ((rc = gor_file_next(&f, &p, &e)) == 1) {
            buf_span(&got, p.message);
            buf_u8(&got, '|');
        }
        check_ok(rc, &e);
        check_str(buf_text(&got), cases[i].messages);
        check_int(p.closed, ==, cases[i].closed);
        buf_done(&got);
        gor_file_done(&f);
        zin_close(in);
    }
}

static void the_first_line_of_a_payload_is_taken_apart(void **state)
{
    (void)state;
    struct zin *in;
    struct gor_file f;
    struct gor_payload p;
    struct err e = {0};
    check_ok(
        zin_open_bytes(&in, SPAN_LIT("1 ab 17\nx" MONKEYS "2 cd 18 19 tail\ny"), &e),
        &e);
    gor_file_init(&f, in);
    check_int(gor_file_next(&f, &p, &e), ==, 1);
    check_int(p.type, ==, GOR_REQUEST);
    check_span(p.id, "ab");
    check_int(p.time_ns, ==, 17);
    check_true(!p.has_duration);
    check_int(p.at, ==, 0);
    check_int(gor_file_next(&f, &p, &e), ==, 1);
    check_int(p.type, ==, GOR_ANSWER);
    check_span(p.id, "cd");
    check_int(p.duration_ns, ==, 19); /* what is behind it is for later versions */
    check_int(p.at, ==, 23);
    check_int(gor_file_next(&f, &p, &e), ==, 0);
    gor_file_done(&f);
    zin_close(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_are_put_in_order_while_there_is_room),
        cmocka_unit_test(an_answer_finds_its_operation_held_written_or_not_at_all),
        cmocka_unit_test(only_the_latest_operations_wait),
        cmocka_unit_test(a_trace_of_nothing_is_none),
        cmocka_unit_test(names_get_ordinals_in_the_order_they_come),
        cmocka_unit_test(a_call_is_named_by_header_path_or_message),
        cmocka_unit_test(a_model_type_is_told_by_name_and_tensors),
        cmocka_unit_test(a_message_of_grpc_loses_its_prefix_or_is_left_out),
        cmocka_unit_test(entries_are_found_however_large),
        cmocka_unit_test(an_archive_that_is_cut_off_is_told),
        cmocka_unit_test(rows_are_read_as_the_rfc_has_them),
        cmocka_unit_test(a_row_knows_the_line_that_it_begins_in),
        cmocka_unit_test(cells_may_be_large),
        cmocka_unit_test(a_payload_ends_where_another_or_nothing_follows),
        cmocka_unit_test(the_first_line_of_a_payload_is_taken_apart),
    };
    return cmocka_run_group_tests(tests, make_path, drop_path);
}
