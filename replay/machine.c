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

/* --- control groups --------------------------------------------------------------- */

static bool next_line(struct span *text, struct span *line)
{
    if (text->n == 0)
        return false;
    size_t end = span_find(*text, '\n', 0);
    *line = span_sub(*text, 0, end);
    *text = span_sub(*text, end < text->n ? end + 1 : end, text->n);
    return true;
}

/* "cpu" among names that commas separate. */
static bool has_cpu(struct span names)
{
    for (size_t at = 0; at <= names.n;) {
        size_t end = span_find(names, ',', at);
        if (span_eq_str(span_sub(names, at, end), "cpu"))
            return true;
        at = end + 1;
    }
    return false;
}

bool rep_throttled_path(struct span cgroups, char *out, size_t size)
{
    struct span line;
    bool found = false;

    /* "4:cpu,cpuacct:/path" of version 1, "0::/path" of version 2, which counts only
     * where version 1 does not have the controller. */
    while (next_line(&cgroups, &line)) {
        size_t first = span_find(line, ':', 0);
        size_t second = first < line.n ? span_find(line, ':', first + 1) : line.n;
        if (second == line.n)
            continue;
        struct span names = span_sub(line, first + 1, second);
        struct span path = span_sub(line, second + 1, line.n);
        const char *root = path.n == 1 ? "" : NULL; /* "/" */
        if (has_cpu(names)) {
            snprintf(out, size, "/sys/fs/cgroup/%.*s%.*s/cpu.stat", SPAN_ARG(names),
                     root ? 0 : (int)path.n, (const char *)path.p);
            return true;
        }
        if (names.n == 0) {
            snprintf(out, size, "/sys/fs/cgroup%.*s/cpu.stat", root ? 0 : (int)path.n,
                     (const char *)path.p);
            found = true;
        }
    }
    return found;
}

int64_t rep_throttled_parse(struct span text)
{
    static const struct {
        const char *name;
        int64_t ns;
    } keys[] = {{"throttled_usec ", CLK_US}, {"throttled_time ", 1}};
    struct span line;
    uint64_t v;

    while (next_line(&text, &line))
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            if (span_starts(line, keys[i].name) &&
                span_u64(span_sub(line, strlen(keys[i].name), line.n), &v) &&
                v <= (uint64_t)(INT64_MAX / keys[i].ns))
                return (int64_t)v * keys[i].ns;
    return -1;
}

static struct span read_small(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(out, 1, size, f) : 0;
    if (f)
        fclose(f);
    return span_of(out, n);
}

int64_t rep_throttled_ns(void)
{
    char text[4096], path[4096];
    if (!rep_throttled_path(read_small("/proc/self/cgroup", text, sizeof text), path,
                            sizeof path))
        return -1;
    return rep_throttled_parse(read_small(path, text, sizeof text));
}

int64_t rep_cpu_own_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * CLK_SEC + ts.tv_nsec;
}

int64_t rep_waited_parse(struct span text)
{
    uint64_t waited;
    size_t from = span_find(text, ' ', 0) + 1, to = span_find(text, ' ', from);
    return to < text.n && span_u64(span_sub(text, from, to), &waited) &&
                   waited <= INT64_MAX
               ? (int64_t)waited
               : -1;
}

int64_t rep_thread_waited_ns(void)
{
    char text[128];
    return rep_waited_parse(
        read_small("/proc/thread-self/schedstat", text, sizeof text));
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
