/*
 * curl_request.c - what libcurl is told: of every request, and of one. See curl_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/curl_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "traces/wire/http1.h"

#define RECV_BYTES (256L << 10)
#define FOR_EVER   (10L * 365 * 86400) /* seconds that an idle connection is kept */

/* --- of one ----------------------------------------------------------------------- */

static bool add_field(struct rep_transfer *t, const char *line)
{
    struct curl_slist *list = curl_slist_append(t->fields, line);
    if (list)
        t->fields = list;
    return list != NULL;
}

/* The fields of the head as they stand, but for those that libcurl sets itself. Those
 * that it would add of its own are kept away. */
static bool set_fields(struct rep_transfer *t, const struct http1_head *h)
{
    static const char *const none[] = {"Accept:", "Expect:", "Content-Type:"};
    static const char *const names[] = {"accept", "expect", "content-type"};
    char line[2 * HTTP1_HEAD_MAX];

    for (uint32_t i = 0; i < h->field_count; i++) {
        const struct op_header *f = &h->fields[i];
        if ((span_eq_nocase(f->name, "host") && !t->en->connect_to) ||
            span_eq_nocase(f->name, "content-length"))
            continue;
        /* "Name;" is how libcurl is told of a field without a value. */
        snprintf(line, sizeof line, f->value.n ? "%.*s: %.*s" : "%.*s;%.*s",
                 SPAN_ARG(f->name), SPAN_ARG(f->value));
        if (!add_field(t, line))
            return false;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!http1_field(h, names[i]).p && !add_field(t, none[i]))
            return false;
    return true;
}

static bool set_target(struct rep_transfer *t, struct span target)
{
    struct rep_curl *en = t->en;
    char path[HTTP1_HEAD_MAX];

    if (!en->base.config.proxy) { /* exactly as it stands */
        snprintf(path, sizeof path, "%.*s", SPAN_ARG(target));
        return curl_easy_setopt(t->easy, CURLOPT_REQUEST_TARGET, path) == CURLE_OK;
    }
    snprintf(path, sizeof path, "%.*s%.*s", (int)(strlen(en->url) - 1), en->url,
             SPAN_ARG(target));
    return curl_easy_setopt(t->easy, CURLOPT_URL, path) == CURLE_OK;
}

bool rep_transfer_request(struct rep_transfer *t)
{
    struct rep_request *r = t->request;
    struct span body = r->wire[1];
    struct buf *head = &t->en->head;
    struct http1_head h;
    char method[32];

    buf_reset(head);
    buf_span(head, r->stream->head);
    buf_span(head, r->wire[0]);
    if (http1_parse_head(HTTP1_REQUEST, buf_view(head), &h, NULL) < 0)
        return false;
    snprintf(method, sizeof method, "%.*s", SPAN_ARG(h.method));
    bool sends = h.has_length || body.n > 0;
    CURLcode rc = curl_easy_setopt(t->easy, CURLOPT_HTTPGET, 1L);
    if (rc == CURLE_OK && span_eq_str(h.method, "HEAD"))
        rc = curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    if (rc == CURLE_OK && sends) {
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
        rc = curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS,
                              body.n > 0 ? (const char *)body.p : "");
    }
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, method);
    return rc == CURLE_OK && set_target(t, h.target) && set_fields(t, &h) &&
           curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->fields) == CURLE_OK;
}

/* --- of every one ----------------------------------------------------------------- */

#define SET(easy, option, value) (rc = rc ? rc : curl_easy_setopt(easy, option, value))

/* What is the same for every request. Nothing is taken from the environment, no file is
 * read, no redirect followed, no name looked up. */
static CURLcode set_policy(struct rep_transfer *t)
{
    struct rep_curl *en = t->en;
    const struct rep_engine_config *c = &en->base.config;
    CURLcode rc = CURLE_OK;
    SET(t->easy, CURLOPT_URL, en->url);
    SET(t->easy, CURLOPT_PROTOCOLS_STR, c->target->tls ? "https" : "http");
    SET(t->easy, CURLOPT_PROXY, en->proxy); /* empty: none, whatever http_proxy says */
    SET(t->easy, CURLOPT_NOPROXY, "");
    SET(t->easy, CURLOPT_HTTPPROXYTUNNEL, c->proxy && c->http_version == 2 ? 1L : 0L);
    SET(t->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(t->easy, CURLOPT_RESOLVE, en->resolve);
    SET(t->easy, CURLOPT_CONNECT_TO, en->connect_to);
    SET(t->easy, CURLOPT_HTTP_VERSION,
        c->http_version == 2 ? (long)CURL_HTTP_VERSION_2TLS
                             : (long)CURL_HTTP_VERSION_1_1);
    SET(t->easy, CURLOPT_PIPEWAIT, c->http_version == 2 ? 1L : 0L);
    SET(t->easy, CURLOPT_NOSIGNAL, 1L);
    SET(t->easy, CURLOPT_FOLLOWLOCATION, 0L);
    SET(t->easy, CURLOPT_PATH_AS_IS, 1L);
    SET(t->easy, CURLOPT_BUFFERSIZE, RECV_BYTES);
    SET(t->easy, CURLOPT_MAXAGE_CONN, FOR_EVER);
    SET(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(c->deadline_ns / CLK_MS) + 1000);
    SET(t->easy, CURLOPT_MAXFILESIZE_LARGE,
        (curl_off_t)(c->answer_max < INT64_MAX ? c->answer_max : INT64_MAX));
    return rc;
}

/* The same that the fast engines do with these options. */
static CURLcode set_tls(struct rep_transfer *t)
{
    const struct rep_tls_config *c = t->en->base.config.tls;
    CURLcode rc = CURLE_OK;
    if (!t->en->base.config.target->tls)
        return rc;
    SET(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(t->easy, CURLOPT_SSL_VERIFYPEER, c->insecure ? 0L : 1L);
    SET(t->easy, CURLOPT_SSL_VERIFYHOST, c->insecure ? 0L : 2L);
    SET(t->easy, CURLOPT_SSL_OPTIONS, (long)CURLSSLOPT_NO_PARTIALCHAIN);
    SET(t->easy, CURLOPT_SSL_SESSIONID_CACHE, c->resume ? 1L : 0L);
    if (c->ca_file)
        SET(t->easy, CURLOPT_CAINFO, c->ca_file);
    if (c->cert_file) {
        SET(t->easy, CURLOPT_SSLCERT, c->cert_file);
        SET(t->easy, CURLOPT_SSLKEY, c->key_file);
    }
    return rc;
}

void rep_transfer_free(struct rep_transfer *t)
{
    if (!t)
        return;
    curl_easy_cleanup(t->easy);
    buf_done(&t->body);
    free(t);
}

struct rep_transfer *rep_transfer_new(struct rep_curl *en)
{
    struct rep_transfer **all =
        realloc(en->all, (en->transfers + (size_t)1) * sizeof(*all));
    if (all)
        en->all = all;
    struct rep_transfer *t = all ? calloc(1, sizeof *t) : NULL;
    if (!t)
        return NULL;
    t->en = en;
    t->easy = curl_easy_init();
    if (!t->easy || !rep_transfer_callbacks(t) || !rep_sock_callbacks(t) ||
        set_policy(t) != CURLE_OK || set_tls(t) != CURLE_OK) {
        rep_transfer_free(t);
        return NULL;
    }
    en->all[en->transfers++] = t;
    return t;
}
