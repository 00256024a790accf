/*
 * test_cap_tiers.c - which port is which tier.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdio.h>
#include <string.h>

#include "capture/tiers.h"

static struct cap_endpoint at(unsigned a, unsigned d, uint16_t port)
{
    struct cap_endpoint p = {.port = port};
    p.addr[10] = p.addr[11] = 0xff;
    p.addr[12] = (uint8_t)a;
    p.addr[15] = (uint8_t)d;
    return p;
}

static enum op_tier find(const struct cap_tiers *t, unsigned net, uint16_t port)
{
    struct cap_endpoint client = at(net, 2, 40000), server = at(net, 1, port);
    return cap_tiers_find(t, &client, &server);
}

static void a_map_names_the_tier_of_each_port(void **state)
{
    (void)state;
    struct cap_tiers t = {0};
    struct err e = {0};
    check_ok(cap_tiers_add(&t, "9000=envoy, 9998=rproxy,9092=kafka", &e), &e);
    check_int(find(&t, 10, 9000), ==, OP_TIER_ENVOY);
    check_int(find(&t, 10, 9998), ==, OP_TIER_RPROXY);
    check_int(find(&t, 10, 9092), ==, OP_TIER_KAFKA);
    check_int(find(&t, 10, 9001), ==, OP_TIER_ANY);
}

static void the_loopback_may_have_a_tier_of_its_own(void **state)
{
    (void)state;
    struct cap_tiers t = {0};
    struct err e = {0};
    check_ok(cap_tiers_add(&t, "k8s", &e), &e);
    check_int(find(&t, 10, 9000), ==, OP_TIER_ENVOY);
    check_int(find(&t, 127, 9000), ==, OP_TIER_SERVER);
    check_int(find(&t, 127, 9501), ==, OP_TIER_RPROXY);

    struct cap_endpoint one = {.addr = {[15] = 1}, .port = 9000}, other = one;
    other.port = 55555;
    check_int(cap_tiers_find(&t, &other, &one), ==, OP_TIER_SERVER);
    struct cap_endpoint away = at(10, 9, 55555);
    struct cap_endpoint mixed = at(127, 1, 9000);
    check_int(cap_tiers_find(&t, &away, &mixed), ==, OP_TIER_ENVOY);
}

static void presets_add_up_with_ports(void **state)
{
    (void)state;
    struct cap_tiers t = {0};
    struct err e = {0};
    uint16_t ports[CAP_TIERS_MAX];
    check_ok(cap_tiers_add(&t, "k8s,18080=server", &e), &e);
    check_int(find(&t, 10, 18080), ==, OP_TIER_SERVER);
    /* 9000 stands there twice, with and without the loopback. */
    check_int(cap_tiers_ports(&t, ports), ==, t.n - 1);
    const char *name;
    size_t n = 0;
    for (; cap_tiers_preset(n, &name); n++) {
        struct cap_tiers one = {0};
        check_ok(cap_tiers_add(&one, name, &e), &e);
        check_true(one.n > 0);
    }
    check_int(n, ==, 2);
}

static void a_wrong_map_is_told_what_is_wrong_with_it(void **state)
{
    (void)state;
    static const struct {
        const char *map, *why;
    } cases[] = {
        {"", "neither [lo:]PORT=TIER nor a preset"},
        {"9000=envoy,", "neither [lo:]PORT=TIER nor a preset"},
        {"9000", "'9000' is neither"},
        {"9000=", "the tiers are envoy"},
        {"9000=Envoy", "the tiers are envoy"},
        {"9000=any", "the tiers are envoy"},
        {"0=envoy", "no port has this number"},
        {"65536=envoy", "no port has this number"},
        {"9000=envoy,9000=server", "'9000=server': port 9000 is envoy already"},
        {"k8s,compose,9001=server", "port 9001 is rproxy already"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cap_tiers t = {0};
        struct err e = {0};
        check_int(cap_tiers_add(&t, cases[i].map, &e), ==, ERR_USAGE);
        check_str_has(e.text, cases[i].why);
    }
    struct cap_tiers t = {0};
    struct err e = {0};
    char word[32];
    int rc = 0;
    for (int port = 1; rc == 0 && port < 1000; port++) {
        snprintf(word, sizeof word, "%d=envoy", port);
        rc = cap_tiers_add(&t, word, &e);
    }
    check_int(rc, ==, ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_names_the_tier_of_each_port),
        cmocka_unit_test(the_loopback_may_have_a_tier_of_its_own),
        cmocka_unit_test(presets_add_up_with_ports),
        cmocka_unit_test(a_wrong_map_is_told_what_is_wrong_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
