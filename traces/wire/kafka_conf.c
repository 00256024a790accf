/*
 * kafka_conf.c - see kafka_conf.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/kafka_conf.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "traces/base/buf.h"

#define SECRET_MAX 65536u

static bool any_of(const char *name, const char *const *parts)
{
    for (; *parts; parts++)
        if (strstr(name, *parts))
            return true;
    return false;
}

static bool is_secret(const char *name)
{
    static const char *const parts[] = {
        "password", "secret", "jaas", "oauthbearer.config", "key.pem", "keytab", NULL};
    return any_of(name, parts);
}

/* What every caller decides by itself, and what would load code. */
static bool is_ours(const char *name)
{
    static const char *const parts[] = {"group.",
                                        "commit",
                                        "offset",
                                        "bootstrap.servers",
                                        "metadata.broker.list",
                                        "test.mock",
                                        "plugin.",
                                        "enable.partition.eof",
                                        "_cb",
                                        "opaque",
                                        NULL};
    return any_of(name, parts);
}

static int read_value(const char *name, const char *value, struct buf *out,
                      struct err *e)
{
    if (strncmp(value, "file:", 5) == 0) {
        int rc = buf_read_file(out, value + 5, SECRET_MAX, e);
        if (rc < 0)
            return err_note(e, "--kafka-option %s", name);
        while (out->n && (out->p[out->n - 1] == '\n' || out->p[out->n - 1] == '\r'))
            out->n--;
    } else if (strncmp(value, "env:", 4) == 0) {
        const char *text = getenv(value + 4);
        if (!text)
            return err_set(e, ERR_USAGE, "--kafka-option %s: the environment has no %s",
                           name, value + 4);
        buf_str(out, text);
    } else if (is_secret(name)) {
        return err_set(e, ERR_USAGE,
                       "--kafka-option %s: a secret comes from file:PATH or env:NAME, "
                       "not from the command line",
                       name);
    } else {
        buf_str(out, value);
    }
    return buf_check(out, e);
}

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, bool secret,
               struct err *e)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK)
        return 0;
    return err_set(e, ERR_USAGE, "--kafka-option %s: %s", name,
                   secret ? "librdkafka refuses it" : why);
}

int kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value,
                   struct err *e)
{
    return set(conf, name, value, false, e);
}

int kafka_conf_option(rd_kafka_conf_t *conf, const char *option, const char *const *own,
                      const char *who, struct err *e)
{
    char name[128];
    const char *equals = strchr(option, '=');
    size_t n = equals ? (size_t)(equals - option) : 0;
    struct buf value = {0};
    if (n == 0 || n >= sizeof name)
        return err_set(e, ERR_USAGE, "--kafka-option is KEY=VALUE");
    memcpy(name, option, n);
    name[n] = 0;
    if (is_ours(name) || (own && any_of(name, own)))
        return err_set(e, ERR_USAGE, "--kafka-option %s: %s decides that by itself",
                       name, who);
    int rc = read_value(name, equals + 1, &value, e);
    bool indirect =
        strncmp(equals + 1, "file:", 5) == 0 || strncmp(equals + 1, "env:", 4) == 0;
    if (rc == 0)
        rc = set(conf, name, buf_text(&value), indirect, e);
    if (value.p)
        explicit_bzero(value.p, value.cap);
    buf_done(&value);
    return rc;
}
