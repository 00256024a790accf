/* si_fault.c - see si_fault.h. SPDX-License-Identifier: Apache-2.0 */
#include "deploy/standin/si_fault.h"

#include "traces/base/rng.h"

/* Keeps faults independent of service times drawn with the same seed and key. */
#define FAULT_SALT UINT64_C(0x6661756c74)

int si_faults_check(const struct si_faults *f, struct err *e)
{
    static const char *const names[] = {"",        "error", "close",
                                        "garbage", "never", "cross"};
    double sum = 0;
    for (int i = SI_FAULT_ERROR; i < SI_FAULT_COUNT; i++) {
        if (!(f->rates[i] >= 0 && f->rates[i] <= 1))
            return err_set(e, ERR_USAGE, "the %s rate is %g, not within 0 and 1",
                           names[i], f->rates[i]);
        sum += f->rates[i];
    }
    if (sum > 1 + 1e-12)
        return err_set(e, ERR_USAGE, "the rates of faults sum to %g, above 1", sum);
    return 0;
}

enum si_fault si_fault_pick(const struct si_faults *f, uint64_t key)
{
    double u = (double)(rng_hash(f->seed ^ FAULT_SALT, key) >> 11) * 0x1p-53;
    for (int i = SI_FAULT_ERROR; i < SI_FAULT_COUNT; i++) {
        if (u < f->rates[i])
            return (enum si_fault)i;
        u -= f->rates[i];
    }
    return SI_FAULT_NONE;
}
