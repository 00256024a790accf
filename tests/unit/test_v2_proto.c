/* test_v2_proto.c - traces/payload/v2_proto, and both encodings against each other.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/pay_equal.h"
#include "traces/base/rng.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"

static struct arena arena;
static struct err e;

static int clean(void **state)
{
    (void)state;
    arena_done(&arena);
    e = (struct err){0};
    return 0;
}

/* "0a 01 78" as bytes that end where the heap block ends. */
static struct span hex(const char *text)
{
    struct buf b = {0};
    for (const char *p = text; *p; p++) {
        if (*p == ' ')
            continue;
        char pair[3] = {p[0], p[1], 0};
        buf_u8(&b, (uint8_t)strtoul(pair, NULL, 16));
        p++;
    }
    struct span s = arena_dup(&arena, buf_view(&b));
    buf_done(&b);
    return s;
}

static void check_hex(struct buf *got, const char *want)
{
    struct span bytes = hex(want);
    if (!span_eq(buf_view(got), bytes)) {
        for (size_t i = 0; i < got->n; i++)
            print_error("%02x ", got->p[i]);
        fail_msg("wanted %s", want);
    }
    buf_done(got);
}

static void refused(const char *bytes, enum err_code code, const char *why)
{
    struct pay_message m;
    check_int(v2_proto_parse_request(hex(bytes), &arena, &m, &e), ==, code);
    check_str_has(e.text, why);
    err_clear(&e);
}

static struct pay_message request(const char *bytes)
{
    struct pay_message m;
    check_ok(v2_proto_parse_request(hex(bytes), &arena, &m, &e), &e);
    return m;
}

/* --- bytes on the wire ------------------------------------------------------- */

static const int32_t two_numbers[] = {1, -2};

static struct pay_tensor numbers_tensor(void)
{
    return (struct pay_tensor){.name = SPAN_LIT("x"),
                               .type = PAY_INT32,
                               .shape = {2},
                               .rank = 1,
                               .element_count = 2,
                               .packed = span_of(two_numbers, sizeof two_numbers)};
}

static void typed_contents_are_packed_in_their_own_field(void **state)
{
    (void)state;
    struct pay_tensor t = numbers_tensor();
    struct pay_message m = {.model_name = SPAN_LIT("m"),
                            .id = SPAN_LIT("7"),
                            .tensors = &t,
                            .tensor_count = 1};
    struct buf out = {0};
    v2_proto_request(&m, &out);
    check_hex(&out, "0a 01 6d  1a 01 37  2a 1c  0a 01 78  12 05 49 4e 54 33 32  1a 01 "
                    "02  2a 0d 12 0b 01 fe ff ff ff ff ff ff ff ff 01");
}

static void raw_contents_stand_behind_all_tensors(void **state)
{
    (void)state;
    struct span texts[] = {SPAN_LIT("ab"), SPAN_LIT("")};
    struct pay_tensor t[2] = {numbers_tensor(), numbers_tensor()};
    t[1].type = PAY_BYTES;
    t[1].packed = span_of(NULL, 0);
    t[1].bytes = texts;
    struct pay_message m = {.tensors = t, .tensor_count = 2, .raw = true};
    struct buf out = {0};
    v2_proto_response(&m, &out);
    check_hex(
        &out,
        "2a 0d 0a 01 78 12 05 49 4e 54 33 32 1a 01 022a 0d 0a 01 78 12 05 42 59 54 45 "
        "53 1a 01 0232 08 01 00 00 00 fe ff ff ff32 0a 02 00 00 00 61 62 00 00 00 00");
}

static void parameters_are_map_entries(void **state)
{
    (void)state;
    struct pay_param p[] = {
        {.name = SPAN_LIT("b"), .kind = PAY_PARAM_BOOL, .b = true},
        {.name = SPAN_LIT("i"), .kind = PAY_PARAM_INT, .i = -1},
        {.name = SPAN_LIT("s"), .kind = PAY_PARAM_STRING, .s = SPAN_LIT("pd")},
        {.name = SPAN_LIT("d"), .kind = PAY_PARAM_DOUBLE, .d = 1},
    };
    struct pay_message m = {.params = p, .param_count = 4}, back;
    struct buf out = {0};
    v2_proto_request(&m, &out);
    check_ok(v2_proto_parse_request(buf_view(&out), &arena, &back, &e), &e);
    check_true(messages_equal(&m, &back));
    check_hex(&out, "22 07 0a 01 62 12 02 08 0122 10 0a 01 69 12 0b 10 ff ff ff ff ff "
                    "ff ff ff ff 0122 09 0a 01 73 12 04 1a 02 70 6422 0e 0a 01 64 12 "
                    "09 21 00 00 00 00 00 00 f0 3f");
}

