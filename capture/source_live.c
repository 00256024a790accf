/*
 * source_live.c - packets of an interface, through libpcap; see source.h.
 *
 * Immediate mode stays off: with it, libpcap falls back to the kernel's second packet
 * ring, which copies every packet into a slot of the full snapshot length.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pcap/pcap.h>

#include "capture/source.h"
#include "capture/source_own.h"

struct live_source {
    struct cap_source base;
    pcap_t *pcap;
    int link_type;
    bool nanoseconds, no_wait;
    uint32_t kernel_drops, interface_drops; /* as libpcap counts: modulo 2^32 */
};

/* --- the filter ---------------------------------------------------------------------
 */

struct text {
    char *p;
    size_t n;
};

static void add(struct text *t, const char *s)
{
    size_t n = strlen(s);
    if (t->n + n < CAP_FILTER_MAX) {
        memcpy(t->p + t->n, s, n + 1);
        t->n += n;
    }
}

static void add_untagged(struct text *t, const struct cap_live *how)
{
    add(t, "(tcp");
    for (size_t i = 0; i < how->port_count; i++) {
        char port[32];
        snprintf(port, sizeof port, "%sport %u", i ? " or " : " and (", how->ports[i]);
        add(t, port);
    }
    add(t, how->port_count ? "))" : ")");
    /* Fragments but the first; IPv6 with options, routing, fragments, destination. */
    add(t, " or (ip[9] = 6 and ip[6:2] & 0x1fff != 0) or (ip6[6] = 0 or ip6[6] = 43 or "
           "ip6[6] = 44 or ip6[6] = 60)");
}

void cap_live_filter(const struct cap_live *how, bool vlan, char out[CAP_FILTER_MAX])
{
    struct text t = {out, 0};
    add_untagged(&t, how);
    if (!vlan)
        return;
    /* `vlan` moves all that follows it, so it comes last. */
    add(&t, " or (vlan and (");
    add_untagged(&t, how);
    add(&t, " or (vlan and (");
    add_untagged(&t, how);
    add(&t, "))))");
}

static int set_filter(struct live_source *l, const struct cap_live *how, struct err *e)
{
    char text[CAP_FILTER_MAX];
    struct bpf_program program;
    cap_live_filter(how, true, text); /* cooked links have no tags to ask for */
    int rc = pcap_compile(l->pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN);
    if (rc < 0) {
        cap_live_filter(how, false, text);
        rc = pcap_compile(l->pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN);
    }
    if (rc < 0)
        return err_set(e, ERR_IO, "no filter for this interface: %s",
                       pcap_geterr(l->pcap));
    rc = pcap_setfilter(l->pcap, &program);
    pcap_freecode(&program);
    return rc < 0 ? err_set(e, ERR_IO, "setting the filter: %s", pcap_geterr(l->pcap))
                  : 0;
}

/* --- privileges ---------------------------------------------------------------------
 */

/* The program was given capabilities alone (a file's, or a container's): none of them
 * is needed any more. */
static int drop_capabilities(struct err *e)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capset, &head, none) < 0)
        return err_sys(e, errno, "giving up capabilities");
    return 0;
}

