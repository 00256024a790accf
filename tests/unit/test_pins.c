/*
 * test_pins.c - which slot carries which recorded connection, and who makes room.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include "replay/pins.h"
#include "traces/base/rng.h"

static uint32_t place(struct rep_pins *p, uint32_t pin, struct rep_request *r,
                      bool *renewed)
{
    uint32_t slot = rep_pins_find(p, pin);
    *renewed = false;
    if (slot == OP_NONE)
        slot = rep_pins_take(p, pin, renewed);
    if (slot != OP_NONE)
        rep_pins_wait(p, slot, r);
    return slot;
}

static void a_connection_keeps_its_slot_and_its_order(void **state)
{
    struct rep_request r[4] = {0};
    struct rep_pins p;
    bool renewed;
    (void)state;
    check_ok(rep_pins_init(&p, 3, NULL), NULL);
    uint32_t a = place(&p, 70, &r[0], &renewed), b = place(&p, 73, &r[1], &renewed);
    check_true(a != b && !renewed);
    check_int(place(&p, 70, &r[2], &renewed), ==, a);
    check_int(rep_pins_find(&p, 71), ==, OP_NONE);
    check_int(p.waiting, ==, 3);
    check_true(rep_pins_begin(&p, a) == &r[0]);
    check_true(rep_pins_begin(&p, a) == &r[2]);
    check_true(rep_pins_begin(&p, a) == NULL);
    check_int(p.slots[a].busy, ==, 2);
    rep_pins_end(&p, a, 17);
    check_int(p.slots[a].freed_ns, ==, 17);
    check_true(rep_pins_leave(&p, b) == &r[1]);
    check_int(p.waiting, ==, 0);
    rep_pins_done(&p);
}

static void the_longest_quiet_one_makes_room(void **state)
{
    struct rep_request r[6] = {0};
    struct rep_pins p;
    bool renewed;
    (void)state;
    check_ok(rep_pins_init(&p, 2, NULL), NULL);
    uint32_t a = place(&p, 1, &r[0], &renewed), b = place(&p, 2, &r[1], &renewed);
    check_int(place(&p, 3, &r[2], &renewed), ==, OP_NONE); /* both are waited for */
    check_true(rep_pins_begin(&p, a) && rep_pins_begin(&p, b));
    check_int(place(&p, 3, &r[2], &renewed), ==, OP_NONE); /* both are busy */
    rep_pins_end(&p, b, 10);
    rep_pins_end(&p, a, 20);
    check_int(place(&p, 3, &r[2], &renewed), ==, b);
    check_true(renewed);
    check_int(rep_pins_find(&p, 2), ==, OP_NONE);
    check_int(rep_pins_find(&p, 3), ==, b);
    check_int(rep_pins_find(&p, 1), ==, a);
    check_int(place(&p, 2, &r[3], &renewed), ==, a);
    check_true(renewed);
    check_int(rep_pins_find(&p, 1), ==, OP_NONE);
    rep_pins_done(&p);
}

/* Against a plain model: who has which slot, and since when each is quiet. */
static void a_long_game_keeps_its_rules(void **state)
{
    enum { SLOTS = 7, PINS = 40 };
    static struct rep_request r[20000];
    struct {
        uint32_t pin, in;
        int quiet_since;
    } model[SLOTS];
    struct rep_pins p;
    struct rng rng;
    (void)state;
    rng_init(&rng, 5);
    check_ok(rep_pins_init(&p, SLOTS, NULL), NULL);
    for (int i = 0; i < SLOTS; i++)
        model[i].pin = OP_NONE, model[i].in = 0, model[i].quiet_since = -1;
    for (int step = 0; step < 20000; step++) {
        uint32_t pin = (uint32_t)rng_below(&rng, PINS);
        uint32_t end = (uint32_t)rng_below(&rng, SLOTS);
        if (rng_below(&rng, 2) && end < p.used && model[end].in > 0) {
            rep_pins_end(&p, end, step);
            if (--model[end].in == 0)
                model[end].quiet_since = step;
            continue;
        }
        uint32_t slot = rep_pins_find(&p, pin);
        if (slot == OP_NONE) {
            bool renewed;
            int oldest = -1;
            for (int i = 0; i < SLOTS; i++)
                if (model[i].in == 0 && model[i].pin != OP_NONE &&
                    (oldest < 0 || model[i].quiet_since < model[oldest].quiet_since))
                    oldest = i;
            uint32_t used = p.used;
            slot = rep_pins_take(&p, pin, &renewed);
            check_int(renewed, ==, used == SLOTS && oldest >= 0);
            if (slot == OP_NONE) {
                check_int(oldest, ==, -1);
                continue;
            }
            check_int(slot, ==, used < SLOTS ? used : (uint32_t)oldest);
            model[slot].pin = pin;
        }
        check_int(model[slot].pin, ==, pin);
        rep_pins_wait(&p, slot, &r[step]);
        check_true(rep_pins_begin(&p, slot) == &r[step]);
        model[slot].in++;
    }
    rep_pins_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_keeps_its_slot_and_its_order),
        cmocka_unit_test(the_longest_quiet_one_makes_room),
        cmocka_unit_test(a_long_game_keeps_its_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
