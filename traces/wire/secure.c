/*
 * secure.c - see secure.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/secure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#define ALPN_MAX  64
#define NAMES_MAX 100 /* bytes of a list of names in a message */

struct secure_context {
    SSL_CTX *ssl;
    BIO_METHOD *method;
    bool server, insecure, has_certificate, alpn_needed;
    uint8_t alpn[ALPN_MAX]; /* wire form: length, name, length, name … */
    unsigned alpn_bytes;
    char alpn_text[ALPN_MAX];
};

struct secure_sessions {
    SSL_SESSION *v[SECURE_SESSIONS_MAX];
    size_t n;
};

struct secure {
    struct secure_context *context;
    struct secure_sessions *sessions;
    SSL *ssl;
    const char *peer_name;
    struct span in;
    struct buf out;
    bool asked;     /* for our certificate */
    bool heard;     /* application data came */
    bool alerted;   /* the peer ended it by a fatal alert */
    struct err why; /* what the peer's certificate lacks */
};

/* --- bytes in, bytes out ---------------------------------------------------------- */

static int bio_write(BIO *bio, const char *p, size_t n, size_t *written)
{
    struct secure *s = BIO_get_data(bio);
    buf_add(&s->out, p, n);
    *written = n;
    return !s->out.failed;
}

static int bio_read(BIO *bio, char *to, size_t n, size_t *got)
{
    struct secure *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *got = n < s->in.n ? n : s->in.n;
    if (*got == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(to, s->in.p, *got);
    s->in = span_sub(s->in, *got, s->in.n);
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *arg)
{
    (void)bio;
    (void)number;
    (void)arg;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "reprise");
    if (m && BIO_meth_set_write_ex(m, bio_write) && BIO_meth_set_read_ex(m, bio_read) &&
        BIO_meth_set_ctrl(m, bio_ctrl))
        return m;
    BIO_meth_free(m);
    return NULL;
}

/* --- messages --------------------------------------------------------------------- */

static void name_text(const X509_NAME *name, char *out, size_t size)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *p = NULL;
    long n = b && name && X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253) >= 0
                 ? BIO_get_mem_data(b, &p)
                 : 0;
    snprintf(out, size, "%.*s", n > 0 ? (int)n : 1, n > 0 ? p : "?");
    BIO_free(b);
}

