/*
 * trc_find.h - finds what looks like a secret or like personal data.
 *
 * Patterns, not proofs: a card number is one whose first digits and length are those of
 * an issuer and whose check digit is right (Luhn); a base64 text that nothing names is
 * not recognized. Nothing that is found is handed out: only its kind, place and length.
 * The time is linear in the text. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_TRC_FIND_H
#define TRACES_TOOL_TRC_FIND_H

#include "traces/op.h"

struct arena;

enum trc_find_kind {
    TRC_FIND_BEARER,      /* "Bearer " and a token */
    TRC_FIND_JWT,         /* three parts of base64url, the first a JSON object */
    TRC_FIND_AWS_KEY,     /* AKIA or ASIA and 16 characters */
    TRC_FIND_PRIVATE_KEY, /* the first line of a PEM block */
    TRC_FIND_EMAIL,
    TRC_FIND_CARD,
    TRC_FIND_NAMED,  /* a text whose name says secret: a member, tensor or parameter */
    TRC_FIND_HEADER, /* a header that carries credentials, with a value */
    TRC_FIND_COUNT
};
extern const char *const trc_find_names[]; /* "bearer" …, in order */
/* What may be shown of a finding: the part that all of its kind share. */
extern const char *const trc_find_excerpts[];

struct trc_finding {
    enum trc_find_kind kind;
    size_t at, bytes; /* of it, in the text that was looked at */
    bool inside;      /* in a decoded part (an escaped text, a message): at is 0 */
};
typedef void trc_find_fn(void *ctx, const struct trc_finding *found);

/* Looks at bytes of any kind. */
void trc_find_text(struct span text, trc_find_fn *fn, void *ctx);
/* A request's path: as text, and members of its query whose name says secret. */
void trc_find_path(struct span path, trc_find_fn *fn, void *ctx);
/* A body. JSON: each key, text and number of it, escapes undone, and members by name;
 * anything else as text. Of V2 messages also tensors and parameters by name. `a` is
 * scratch, and is reset. ERR_NOMEM. */
int trc_find_body(struct span body, struct arena *a, trc_find_fn *fn, void *ctx,
                  struct err *e) MUST_USE;

/* Whether a member, tensor or parameter of that name holds a secret. */
bool trc_find_named(struct span name);

#endif