static int become(const struct passwd *user, struct err *e)
{
    if (geteuid() == user->pw_uid)
        return 0;
    if (initgroups(user->pw_name, user->pw_gid) < 0 ||
        setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
        return err_sys(
            e, errno,
            "becoming user '%s' (needs the capabilities CAP_SETUID and CAP_SETGID)",
            user->pw_name);
    if (user->pw_uid != 0 && setuid(0) == 0)
        return err_set(e, ERR_IO, "user '%s' can become root again", user->pw_name);
    return 0;
}

/* The user's entry; NULL with ERR_USAGE in *e. Not thread-safe, as opening is not. */
static const struct passwd *user_named(const char *name, struct err *e)
{
    const struct passwd *user = getpwnam(name);
    if (!user)
        err_set(e, ERR_USAGE, "there is no user '%s'", name);
    return user;
}

/* --- opening ------------------------------------------------------------------------
 */

static int explain(struct live_source *l, const char *interface, int status,
                   struct err *e)
{
    const char *why = pcap_geterr(l->pcap);
    switch (status) {
    case PCAP_ERROR_PERM_DENIED:
        return err_set(e, ERR_IO,
                       "capturing on '%s' needs the capability CAP_NET_RAW (of root, "
                       "of the container, or by setcap cap_net_raw=ep)",
                       interface);
    case PCAP_ERROR_NO_SUCH_DEVICE:
        return err_set(e, ERR_USAGE, "there is no interface '%s'", interface);
    case PCAP_ERROR_IFACE_NOT_UP:
        return err_set(e, ERR_IO, "interface '%s' is down", interface);
    default:
        return err_set(e, ERR_IO, "capturing on '%s': %s%s%s", interface,
                       pcap_statustostr(status), *why ? ": " : "", why);
    }
}

/* On `any`, the second cooked form tells the interface, so that copies are told apart.
 */
static void prefer_cooked2(struct live_source *l)
{
    if (pcap_datalink(l->pcap) == CAP_LINK_SLL)
        (void)!pcap_set_datalink(l->pcap, CAP_LINK_SLL2); /* else SLL does too */
    l->link_type = pcap_datalink(l->pcap);
    if (l->link_type == DLT_RAW)
        l->link_type = CAP_LINK_RAW;
}

static int activate(struct live_source *l, const struct cap_live *how, struct err *e)
{
    int ring = (int)(how->ring_bytes ? how->ring_bytes : CAP_LIVE_RING);
    pcap_set_snaplen(l->pcap, CAP_LIVE_SNAPLEN);
    pcap_set_promisc(l->pcap, 0);
    pcap_set_timeout(l->pcap, CAP_LIVE_TICK_MS);
    pcap_set_buffer_size(l->pcap, ring);
    pcap_set_tstamp_precision(l->pcap, PCAP_TSTAMP_PRECISION_NANO);
    int status = pcap_activate(l->pcap);
    if (status < 0)
        return explain(l, how->interface, status, e);
    l->nanoseconds = pcap_get_tstamp_precision(l->pcap) == PCAP_TSTAMP_PRECISION_NANO;
    prefer_cooked2(l);
    int rc = set_filter(l, how, e);
    if (rc < 0)
        return err_note(e, "capturing on '%s'", how->interface);
    char why[PCAP_ERRBUF_SIZE] = "";
    if (pcap_setnonblock(l->pcap, 1, why) < 0)
        return err_set(e, ERR_IO, "capturing on '%s': %s", how->interface, why);
    l->base.fd = pcap_get_selectable_fd(l->pcap);
    if (l->base.fd < 0)
        return err_set(e, ERR_IO, "interface '%s' cannot be waited for",
                       how->interface);
    return 0;
}

/* --- reading ------------------------------------------------------------------------
 */

static int live_next(struct cap_source *s, struct cap_packet *p, struct err *e)
{
    struct live_source *l = (struct live_source *)s;
    for (bool waited = l->no_wait;; waited = true) {
        struct pcap_pkthdr *head;
        const uint8_t *bytes;
        int rc = pcap_next_ex(l->pcap, &head, &bytes);
        if (rc == 1) {
            *p = (struct cap_packet){
                .at.ns = (int64_t)head->ts.tv_sec * CLK_SEC +
                         (int64_t)head->ts.tv_usec * (l->nanoseconds ? 1 : CLK_US),
                .bytes = span_of(bytes, head->caplen),
                .wire_bytes = head->len,
                .link_type = l->link_type,
            };
            return CAP_SOURCE_PACKET;
        }
        if (rc < 0)
            return err_set(e, ERR_IO, "capturing: %s", pcap_geterr(l->pcap));
        if (waited)
            return CAP_SOURCE_QUIET;
        struct pollfd wait = {.fd = s->fd, .events = POLLIN};
        if (poll(&wait, 1, CAP_LIVE_WAIT_MS) < 0)
            return CAP_SOURCE_QUIET; /* a signal: the caller looks what it wants */
    }
}

static void live_refresh(struct cap_source *s)
{
    struct live_source *l = (struct live_source *)s;
    struct pcap_stat now;
    if (pcap_stats(l->pcap, &now) < 0)
        return;
    s->counts.drops_known = true;
    s->counts.kernel_drops += (uint32_t)(now.ps_drop - l->kernel_drops);
    s->counts.interface_drops += (uint32_t)(now.ps_ifdrop - l->interface_drops);
    l->kernel_drops = now.ps_drop;
    l->interface_drops = now.ps_ifdrop;
}

static void live_close(struct cap_source *s)
{
    struct live_source *l = (struct live_source *)s;
    if (l->pcap)
        pcap_close(l->pcap);
    free(l);
}

static const struct cap_source_kind LIVE_KIND = {
    .next = live_next, .close = live_close, .refresh = live_refresh};

static int check_limits(const struct cap_live *how, struct err *e)
{
    if (how->port_count > CAP_LIVE_PORTS_MAX)
        return err_set(e, ERR_USAGE, "%zu ports are over the limit of %u",
                       how->port_count, CAP_LIVE_PORTS_MAX);
    if (how->ring_bytes > CAP_LIVE_RING_MAX)
        return err_set(e, ERR_USAGE, "a ring of %zu bytes is over the limit of %u",
                       how->ring_bytes, CAP_LIVE_RING_MAX);
    return 0;
}

int cap_source_open_live(struct cap_source **out, const struct cap_live *how,
                         struct err *e)
{
    *out = NULL;
    int rc = check_limits(how, e);
    const struct passwd *user = NULL;
    if (rc < 0 || (how->user && !(user = user_named(how->user, e))))
        return rc < 0 ? rc : ERR_USAGE;
    struct live_source *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(e, ERR_NOMEM, "no memory for a source of packets");
    l->base.kind = &LIVE_KIND;
    l->no_wait = how->no_wait;
    char why[PCAP_ERRBUF_SIZE] = "";
    l->pcap = pcap_create(how->interface, why);
    if (!l->pcap)
        rc = err_set(e, ERR_IO, "capturing on '%s': %s", how->interface, why);
    if (rc == 0)
        rc = activate(l, how, e);
    if (rc == 0 && user)
        rc = become(user, e);
    if (rc == 0 && geteuid() != 0)
        rc = drop_capabilities(e);
    if (rc < 0) {
        live_close(&l->base);
        return rc;
    }
    *out = &l->base;
    return 0;
}