static void time_text(const ASN1_TIME *t, char out[32])
{
    struct tm tm = {0};
    if (!t || ASN1_TIME_to_tm(t, &tm) != 1 ||
        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(out, 32, "?");
}

static void add_name(char *out, const char *name, size_t n)
{
    size_t used = strlen(out);
    snprintf(out + used, NAMES_MAX - used, "%s%.*s", used ? ", " : "", (int)n, name);
}

/* The names that a certificate is for: of its list, or its common name. */
static void certificate_names(const X509 *x, char out[NAMES_MAX])
{
    GENERAL_NAMES *list = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    *out = '\0';
    for (int i = 0; list && i < sk_GENERAL_NAME_num(list); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(list, i);
        if (g->type == GEN_DNS) {
            add_name(out, (const char *)ASN1_STRING_get0_data(g->d.dNSName),
                     (size_t)ASN1_STRING_length(g->d.dNSName));
        } else if (g->type == GEN_IPADD) {
            char *ip = i2s_ASN1_OCTET_STRING(NULL, g->d.iPAddress);
            const uint8_t *b = ASN1_STRING_get0_data(g->d.iPAddress);
            char v4[16];
            if (ASN1_STRING_length(g->d.iPAddress) == 4)
                snprintf(v4, sizeof v4, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
            const char *text = ASN1_STRING_length(g->d.iPAddress) == 4 ? v4 : ip;
            if (text)
                add_name(out, text, strlen(text));
            OPENSSL_free(ip);
        }
    }
    GENERAL_NAMES_free(list);
    if (!*out)
        name_text(X509_get_subject_name(x), out, NAMES_MAX);
}

/* Says in words what a certificate of the other side lacks. */
static void explain(struct secure *s, int code, X509 *x)
{
    char names[NAMES_MAX] = "?", when[32] = "?";

    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        time_text(x ? X509_get0_notAfter(x) : NULL, when);
        err_set(&s->why, ERR_PEER, "the peer's certificate expired at %s", when);
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        time_text(x ? X509_get0_notBefore(x) : NULL, when);
        err_set(&s->why, ERR_PEER, "the peer's certificate is not valid before %s",
                when);
        return;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        if (x)
            certificate_names(x, names);
        err_set(&s->why, ERR_PEER, "the peer's certificate is for %s, not for '%s'",
                names, s->peer_name);
        return;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        if (x)
            name_text(X509_get_issuer_name(x), names, sizeof names);
        err_set(&s->why, ERR_PEER,
                "the authority that signed the peer's certificate, '%s', is not "
                "trusted here",
                names);
        return;
    default:
        err_set(&s->why, ERR_PEER, "the peer's certificate is not accepted: %s",
                X509_verify_cert_error_string(code));
    }
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
    const SSL *ssl =
        X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct secure *s = ssl ? SSL_get_app_data(ssl) : NULL;
    if (!ok && s && !s->context->insecure)
        explain(s, X509_STORE_CTX_get_error(store),
                X509_STORE_CTX_get_current_cert(store));
    return ok;
}

/* What the peer means by an alert. */
static int explain_alert(const struct secure *s, int alert, struct err *e)
{
    const char *text = SSL_alert_desc_string_long(alert);
    bool of_certificate =
        alert == SSL_AD_BAD_CERTIFICATE || alert == SSL_AD_UNSUPPORTED_CERTIFICATE ||
        alert == SSL_AD_CERTIFICATE_REVOKED || alert == SSL_AD_CERTIFICATE_EXPIRED ||
        alert == SSL_AD_CERTIFICATE_UNKNOWN || alert == SSL_AD_UNKNOWN_CA ||
        alert == SSL_AD_ACCESS_DENIED;

    if (alert == SSL_AD_NO_APPLICATION_PROTOCOL)
        return err_set(e, ERR_PEER, "the peer speaks none of what was offered (%s)",
                       s->context->alpn_text);
    if (alert == SSL_AD_CERTIFICATE_REQUIRED ||
        (s->asked && !s->context->has_certificate &&
         (alert == SSL_AD_HANDSHAKE_FAILURE || of_certificate)))
        return err_set(e, ERR_PEER,
                       "the peer asks for a client's certificate, and none was given");
    if (of_certificate)
        return err_set(e, ERR_PEER, "the peer refuses %s certificate: %s",
                       SSL_is_server(s->ssl) ? "the server's" : "our", text);
    if (alert == SSL_AD_PROTOCOL_VERSION)
        return err_set(e, ERR_PEER, "the peer speaks neither TLS 1.2 nor TLS 1.3");
    return err_set(e, ERR_PEER, "the peer refuses: %s", text);
}

/* Why the last call failed. */
static int failure(struct secure *s, struct err *e)
{
    unsigned long code = ERR_get_error();
    int reason = ERR_GET_REASON(code);
    ERR_clear_error();

    if (s->why.code != ERR_OK)
        return err_set(e, s->why.code, "%s", s->why.text);
    if (s->out.failed)
        return err_set(e, ERR_NOMEM, "out of memory for TLS");
    if (code != 0 && ERR_GET_LIB(code) == ERR_LIB_SSL) {
        if (reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
            return explain_alert(s, reason - SSL_AD_REASON_OFFSET, e);
        if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
            reason == SSL_R_PACKET_LENGTH_TOO_LONG)
            return err_set(e, ERR_PEER, "the peer does not speak TLS");
        if (reason == SSL_R_UNSUPPORTED_PROTOCOL)
            return err_set(e, ERR_PEER, "the peer speaks neither TLS 1.2 nor TLS 1.3");
        if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
            return err_set(e, ERR_PEER, "the client gave no certificate");
    }
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    return err_set(e, ERR_PEER, "TLS failed: %s", text ? text : "broken protocol");
}

/* --- contexts --------------------------------------------------------------------- */

/* OpenSSL's words for what is wrong with a file. */
static int file_error(const char *what, const char *path, struct err *e)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    if (access(path, R_OK) < 0)
        return err_sys(e, errno, "cannot read %s '%s'", what, path);
    return err_set(e, ERR_FORMAT, "'%s' is not %s in PEM form: %s", path, what,
                   text ? text : "it holds none");
}