static void what_is_not_packed_is_read_as_well(void **state)
{
    (void)state;
    /* shape 2, int_contents 3 and 4, each in a field of its own */
    struct pay_message m =
        request("2a 12 0a 01 78 12 05 49 4e 54 33 32 18 02 2a 04 10 03 1004");
    check_int(pay_tensor_int(&m.tensors[0], 1), ==, 4);
}

static void unknown_fields_and_requested_outputs_are_passed_over(void **state)
{
    (void)state;
    /* 6 outputs {name "o"}, 99 varint, 100 fixed32, parameter of an unknown choice */
    struct pay_message m = request("32 03 0a 01 6f  98 06 05  a5 06 01 02 03 04 22 07 "
                                   "0a 01 70 12 02 30 01  0a 01 6d");
    check_span(m.model_name, "m");
    check_int(m.tensor_count + m.param_count, ==, 0);
}

static void an_empty_message_is_one_without_tensors(void **state)
{
    (void)state;
    struct pay_message m = request("");
    check_int(m.tensor_count, ==, 0);
}

static void names_may_hold_a_nul(void **state)
{
    (void)state;
    struct pay_message m = request("0a 03 61 00 62");
    check_int(m.model_name.n, ==, 3);
}

/* --- faults ------------------------------------------------------------------ */

static void faults_are_named(void **state)
{
    (void)state;
    refused("0a 05 61", ERR_FORMAT, "malformed protobuf at byte 0");
    refused("0a 01 61 ff", ERR_FORMAT, "malformed protobuf at byte 3");
    refused("0a 01 61 0b 0c", ERR_FORMAT, "malformed protobuf at byte 3"); /* a group */
    refused("00 01", ERR_FORMAT, "malformed protobuf at byte 0");          /* field 0 */
    refused("28 01", ERR_FORMAT,
            "malformed protobuf at byte 0"); /* inputs as a number */
    refused("0a 01 61 2a 02 0a 05", ERR_FORMAT, "malformed protobuf at byte 5");
    refused("22 04 12 02 1a 05", ERR_FORMAT,
            "a field has a wrong type, or a list is cut");
    refused("0a 01 ff", ERR_FORMAT, "model_name is not UTF-8");
    refused("1a 02 c3 28", ERR_FORMAT, "id is not UTF-8");
    refused("2a 03 12 01 58", ERR_FORMAT, "tensor 0: unknown datatype 'X'");
    refused("2a 05 0a 01 ff 12 00", ERR_FORMAT, "tensor 0: its name is not UTF-8");
    /* x INT8 [1] in int_contents: 128 */
    refused("2a 12 0a 01 78 12 04 49 4e 54 38 1a 01 01 2a 04 12 02 80 01", ERR_FORMAT,
            "tensor 0: 128 is no INT8");
    /* BYTES [1] in fp32_contents, which is what k6 sends to echo */
    refused("2a 15 0a 01 78 12 05 42 59 54 45 53 1a 01 01 2a 06 32 04 9a 99 99 3f",
            ERR_FORMAT, "tensor 0: BYTES in fp32_contents");
    refused("2a 0d 0a 01 78 12 05 49 4e 54 33 32 1a 01 02", ERR_FORMAT,
            "tensor 0: 0 elements in int_contents, 2 by its shape");
    refused("2a 16 0a 01 78 12 05 49 4e 54 33 32 1a 0a ff ff ff ff ff ff ff ff ff 01",
            ERR_FORMAT, "tensor 0: negative dimension -1");
}

