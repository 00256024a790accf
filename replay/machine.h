/*
 * machine.h - what this machine is and what it did during a run.
 *
 * Read from /proc and uname; what cannot be read stays unknown. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_MACHINE_H
#define REPLAY_MACHINE_H

#include "traces/base/clk.h"
#include "traces/base/span.h"

struct rep_machine {
    char name[128], kernel[208], cpu[128];
    uint32_t cpus; /* that this process may use */
};
void rep_machine_read(struct rep_machine *m);
/* The i-th processor that this process may use, counted from the last, which interrupts
 * and other programs prefer least; -1 when that cannot be known. */
int rep_machine_cpu(uint32_t i);

/* Processor time since boot, in ticks of all processors together. */
struct rep_cpu_times {
    bool known;
    uint64_t total, idle, steal;
};
struct rep_cpu_times rep_cpu_times_read(void);
/* Parses the first line of /proc/stat. */
struct rep_cpu_times rep_cpu_times_parse(struct span line);
/* Share of the time between both; < 0 when unknown. */
double rep_cpu_steal(const struct rep_cpu_times *from, const struct rep_cpu_times *to);
double rep_cpu_busy(const struct rep_cpu_times *from, const struct rep_cpu_times *to);
/* How long the scheduler has held this process's control group back for having used up
 * its share of the processors (CPU limits of containers), in nanoseconds; < 0: unknown.
 */
int64_t rep_throttled_ns(void);
/* Of the text of a cpu.stat file, of cgroup v1 or v2; < 0: it does not tell. */
int64_t rep_throttled_parse(struct span text);
/* Where the cpu controller of version 1 or 2 keeps this process, from the text of
 * /proc/self/cgroup: the path of its cpu.stat. False: it is not told. */
bool rep_throttled_path(struct span cgroups, char *out, size_t size);
int64_t rep_cpu_own_ns(void); /* of this process, user and system */
/* How long the calling thread has stood ready to run while others had the processor,
 * in nanoseconds since it began; < 0: unknown. */
int64_t rep_thread_waited_ns(void);
/* Of the text of a schedstat file: "ran waited slices"; < 0: it does not tell. */
int64_t rep_waited_parse(struct span text);

/* Watches the wall clock move against the monotonic one. Zeroed is a valid start. */
/* Slewing moves the wall clock less than this between two looks. */
#define REP_STEP_NS (2 * CLK_MS)
struct rep_clock_watch {
    bool known;
    int64_t offset_ns;  /* wall - monotonic, at the last look */
    int64_t stepped_ns; /* sum of absolute steps */
    uint64_t steps;
};
void rep_clock_look(struct rep_clock_watch *w, const struct clk *clk);

#endif