/* Keys with a pass phrase: nobody is there to be asked. */
static int no_passphrase(char *to, int size, int rwflag, void *arg)
{
    (void)to;
    (void)size;
    (void)rwflag;
    (void)arg;
    return -1;
}

static int load_identity(struct secure_context *c, const struct secure_config *config,
                         struct err *e)
{
    if (!config->cert_file != !config->key_file)
        return err_set(e, ERR_USAGE, "a certificate and its key belong together");
    if (!config->cert_file)
        return config->server
                   ? err_set(e, ERR_USAGE, "a server needs a certificate and its key")
                   : 0;
    SSL_CTX_set_default_passwd_cb(c->ssl, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(c->ssl, config->cert_file) != 1)
        return file_error("a certificate", config->cert_file, e);
    if (SSL_CTX_use_PrivateKey_file(c->ssl, config->key_file, SSL_FILETYPE_PEM) != 1) {
        if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH) {
            ERR_clear_error();
            return err_set(e, ERR_FORMAT, "'%s' is not the key of '%s'",
                           config->key_file, config->cert_file);
        }
        return file_error("a key without a pass phrase", config->key_file, e);
    }
    if (SSL_CTX_check_private_key(c->ssl) != 1) {
        ERR_clear_error();
        return err_set(e, ERR_FORMAT, "'%s' is not the key of '%s'", config->key_file,
                       config->cert_file);
    }
    c->has_certificate = true;
    return 0;
}

static int load_trust(struct secure_context *c, const struct secure_config *config,
                      struct err *e)
{
    int mode = SSL_VERIFY_PEER;
    if (config->server)
        mode = config->ca_file ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                               : SSL_VERIFY_NONE;
    else if (config->insecure)
        mode = SSL_VERIFY_NONE;
    SSL_CTX_set_verify(c->ssl, mode, on_verify);
    if (config->ca_file) {
        if (SSL_CTX_load_verify_file(c->ssl, config->ca_file) != 1)
            return file_error("a certificate", config->ca_file, e);
        if (config->server)
            SSL_CTX_set_client_CA_list(c->ssl,
                                       SSL_load_client_CA_file(config->ca_file));
    } else if (!config->server && SSL_CTX_set_default_verify_paths(c->ssl) != 1) {
        ERR_clear_error();
        return err_set(e, ERR_IO, "cannot find the system's certificate authorities");
    }
    return 0;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_bytes,
                   const unsigned char *in, unsigned in_bytes, void *arg)
{
    const struct secure_context *c = arg;
    unsigned char *chosen;
    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_bytes, c->alpn, c->alpn_bytes, in,
                              in_bytes) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void set_alpn(struct secure_context *c, const struct secure_config *config)
{
    const char *at = config->alpn;
    while (at && *at) {
        size_t n = strcspn(at, ",");
        if (n == 0 || c->alpn_bytes + n + 1 > sizeof c->alpn)
            break;
        c->alpn[c->alpn_bytes] = (uint8_t)n;
        memcpy(c->alpn + c->alpn_bytes + 1, at, n);
        c->alpn_bytes += (unsigned)n + 1;
        at += n + (at[n] == ',');
    }
    snprintf(c->alpn_text, sizeof c->alpn_text, "%s", config->alpn ? config->alpn : "");
    c->alpn_needed = config->alpn_needed;
    if (c->alpn_bytes > 0 && config->server)
        SSL_CTX_set_alpn_select_cb(c->ssl, on_alpn, c);
    else if (c->alpn_bytes > 0)
        SSL_CTX_set_alpn_protos(c->ssl, c->alpn, c->alpn_bytes);
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct secure *s = SSL_get_app_data(ssl);
    struct secure_sessions *all = s->sessions;
    if (!all)
        return 0;
    if (all->n == SECURE_SESSIONS_MAX) { /* the oldest goes */
        SSL_SESSION_free(all->v[0]);
        memmove(all->v, all->v + 1, (SECURE_SESSIONS_MAX - 1) * sizeof *all->v);
        all->n--;
    }
    all->v[all->n++] = session;
    return 1; /* ours now */
}