static void raw_contents_must_fit(void **state)
{
    (void)state;
#define INT32_2 "2a 0d 0a 01 78 12 05 49 4e 54 33 32 1a 01 02 "
#define BYTES_2 "2a 0d 0a 01 78 12 05 42 59 54 45 53 1a 01 02 "
    refused(INT32_2 "3a 04 01 00 00 00", ERR_FORMAT,
            "tensor 0: 4 raw bytes, 2 elements of 4 by its shape");
    refused(INT32_2 INT32_2 "3a 00", ERR_FORMAT, "1 raw contents for 2 tensors");
    refused("2a 13 0a 01 78 12 05 49 4e 54 33 32 1a 01 02 2a 04 12 02 01 023a 08 01 00 "
            "00 00 02 00 00 00",
            ERR_FORMAT, "tensor 0: both raw contents and int_contents");
    refused(BYTES_2 "3a 04 00 00 00 00", ERR_FORMAT,
            "tensor 0: 4 raw bytes are fewer than 2 elements");
    refused(BYTES_2 "3a 09 00 00 00 00 ff ff ff ff 61", ERR_FORMAT,
            "tensor 0: 9 raw bytes are not 2 elements");
    refused(BYTES_2 "3a 09 00 00 00 00 00 00 00 00 61", ERR_FORMAT,
            "tensor 0: 9 raw bytes are not 2 elements");
    struct pay_message m = request(BYTES_2 "3a 09 00 00 00 00 01 00 00 00 61");
    check_true(m.raw);
    check_span(m.tensors[0].bytes[1], "a");
}

static void lists_have_limits(void **state)
{
    (void)state;
    struct buf b = {0};
    struct pay_message m;
    for (int i = 0; i < 256; i++)
        buf_add(&b, "\x2a\x06\x12\x04\x42\x4f\x4f\x4c",
                8); /* a tensor of datatype BOOL */
    check_int(v2_proto_parse_request(buf_view(&b), &arena, &m, &e), ==, ERR_FORMAT);
    check_str_has(e.text, "tensor 0: 0 elements"); /* rank 0 has one element */
    err_clear(&e);
    buf_add(&b, "\x2a\x00", 2);
    check_int(v2_proto_parse_request(buf_view(&b), &arena, &m, &e), ==, ERR_LIMIT);
    check_str_has(e.text, "more than 256 tensors at byte 2048");
    err_clear(&e);
    buf_reset(&b);
    for (int i = 0; i < 65; i++)
        buf_add(&b, "\x22\x00", 2);
    check_int(v2_proto_parse_request(buf_view(&b), &arena, &m, &e), ==, ERR_LIMIT);
    check_str_has(e.text, "more than 64 parameters at byte 128");
    err_clear(&e);
    refused("2a 11 12 04 42 4f 4f 4c 1a 09 01 01 01 01 01 01 01 01 01", ERR_LIMIT,
            "tensor 0: more than 8 dimensions");
    buf_done(&b);
    uint8_t byte = 0;
    check_int(v2_proto_parse_request(span_of(&byte, V2_PROTO_MAX + 1), &arena, &m, &e),
              ==, ERR_LIMIT);
}

/* A megabyte of two-byte elements must not take more than its bounded share of memory.
 */
static void memory_goes_with_the_size_of_the_message(void **state)
{
    (void)state;
    struct buf b = {0};
    struct pay_message m;
    for (int i = 0; i < 500000; i++)
        buf_add(&b, "\x98\x06\x01", 3); /* unknown fields */
    int rc = v2_proto_parse_request(buf_view(&b), &arena, &m, &e);
    check_true(rc == 0 || rc == ERR_LIMIT);
    check_true(arena.total < 2 * (64 * b.n + (1u << 16)));
    buf_done(&b);
}

/* --- renaming ---------------------------------------------------------------- */

static void renamed(const char *from, const char *name, const char *id,
                    const char *want)
{
    struct buf out = {0};
    check_ok(v2_proto_rename(hex(from), span_str(name), span_str(id), &out, &e), &e);
    if (*id == 0) {
        struct buf front = {0};
        struct span rest;
        check_ok(v2_proto_rename_front(hex(from), span_str(name), &front, &rest, &e),
                 &e);
        buf_span(&front, rest);
        check_true(span_eq(buf_view(&front), buf_view(&out)));
        buf_done(&front);
    }
    check_hex(&out, want);
}

