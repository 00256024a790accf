/*
 * test_keyed_hash.c - keyed hashes are SipHash, and keys come from where they should.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "traces/base/keyed_hash.h"

static void the_keyed_hash_is_siphash_of_128_bits(void **state)
{
    (void)state;
    uint8_t key[KEYED_HASH_BYTES], in[15];
    uint64_t h[2];
    for (uint8_t i = 0; i < sizeof key; i++)
        key[i] = i;
    for (uint8_t i = 0; i < sizeof in; i++)
        in[i] = i;
    /* As openssl mac -macopt size:16 SIPHASH gives them: a3817f04…, 5150d177…. */
    keyed_hash(key, span_of(in, 0), h);
    check_true(h[0] == 0xe6a825ba047f81a3 && h[1] == 0x930255c71472f66d);
    keyed_hash(key, span_of(in, sizeof in), h);
    check_true(h[0] == 0x11a8b03399e99354 && h[1] == 0xd9c3cf970fec087e);
}

static void a_key_comes_from_the_environment_or_is_drawn(void **state)
{
    (void)state;
    uint8_t a[KEYED_HASH_BYTES], b[KEYED_HASH_BYTES];
    char name_a[17], name_b[17];
    struct err e = {0};
    setenv("TEST_KEY", "000102030405060708090A0b0c0d0e0f", 1);
    check_ok(keyed_hash_key(NULL, "TEST_KEY", a, &e), &e);
    for (uint8_t i = 0; i < sizeof a; i++)
        check_int(a[i], ==, i);
    setenv("TEST_KEY", "00010203", 1);
    check_int(keyed_hash_key(NULL, "TEST_KEY", a, &e), ==, ERR_USAGE);
    check_str_has(e.text, "TEST_KEY is not 32 hex digits");
    err_clear(&e);
    unsetenv("TEST_KEY");
    check_ok(keyed_hash_key(NULL, "TEST_KEY", a, &e), &e);
    check_ok(keyed_hash_key(NULL, "TEST_KEY", b, &e), &e);
    keyed_hash_key_text(a, name_a);
    keyed_hash_key_text(b, name_b);
    check_int(strlen(name_a), ==, 16);
    check_true(strcmp(name_a, name_b) != 0);
    check_int(keyed_hash_key("no/such/file", "TEST_KEY", a, &e), ==, ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_keyed_hash_is_siphash_of_128_bits),
        cmocka_unit_test(a_key_comes_from_the_environment_or_is_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