static int on_certificate_asked(SSL *ssl, void *arg)
{
    struct secure *s = SSL_get_app_data(ssl);
    (void)arg;
    s->asked = true;
    return 1;
}

int secure_context_new(struct secure_context **out, const struct secure_config *config,
                       struct err *e)
{
    struct secure_context *c = calloc(1, sizeof *c);
    if (c) {
        ERR_clear_error();
        c->ssl =
            SSL_CTX_new(config->server ? TLS_server_method() : TLS_client_method());
        c->method = make_method();
    }
    if (!c || !c->ssl || !c->method) {
        secure_context_free(c);
        return err_set(e, ERR_NOMEM, "out of memory for TLS");
    }
    c->server = config->server;
    c->insecure = config->insecure;
    SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    if (config->server) {
        static const unsigned char id[] = "reprise";
        SSL_CTX_set_session_id_context(c->ssl, id, sizeof id - 1);
    } else {
        SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_CLIENT |
                                                   SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(c->ssl, on_session);
        SSL_CTX_set_cert_cb(c->ssl, on_certificate_asked, NULL);
    }
    set_alpn(c, config);
    int rc = load_trust(c, config, e);
    if (rc == 0)
        rc = load_identity(c, config, e);
    if (rc < 0) {
        secure_context_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void secure_context_free(struct secure_context *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->ssl);
    BIO_meth_free(c->method);
    free(c);
}

struct secure_sessions *secure_sessions_new(void)
{
    return calloc(1, sizeof(struct secure_sessions));
}

void secure_sessions_free(struct secure_sessions *s)
{
    for (size_t i = 0; s && i < s->n; i++)
        SSL_SESSION_free(s->v[i]);
    free(s);
}

size_t secure_sessions_held(const struct secure_sessions *s)
{
    return s->n;
}

/* --- connections ------------------------------------------------------------------ */

/* Each ticket serves once, as RFC 8446 C.4 asks, as long as there are others. */
static void resume(struct secure *s)
{
    struct secure_sessions *all = s->sessions;
    if (!all || all->n == 0)
        return;
    SSL_SESSION *newest = all->v[all->n - 1];
    if (SSL_set_session(s->ssl, newest) != 1)
        ERR_clear_error();
    if (all->n > 1) {
        SSL_SESSION_free(newest);
        all->n--;
    }
}

static bool expect_name(struct secure *s)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, s->peer_name) == 1)
        return true; /* an address: no SNI (RFC 6066, 3) */
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    /* The call under SSL_set_tlsext_host_name, which casts const away; it copies. */
    return X509_VERIFY_PARAM_set1_host(param, s->peer_name, 0) == 1 &&
           SSL_ctrl(s->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                    (void *)(uintptr_t)s->peer_name) == 1;
}