static void renaming_changes_nothing_else(void **state)
{
    (void)state;
    /* name, version, an unknown field, a broken tensor, id, another unknown field */
    renamed("0a 02 61 62  12 01 31  98 06 05  2a 02 ff ff  1a 01 39  a1 06 "
            "0102030405060708",
            "iris_1", "",
            "0a 06 69 72 69 73 5f 31  98 06 05  2a 02 ff ff  1a 01 39a1 06 "
            "0102030405060708");
    renamed("1a 01 39 2a 00 0a 01 61", "n", "id", "0a 01 6e 1a 02 69 64 2a 00");
    renamed("", "n", "", "0a 01 6e");
    renamed("0a 01 61 2a 00", "", "", "2a 00");
}

static void renaming_refuses_what_is_not_protobuf(void **state)
{
    (void)state;
    struct buf out = {0};
    check_int(v2_proto_rename(hex("0a 01 61 2a 05 00"), SPAN_LIT("n"), SPAN_LIT(""),
                              &out, &e),
              ==, ERR_FORMAT);
    check_int(e.at, ==, 3);
    buf_done(&out);
}

/* --- any message, in every encoding ------------------------------------------ */

static struct span random_text(struct rng *rng)
{
    static const char *const pieces[] = {
        "a", "\"", "\\", "\n",   "\xc3\xa9",         "",
        "/", "}",  "x_", "\x7f", "\xf0\x9f\x98\x80", "01",
        " "};
    struct buf b = {0};
    for (uint64_t n = rng_below(rng, 6); n > 0; n--)
        buf_str(&b, pieces[rng_below(rng, sizeof pieces / sizeof *pieces)]);
    struct span s = arena_dup(&arena, buf_view(&b));
    buf_done(&b);
    return s;
}

static const struct pay_param *random_params(struct rng *rng, uint32_t *count)
{
    *count = (uint32_t)rng_below(rng, 4);
    struct pay_param *p = arena_zalloc(&arena, (*count + 1) * sizeof *p);
    for (uint32_t i = 0; i < *count; i++) {
        p[i].name = random_text(rng);
        p[i].kind = (unsigned)rng_below(rng, 4);
        p[i].b = p[i].kind == PAY_PARAM_BOOL && rng_below(rng, 2);
        p[i].i = p[i].kind == PAY_PARAM_INT ? (int64_t)rng_u64(rng) : 0;
        p[i].d = p[i].kind == PAY_PARAM_DOUBLE ? rng_normal(rng) * 1e6 : 0;
        if (p[i].kind == PAY_PARAM_STRING)
            p[i].s = random_text(rng);
    }
    return p;
}

static void random_elements(struct rng *rng, struct pay_tensor *t)
{
    size_t width = pay_type_width(t->type), n = t->element_count;
    if (t->type == PAY_BYTES) {
        struct span *list = arena_alloc(&arena, n * sizeof *list);
        for (size_t i = 0; i < n; i++)
            list[i] = random_text(rng);
        t->bytes = list;
        return;
    }
    uint8_t *p = arena_alloc(&arena, n * width);
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = rng_u64(rng) >> rng_below(rng, 64);
        if (t->type == PAY_BOOL)
            bits &= 1;
        if (pay_type_is_float(t->type))
            pay_store_float(t->type, p + i * width,
                            rng_normal(rng) * (double)(bits % 4096));
        else
            memcpy(p + i * width, &bits, width);
    }
    t->packed = span_of(p, n * width);
}

static struct pay_message random_message(struct rng *rng)
{
    struct pay_message m = {.model_name = random_text(rng),
                            .model_version = random_text(rng),
                            .id = random_text(rng),
                            .tensor_count = (uint32_t)rng_below(rng, 4)};
    m.params = random_params(rng, &m.param_count);
    struct pay_tensor *t = arena_zalloc(&arena, (m.tensor_count + 1) * sizeof *t);
    for (uint32_t i = 0; i < m.tensor_count; i++) {
        t[i].name = random_text(rng);
        t[i].type = (enum pay_type)rng_below(rng, PAY_TYPE_COUNT);
        t[i].rank = (uint32_t)rng_below(rng, 4);
        for (uint32_t k = 0; k < t[i].rank; k++)
            t[i].shape[k] = (int64_t)rng_below(rng, 5);
        check_ok(pay_shape_count(t[i].shape, t[i].rank, &t[i].element_count, &e), &e);
        t[i].params = random_params(rng, &t[i].param_count);
        random_elements(rng, &t[i]);
    }
    m.tensors = t;
    return m;
}

