/* test_dialect.c - what the first bytes of a peer say of its protocol.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include "replay/engine/dialect.h"

#define SETTINGS "\0\0\x06\4\0\0\0\0\0\0\3\0\0\0\x64"
#define GOAWAY   "\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\1"
#define ALERT    "\x15\x03\x01\0\2\2\x46"

static void each_protocol_is_told_from_its_first_bytes(void **state)
{
    static const struct {
        struct span first;
        enum rep_dialect is;
    } cases[] = {
        {SPAN_LIT("HTTP/1.1 400 Bad Request\r\n"), REP_DIALECT_HTTP1},
        {SPAN_LIT("HTTP/1.0 505 "), REP_DIALECT_HTTP1},
        {SPAN_LIT(SETTINGS), REP_DIALECT_HTTP2},
        {SPAN_LIT(GOAWAY), REP_DIALECT_HTTP2},
        {SPAN_LIT(ALERT), REP_DIALECT_TLS},
        {SPAN_LIT(""), REP_DIALECT_UNKNOWN},
        {SPAN_LIT("HTT"), REP_DIALECT_UNKNOWN},
        {SPAN_LIT("\0\0\x06\4\0\0\0\0"), REP_DIALECT_UNKNOWN},     /* cut */
        {SPAN_LIT("\0\0\0\4\1\0\0\0\0"), REP_DIALECT_UNKNOWN},     /* an ACK */
        {SPAN_LIT("\0\0\x06\4\0\0\0\0\1"), REP_DIALECT_UNKNOWN},   /* of a stream */
        {SPAN_LIT("\0\x10\x00\4\0\0\0\0\0"), REP_DIALECT_UNKNOWN}, /* too long */
        {SPAN_LIT("\0\0\5\0\0\0\0\0\1hello"), REP_DIALECT_UNKNOWN},
        {SPAN_LIT("SSH-2.0-OpenSSH"), REP_DIALECT_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_int(rep_dialect_of(cases[i].first), ==, cases[i].is);
}

/* Bytes of answers that are right are never taken for another protocol, and what is
 * wrong is said with what to do. */
static void only_a_wrong_protocol_has_words(void **state)
{
    (void)state;
    check_true(!rep_dialect_words(REP_DIALECT_HTTP1, OP_REST, 0));
    check_true(!rep_dialect_words(REP_DIALECT_HTTP1, OP_REST, 1));
    check_true(!rep_dialect_words(REP_DIALECT_HTTP2, OP_REST, 2));
    check_true(!rep_dialect_words(REP_DIALECT_HTTP2, OP_GRPC, 0));
    check_true(!rep_dialect_words(REP_DIALECT_UNKNOWN, OP_GRPC, 0));
    check_str_has(rep_dialect_words(REP_DIALECT_HTTP1, OP_REST, 2),
                  "--http-version 1.1");
    check_str_has(rep_dialect_words(REP_DIALECT_HTTP1, OP_GRPC, 0), "port for REST");
    check_str_has(rep_dialect_words(REP_DIALECT_HTTP2, OP_REST, 1), "port for gRPC");
    check_str_has(rep_dialect_words(REP_DIALECT_TLS, OP_REST, 1), "https://");
    check_str_has(rep_dialect_words(REP_DIALECT_TLS, OP_GRPC, 0), "grpcs://");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_protocol_is_told_from_its_first_bytes),
        cmocka_unit_test(only_a_wrong_protocol_has_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