int secure_open(struct secure **out, struct secure_context *c, const char *peer_name,
                struct secure_sessions *sessions, struct err *e)
{
    struct secure *s = calloc(1, sizeof *s);
    BIO *bio = NULL;
    if (s) {
        ERR_clear_error();
        s->context = c;
        s->peer_name = peer_name;
        s->sessions = sessions;
        s->ssl = SSL_new(c->ssl);
        bio = BIO_new(c->method);
    }
    if (!s || !s->ssl || !bio || (peer_name && !expect_name(s))) {
        BIO_free(bio);
        secure_close(s);
        return err_set(e, ERR_NOMEM, "out of memory for a TLS connection");
    }
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    SSL_set_app_data(s->ssl, s);
    if (c->server) {
        SSL_set_accept_state(s->ssl);
    } else {
        SSL_set_connect_state(s->ssl);
        resume(s);
    }
    *out = s;
    return 0;
}

void secure_close(struct secure *s)
{
    if (!s)
        return;
    /* Else OpenSSL would spoil the session of a connection that ended without a
     * goodbye. TLS has not asked for that since 1.1 (RFC 5246, 7.2.1), and others
     * resume it; what a fatal alert spoiled stays so. */
    SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(s->ssl);
    buf_done(&s->out);
    free(s);
}

void secure_put(struct secure *s, struct span ciphertext)
{
    s->in = ciphertext;
}

size_t secure_unused(const struct secure *s)
{
    return s->in.n;
}

struct buf *secure_out(struct secure *s)
{
    return &s->out;
}

/* The peer chose what was offered, where that is needed. */
static int check_alpn(struct secure *s, struct err *e)
{
    struct secure_facts f = secure_facts(s);
    if (!s->context->alpn_needed || *f.alpn)
        return 1;
    return err_set(e, ERR_PEER, "the peer agrees to none of what was offered (%s)",
                   s->context->alpn_text);
}

int secure_handshake(struct secure *s, struct err *e)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(s->ssl);
    if (rc == 1 && !s->out.failed)
        return check_alpn(s, e);
    if (SSL_get_error(s->ssl, rc) == SSL_ERROR_WANT_READ && !s->out.failed)
        return 0;
    return failure(s, e);
}

int secure_write(struct secure *s, struct span plaintext, struct err *e)
{
    size_t written;
    if (plaintext.n == 0)
        return 0;
    ERR_clear_error();
    if (SSL_write_ex(s->ssl, plaintext.p, plaintext.n, &written) == 1 && !s->out.failed)
        return 0;
    return failure(s, e);
}

int secure_read(struct secure *s, uint8_t *to, size_t n, size_t *got, struct err *e)
{
    struct err why = {0};
    ERR_clear_error();
    int rc = SSL_read_ex(s->ssl, to, n, got);
    if (rc == 1) {
        s->heard = true;
        return 1;
    }
    int error = SSL_get_error(s->ssl, rc);
    if (error == SSL_ERROR_WANT_READ && !s->out.failed)
        return 0;
    if (error == SSL_ERROR_ZERO_RETURN)
        return SECURE_END;
    int reason = ERR_GET_REASON(ERR_peek_error());
    s->alerted = reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
    rc = failure(s, &why);
    return err_set(e, rc, "%s", why.text);
}

void secure_end(struct secure *s)
{
    ERR_clear_error();
    if (SSL_is_init_finished(s->ssl))
        (void)SSL_shutdown(s->ssl);
    ERR_clear_error();
}

struct secure_facts secure_facts(const struct secure *s)
{
    const unsigned char *alpn = NULL;
    unsigned n = 0;
    struct secure_facts f = {.version = SSL_get_version(s->ssl),
                             .cipher = SSL_get_cipher_name(s->ssl),
                             .resumed = SSL_session_reused(s->ssl) == 1,
                             .asked = s->asked};
    SSL_get0_alpn_selected(s->ssl, &alpn, &n);
    if (n < sizeof f.alpn && alpn)
        memcpy(f.alpn, alpn, n);
    f.late_refusal = s->asked && SSL_version(s->ssl) == TLS1_3_VERSION;
    return f;
}

bool secure_alerted(const struct secure *s)
{
    return s->alerted;
}

bool secure_refused(const struct secure *s)
{
    return s->alerted && !s->heard && !s->context->server;
}