static struct span kept(struct buf *b)
{
    check_ok(buf_check(b, &e), &e);
    struct span s = arena_dup(&arena, buf_view(b));
    buf_done(b);
    return s;
}

static void any_message_survives_each_encoding(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 2024);
    for (int i = 0; i < 1500; i++) {
        struct pay_message m = random_message(&rng), typed, raw, json;
        struct buf b = {0};
        v2_proto_response(&m, &b);
        check_ok(v2_proto_parse_response(kept(&b), &arena, &typed, &e), &e);
        check_true(messages_equal(&m, &typed) && !typed.raw);
        m.raw = true;
        v2_proto_response(&m, &b);
        check_ok(v2_proto_parse_response(kept(&b), &arena, &raw, &e), &e);
        check_true(messages_equal(&m, &raw));
        check_true(raw.raw == (m.tensor_count > 0));
        v2_json_response(&typed, &b);
        check_ok(v2_json_parse_response(kept(&b), &arena, &json, &e), &e);
        check_true(messages_equal(&m, &json));
        v2_proto_request(&json, &b);
        check_ok(v2_proto_parse_request(kept(&b), &arena, &typed, &e), &e);
        check_true(messages_equal(&m, &typed));
        arena_reset(&arena);
    }
}

static void renaming_is_decoding_renaming_and_encoding(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 77);
    for (int i = 0; i < 500; i++) {
        struct pay_message m = random_message(&rng), back;
        struct buf b = {0};
        m.raw = rng_below(&rng, 2) != 0;
        v2_proto_request(&m, &b);
        struct span before = kept(&b);
        check_ok(v2_proto_rename(before, SPAN_LIT("new_3"), SPAN_LIT("id-9"), &b, &e),
                 &e);
        check_ok(v2_proto_parse_request(kept(&b), &arena, &back, &e), &e);
        m.model_name = SPAN_LIT("new_3");
        m.model_version = SPAN_LIT("");
        m.id = SPAN_LIT("id-9");
        check_true(messages_equal(&m, &back));
        arena_reset(&arena);
    }
}

static void what_triton_wraps_is_told_from_what_it_wraps(void **state)
{
    static const struct {
        const char *message;
        enum v2_stream kind;
        const char *response;
    } rows[] = {
        {"", V2_STREAM_BARE, ""},
        {"0a016d 2a00", V2_STREAM_BARE, "0a016d 2a00"},
        {"0a016d 120131 1a0169 2a00", V2_STREAM_BARE, "0a016d 120131 1a0169 2a00"},
        {"0a016d 120131", V2_STREAM_BARE, "0a016d 120131"}, /* version "1" */
        {"1205 0a016d2a00", V2_STREAM_WRAPPED, "0a016d2a00"},
        {"1200", V2_STREAM_WRAPPED, ""},
        {"0a03626164", V2_STREAM_ERROR, ""},
        {"0a03626164 1203 0a016d", V2_STREAM_ERROR, ""},
        {"0a00 1203 0a016d", V2_STREAM_WRAPPED, "0a016d"},
        {"1205 0a016d2a", V2_STREAM_BARE, "1205 0a016d2a"}, /* cut off */
        {"ffff", V2_STREAM_BARE, "ffff"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct span response;
        check_int(v2_proto_unwrap(hex(rows[i].message), &response), ==, rows[i].kind);
        check_true(span_eq(response, hex(rows[i].response)));
    }
}

#define T(f) cmocka_unit_test_teardown(f, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(typed_contents_are_packed_in_their_own_field),
        T(raw_contents_stand_behind_all_tensors),
        T(parameters_are_map_entries),
        T(what_is_not_packed_is_read_as_well),
        T(unknown_fields_and_requested_outputs_are_passed_over),
        T(an_empty_message_is_one_without_tensors),
        T(names_may_hold_a_nul),
        T(faults_are_named),
        T(raw_contents_must_fit),
        T(lists_have_limits),
        T(memory_goes_with_the_size_of_the_message),
        T(renaming_changes_nothing_else),
        T(renaming_refuses_what_is_not_protobuf),
        T(what_triton_wraps_is_told_from_what_it_wraps),
        T(any_message_survives_each_encoding),
        T(renaming_is_decoding_renaming_and_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
