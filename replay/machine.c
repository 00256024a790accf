/*
 * machine.c - see machine.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

static void read_cpu_name(char *out, size_t size)
{
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        struct span s = span_str(line);
        size_t colon = span_find(s, ':', 0);
        if (colon == s.n || !span_starts(s, "model name"))
            continue;
        s = span_trim(span_sub(s, colon + 1, s.n));
        snprintf(out, size, "%.*s", SPAN_ARG(s));
        break;
    }
    fclose(f);
}

void rep_machine_read(struct rep_machine *m)
{
    struct utsname u;
    cpu_set_t set;

    memset(m, 0, sizeof *m);
    if (uname(&u) == 0) {
        snprintf(m->name, sizeof m->name, "%s", u.nodename);
        snprintf(m->kernel, sizeof m->kernel, "%s %s %s", u.sysname, u.release,
                 u.machine);
    }
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        m->cpus = (uint32_t)CPU_COUNT(&set);
    read_cpu_name(m->cpu, sizeof m->cpu);
}

int rep_machine_cpu(uint32_t i)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) == 0)
        return -1;
    uint32_t skip = i % (uint32_t)CPU_COUNT(&set);
    for (size_t cpu = CPU_SETSIZE; cpu-- > 0;)
        if (CPU_ISSET(cpu, &set) && skip-- == 0)
            return (int)cpu;
    return -1;
}

struct rep_cpu_times rep_cpu_times_parse(struct span line)
{
    /* user nice system idle iowait irq softirq steal; guest time is in user already */
    enum { IDLE = 3, IOWAIT = 4, STEAL = 7, COUNT = 8 };
    uint64_t v[COUNT];
    struct rep_cpu_times t = {0};
    size_t at = 3, n = 0;

    if (!span_starts(line, "cpu "))
        return t;
    while (n < COUNT) {
        while (at < line.n && line.p[at] == ' ')
            at++;
        size_t end = at;
        while (end < line.n && line.p[end] >= '0' && line.p[end] <= '9')
            end++;
        if (!span_u64(span_sub(line, at, end), &v[n]))
            return t;
        t.total += v[n++];
        at = end;
    }
    t.idle = v[IDLE] + v[IOWAIT];
    t.steal = v[STEAL];
    t.known = true;
    return t;
}

struct rep_cpu_times rep_cpu_times_read(void)
{
    char line[512];
    struct rep_cpu_times t = {0};
    FILE *f = fopen("/proc/stat", "re");
    if (!f)
        return t;
    if (fgets(line, sizeof line, f))
        t = rep_cpu_times_parse(span_str(line));
    fclose(f);
    return t;
}

static double share(const struct rep_cpu_times *from, const struct rep_cpu_times *to,
                    uint64_t part)
{
    if (!from->known || !to->known || to->total <= from->total)
        return -1;
    return (double)part / (double)(to->total - from->total);
}

double rep_cpu_steal(const struct rep_cpu_times *from, const struct rep_cpu_times *to)
{
    return share(from, to, to->steal - from->steal);
}

double rep_cpu_busy(const struct rep_cpu_times *from, const struct rep_cpu_times *to)
{
    double idle = share(from, to, to->idle - from->idle);
    return idle < 0 ? idle : 1 - idle;
}

int64_t rep_cpu_own_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * CLK_SEC + ts.tv_nsec;
}

void rep_clock_look(struct rep_clock_watch *w, const struct clk *clk)
{
    /* The monotonic clock is read around the wall clock: being stopped in between must
     * not look like a step. */
    struct clk_mono before = clk_mono_now(clk);
    struct clk_wall wall = clk_wall_now(clk);
    struct clk_mono after = clk_mono_now(clk);
    if (clk_mono_diff(after, before) > REP_STEP_NS / 4)
        return;
    int64_t offset = wall.ns - before.ns;
    int64_t moved = offset - w->offset_ns;
    if (w->known && (moved > REP_STEP_NS || moved < -REP_STEP_NS)) {
        w->stepped_ns += moved < 0 ? -moved : moved;
        w->steps++;
    }
    w->offset_ns = offset;
    w->known = true;
}
