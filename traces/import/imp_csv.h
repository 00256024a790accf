/*
 * imp_csv.h - tables of calls as traces: access logs, spreadsheets, what somebody made
 * by hand.
 *
 * The first row names the columns; which are known, and what stands in them, says
 * imp_csv_columns, which is the page of `reprise import csv` as well. An empty cell
 * says nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_IMP_CSV_H
#define TRACES_IMPORT_IMP_CSV_H

#include "traces/import/imp_call.h"
#include "traces/payload/model_type.h"

/* What numbers of time count. */
enum imp_unit { IMP_UNIT_NS, IMP_UNIT_US, IMP_UNIT_MS, IMP_UNIT_S, IMP_UNIT_CALENDAR };
extern const char *const imp_unit_names[]; /* "ns" "us" "ms" "s" "calendar" */

#define IMP_CSV_HEADERS_MAX 16 /* columns header:NAME */

struct imp_csv {
    enum imp_unit unit;         /* of arrival */
    enum imp_unit latency_unit; /* of first and last; not CALENDAR */
    char separator;
    enum op_protocol protocol;  /* where no column says it */
    const char *model_type;     /* likewise; or NULL */
    bool make_bodies;           /* of their model type, where there is none */
    const char *body_dir;       /* where body_file is looked for, or NULL */
    const char *const *renamed; /* "OURS=THEIRS" */
    size_t renamed_count;
    struct imp_rule rule; /* tier: where no column says it */
};

/* The columns, for the page. */
#define IMP_CSV_COLUMNS                                                                \
    "arrival: when the request came, in --unit. The only one that must be there, "     \
    "beside model or path.\n\n"                                                        \
    "model: the name, with .pipeline or .experiment behind it where it is one; else "  \
    "the path tells it (/v2/models/NAME/infer), and calls that are no inference are "  \
    "left out and counted. resource: model, pipeline or experiment. model_type: of "   \
    "SCv2's MODEL_TYPEs.\n\n"                                                          \
    "protocol: rest, grpc or kafka. tier: as in --tier. method, path (or a whole "     \
    "URL; Kafka: the topic), content_type, content_encoding, header:NAME.\n\n"         \
    "body: the bytes as they are; body_base64; body_file: a file below --body-dir. "   \
    "gRPC and Kafka: one message, which is no text.\n\n"                               \
    "id: the request id. connection, client: any text; equal texts are one "           \
    "connection, one client (a session, say). tokens_in, tokens_out.\n\n"              \
    "status, grpc_status: what was answered; first, last: its first and last byte, "   \
    "since the arrival, in --latency-unit."

/* Adds the rows of a table to o. Errors name the line: ERR_FORMAT, ERR_LIMIT,
 * ERR_TRUNCATED; ERR_USAGE for a renaming that is none; ERR_IO (also of a body's
 * file), ERR_NOMEM, ERR_STOPPED. unread (of n bytes) gets the names of columns that are
 * none of these, cut to what fits. */
int imp_csv_read(struct zin *in, const struct imp_csv *how, struct imp_out *o,
                 char *unread, size_t n, struct err *e) MUST_USE;

#endif
