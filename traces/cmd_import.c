/*
 * cmd_import.c - reprise import: arrival times of public traces become operations.
 *
 * Times (and sizes, and clients) come from the file; models, bodies and ids are made as
 * `synth` makes them. Nothing is written before the file is understood whole.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "traces/base/outfile.h"
#include "traces/base/units.h"
#include "traces/cmd_import_calls.h"
#include "traces/cmd_import_jsonl.h"
#include "traces/container/trc_writer.h"
#include "traces/import/imp_azure.h"
#include "traces/import/imp_burst.h"
#include "traces/import/imp_grid.h"
#include "traces/import/imp_mooncake.h"
#include "traces/import/imp_out.h"
#include "traces/import/imp_servegen.h"
#include "traces/synth/arr_rate.h"
#include "traces/synth/list.h"
#include "traces/synth/making.h"
#include "traces/synth/mix.h"

#define DRAW_MASK 0xfff /* operations between looks at the clock, less one */

struct import_config {
    struct mix_options mix;
    const char *file, *out;
    const char *clients; /* of servegen: numbers and ranges, or NULL */
    int64_t from_ns, duration_ns;
    uint64_t seed, tokens_per_item, batch_max;
    int spread, log_type;
    const char *called;
    bool has_duration, force, quiet;
};

#define AT(field) offsetof(struct import_config, field)

#define OUTPUT_OPT                                                                     \
    {                                                                                  \
        "output", 'o', OPT_STR, AT(out), "FILE", NULL,                                 \
            "the trace to write; - is a pipe", NULL, NULL                              \
    }
#define FROM_OPT                                                                       \
    {                                                                                  \
        "from", 0, OPT_DURATION, AT(from_ns), "TIME", "0",                             \
            "begin so long after the start of the file", NULL, NULL                    \
    }
#define COMMON_OPTS                                                                    \
    {                                                                                  \
        "seed", 0,   OPT_U64, AT(seed), "N", "1", "seed of all that is random",        \
        NULL,   NULL},                                                                 \
        {"quiet", 'q', OPT_FLAG, AT(quiet), NULL, NULL, "no progress and no summary",  \
         NULL,    NULL},                                                               \
    {                                                                                  \
        0                                                                              \
    }
#define ROW_OPTS                                                                       \
    {"duration",                                                                       \
     'd',                                                                              \
     OPT_DURATION,                                                                     \
     AT(duration_ns),                                                                  \
     "TIME",                                                                           \
     NULL,                                                                             \
     "take so much of the file (default: all of it)",                                  \
     NULL,                                                                             \
     NULL},                                                                            \
        {"tokens-per-item",                                                            \
         0,                                                                            \
         OPT_U64,                                                                      \
         AT(tokens_per_item),                                                          \
         "N",                                                                          \
         "512",                                                                        \
         "batch from the size of the prompt: one item per N input tokens, rounded "    \
         "up, "                                                                        \
         "at least 1 and at most --batch-max. 0, or --batch without this: as --batch " \
         "says",                                                                       \
         NULL,                                                                         \
         NULL},                                                                        \
        {"batch-max",                                                                  \
         0,                                                                            \
         OPT_U64,                                                                      \
         AT(batch_max),                                                                \
         "N",                                                                          \
         "8",                                                                          \
         "most items of a batch; a type's own limit holds as well",                    \
         NULL,                                                                         \
         NULL},                                                                        \
    {                                                                                  \
        "spread", 0, OPT_CHOICE, AT(spread), "RULE", "refuse",                         \
            "what to do with times that lie on a grid: refuse the file, spread the "   \
            "rows of each cell uniformly over it, or none: take them as they stand",   \
            imp_spread_names, NULL                                                     \
    }

static const struct opt row_opts[] = {OUTPUT_OPT,
                                      OUTFILE_FORCE_OPT(AT(force)),
                                      MIX_OPTS(struct import_config, mix),
                                      FROM_OPT,
                                      ROW_OPTS,
                                      COMMON_OPTS};

static const char *const log_names[] = {"all", "conversation", "api", NULL};
static const struct opt burst_opts[] = {
    OUTPUT_OPT,
    OUTFILE_FORCE_OPT(AT(force)),
    {"called", 0, OPT_STR, AT(called), "MODEL", NULL,
     "take the rows of this Model alone "
     "(ChatGPT, GPT-4)",
     NULL, NULL},
    {"log-type", 0, OPT_CHOICE, AT(log_type), "TYPE", "all",
     "take the rows of this Log Type alone", log_names, NULL},
    MIX_OPTS(struct import_config, mix),
    FROM_OPT,
    ROW_OPTS,
    COMMON_OPTS};

static const struct opt servegen_opts[] = {
    OUTPUT_OPT,
    OUTFILE_FORCE_OPT(AT(force)),
    MIX_OPTS(struct import_config, mix),
    FROM_OPT,
    {"duration", 'd', OPT_DURATION, AT(duration_ns), "TIME", "1h",
     "take so much of the file", NULL, NULL},
    {"clients", 0, OPT_STR, AT(clients), "LIST", NULL,
     "clients that take part, as numbers and ranges: 0-9,17 (default: all)", NULL,
     NULL},
    COMMON_OPTS};

#define MADE                                                                           \
    "The file gives arrival times; which model each operation means, its protocol, "   \
    "body "                                                                            \
    "and id are drawn by --seed, as in synth. "

static const struct opt_cmd azure_page = {
    "import azure-llm",
    "Azure LLM inference traces (CSV) as operations",
    "FILE -o TRACE [OPTION]...",
    "Reads TIMESTAMP, ContextTokens and GeneratedTokens, plain or compressed with "
    "zstd, - is standard input. " MADE
    "Token counts are kept with the operations. Rows out of order are sorted, and the "
    "disorder is stated. Times on a grid are refused unless --spread says otherwise. "
    "The rows are held in memory, 24 bytes each, 67 million at most.",
    row_opts,
    "# an hour of conversations as requests to two models\n"
    "reprise import azure-llm AzureLLMInferenceTrace_conv.csv --model-type "
    "iris,tfsimple -o conv.trace\n",
    1,
    1,
};

static const struct opt_cmd mooncake_page = {
    "import mooncake",
    "Mooncake traces (JSON lines) as operations",
    "FILE -o TRACE [OPTION]...",
    "Reads timestamp, input_length and output_length, plain or compressed with zstd or "
    "gzip, - "
    "is standard input. " MADE "Token counts are kept with the operations. Rows out of "
    "order are sorted, and the disorder is stated.\n\n"
    "The recorded traces have their times on a grid of 3 s, so that nine of ten "
    "requests seem to come together. Such files are refused unless --spread uniform "
    "puts the requests of each cell at uniformly drawn moments of it (each is flagged "
    "as dequantized), or --spread none takes the bursts as they stand.",
    row_opts,
    "# an hour of conversations, spread within its 3 s cells\n"
    "reprise import mooncake conversation_trace.jsonl --spread uniform --model-type "
    "sentiment -o moon.trace\n",
    1,
    1,
};

static const struct opt_cmd burst_page = {
    "import burstgpt",
    "BurstGPT traces (CSV) as operations",
    "FILE -o TRACE [OPTION]...",
    "Reads Timestamp, Model, Request tokens and Response tokens, and where they are "
    "there Session ID, Elapsed time and Log Type, plain or compressed with zstd or "
    "gzip, - is standard input. " MADE
    "Token counts are kept with the operations, sessions as clients, and Elapsed time "
    "as the time of the answer's end. Rows without response tokens were failures: they "
    "arrived, so they are kept, and the summary counts them. Rows out of order are "
    "sorted, and the disorder is stated.\n\n"
    "Releases up to 1.1 have whole seconds: such a file is refused unless --spread "
    "uniform puts the requests of each second at uniformly drawn moments of it (each "
    "is "
    "flagged as dequantized), or --spread none takes the bursts as they stand. The "
    "file has 121 days: choose a part with --from and --duration. All its rows are "
    "held in memory, 24 bytes each, 67 million at most.",
    burst_opts,
    "# an hour of the fifth day, conversations with GPT-4\n"
    "reprise import burstgpt BurstGPT_1.csv --called GPT-4 --log-type conversation "
    "--from 105h --duration 1h --spread uniform -o burst.trace\n",
    1,
    1,
};

static const struct opt_cmd servegen_page = {
    "import servegen",
    "ServeGen client windows (CSV) as operations",
    "FILE -o TRACE [OPTION]...",
    "Reads client, window_start_s, rate_rps, iat_cv, family, shape and scale, plain or "
    "compressed with zstd or gzip, - is standard input. " MADE "\n\n"
    "In each window a client is an equilibrium renewal process of the window's family "
    "and shape, at the window's rate; windows are independent of each other. The "
    "client's number is kept with each operation. A file holds up to 14 days and "
    "billions of operations: choose a part with --from and --duration. A part gives "
    "the same arrivals as the same part of the whole.",
    servegen_opts,
    "# ten minutes of the third day\n"
    "reprise import servegen m-small.csv --from 48h --duration 10m --model-type "
    "iris,add10 -o tenants.trace\n",
    1,
    1,
};
const struct opt_cmd *const trc_import_docs[] = {
    &azure_page,
    &mooncake_page,
    &servegen_page,
    &burst_page,
    &trc_import_har_page,
    &trc_import_csv_page,
    &trc_import_goreplay_page,
    &trc_import_jsonl_page,
    NULL,
};

/* Those that make no operations of their own have a file of their own. */
static const struct {
    const struct opt_cmd *page;
    int (*run)(int argc, char **argv);
} others[] = {
    {&trc_import_har_page, trc_import_har_run},
    {&trc_import_csv_page, trc_import_csv_run},
    {&trc_import_goreplay_page, trc_import_goreplay_run},
    {&trc_import_jsonl_page, trc_import_jsonl_run},
};

/* What an import leaves to say. */
struct summary {
    uint64_t operations;
    int64_t last_ns;
    char grid[IMP_GRID_TEXT_MAX];
    uint64_t steps_back;
    int64_t worst_back_ns;
    struct imp_burst burst;
    bool dequantized;
};

/* One import on its way. */
struct job {
    const struct import_config *c;
    const char *format;
    struct mix *mix;
    struct trc_writer *w;
    struct making_line line;
    struct summary *s;
    double expected;
};

/* --- notes and operations
 * ------------------------------------------------------------- */

static int note(struct job *j, const char *key, struct buf *text, struct err *e)
{
    int rc = buf_check(text, e);
    if (rc == 0)
        rc = trc_writer_note(j->w, key, buf_text(text), e);
    buf_reset(text);
    return rc;
}

/* Of all options that shape the trace, as one JSON object. */
static void describe(const struct job *j, bool rows, struct buf *out)
{
    const struct import_config *c = j->c;
    struct jsonw w = {.out = out};
    jsonw_object(&w);
    mix_describe(j->mix, &w);
    if (c->called)
        jsonw_key_str(&w, "called", c->called);
    if (c->log_type)
        jsonw_key_str(&w, "log_type", log_names[c->log_type]);
    jsonw_key_i64(&w, "from_ns", c->from_ns);
    if (c->has_duration || !rows)
        jsonw_key_i64(&w, "duration_ns", c->duration_ns);
    if (rows && c->tokens_per_item) {
        jsonw_key_u64(&w, "tokens_per_item", c->tokens_per_item);
        jsonw_key_u64(&w, "batch_max", c->batch_max);
    }
    if (rows)
        jsonw_key_str(&w, "spread", imp_spread_names[c->spread]);
    else
        jsonw_key_str(&w, "clients", c->clients ? c->clients : "all");
    jsonw_end(&w);
}

static int note_common(struct job *j, bool rows, struct err *e)
{
    struct buf text = {0};
    const char *slash = strrchr(j->c->file, '/');
    buf_str(&text, REPRISE_VERSION);
    int rc = note(j, "tool.version", &text, e);
    buf_fmt(&text, "import %s", j->format);
    if (rc == 0)
        rc = note(j, "tool.command", &text, e);
    buf_str(&text, slash ? slash + 1 : j->c->file);
    if (rc == 0)
        rc = note(j, "import.source", &text, e);
    buf_fmt(&text, "%" PRIu64, j->c->seed);
    if (rc == 0)
        rc = note(j, "import.seed", &text, e);
    describe(j, rows, &text);
    if (rc == 0)
        rc = note(j, "import.options", &text, e);
    buf_done(&text);
    return rc;
}

/* Writes one operation; op has arrival, client, tokens and flags of the caller. */
static int write_op(struct job *j, uint32_t batch, const struct op *own, struct err *e)
{
    struct op op;
    int rc = mix_next(j->mix, batch, &op, e);
    if (rc < 0)
        return rc;
    op.arrival_ns = own->arrival_ns;
    op.client = own->client;
    op.tokens_in = own->tokens_in;
    op.tokens_out = own->tokens_out;
    op.flags |= own->flags;
    op.last_ns = own->last_ns;
    rc = trc_writer_op(j->w, &op, e);
    if (rc < 0)
        return rc;
    j->s->operations++;
    j->s->last_ns = op.arrival_ns;
    if ((j->s->operations & DRAW_MASK) != 0)
        return 0;
    making_line_draw(&j->line, j->s->operations,
                     (double)j->s->operations / j->expected);
    return making_stopped()
               ? err_set(e, ERR_STOPPED, "stopped after %" PRIu64 " operations",
                         j->s->operations)
               : 0;
}

static int open_writer(struct job *j, int64_t epoch_wall_ns, bool rows, struct err *e)
{
    const struct trc_options options = {.kind = TRC_TRACE,
                                        .epoch_wall_ns = epoch_wall_ns};
    int rc = trc_writer_open(&j->w, j->c->out, &options, e);
    making_line_init(&j->line, "import", j->c->quiet);
    return rc == 0 ? note_common(j, rows, e) : rc;
}

/* Closes what was opened: properly, also when a signal stopped it. */
static int finish(struct job *j, int rc, struct err *e)
{
    making_line_clear(&j->line);
    if (j->w && rc == ERR_STOPPED) {
        struct err failed = {0};
        rc = trc_writer_note(j->w, "import.stopped", "by a signal", &failed);
        if (trc_writer_close(j->w, &failed) < 0 || rc < 0)
            *e = failed;
        return e->code;
    }
    if (j->w && rc == 0)
        return trc_writer_close(j->w, e);
    trc_writer_abandon(j->w);
    return rc;
}

/* --- formats of rows
 * ------------------------------------------------------------------ */

static int read_rows(struct job *j, const struct opt_cmd *page, struct zin *in,
                     struct imp_rows *rows, struct err *e)
{
    static const char *const logs[] = {NULL, "Conversation log", "API log"};
    if (page == &azure_page)
        return imp_azure_read(in, rows, e);
    if (page == &mooncake_page)
        return imp_mooncake_read(in, rows, e);
    j->s->burst =
        (struct imp_burst){.model = j->c->called, .log_type = logs[j->c->log_type]};
    return imp_burst_read(in, &j->s->burst, rows, e);
}

static int load_rows(struct job *j, const struct opt_cmd *page, struct imp_rows *rows,
                     struct err *e)
{
    const struct import_config *c = j->c;
    struct zin *in;
    int rc = zin_open(&in, c->file, e);
    if (rc < 0)
        return rc;
    rc = read_rows(j, page, in, rows, e);
    zin_close(in);
    if (rc == 0)
        rc = imp_rows_sort(rows, e);
    return rc < 0 ? err_note(e, "'%s'", c->file) : 0;
}

/* Sets *start_ns to the time that --from counts from: the first row, or the start of
 * its cell. */
static int treat_grid(struct job *j, struct imp_rows *rows, int64_t *start_ns,
                      struct err *e)
{
    struct imp_grid g;
    struct rng root, rng;
    const char *file = j->c->file;
    imp_grid_find(rows, &g);
    imp_grid_text(&g, rows->n, j->s->grid);
    if (g.matters && j->c->spread == IMP_SPREAD_REFUSE)
        return err_set(e, ERR_FORMAT, "'%s': %s; say --spread uniform or --spread none",
                       file, j->s->grid);
    *start_ns = rows->v[0].at_ns;
    if (j->c->spread != IMP_SPREAD_UNIFORM || !g.matters)
        return 0;
    if (g.period_ns == 0)
        return err_set(e, ERR_FORMAT, "'%s': %s: there is no cell to spread them over",
                       file, j->s->grid);
    int64_t cell = imp_grid_cell_start(&g, rows->v[0].at_ns);
    rng_init(&root, j->c->seed);
    rng = rng_fork(&root, "spread");
    int rc = imp_grid_spread(rows, &g, &rng, e);
    *start_ns = rows->v[0].at_ns < cell ? rows->v[0].at_ns : cell;
    j->s->dequantized = true;
    return rc;
}

static int note_rows(struct job *j, const struct imp_rows *rows, struct err *e)
{
    struct buf text = {0};
    buf_fmt(&text, "%zu", rows->n);
    int rc = note(j, "import.rows", &text, e);
    buf_str(&text, j->s->grid);
    if (j->s->dequantized)
        buf_str(&text, "; spread: uniform order statistics within each cell");
    if (rc == 0)
        rc = note(j, "import.grid", &text, e);
    if (rc == 0 && rows->steps_back > 0) {
        buf_fmt(&text,
                "%" PRIu64
                " rows came with an earlier time than the row before, by up to %" PRId64
                " ns; sorted",
                rows->steps_back, rows->worst_back_ns);
        rc = note(j, "import.disorder", &text, e);
    }
    buf_done(&text);
    return rc;
}

static uint32_t batch_of(const struct import_config *c, uint32_t tokens)
{
    if (c->tokens_per_item == 0)
        return 0; /* drawn, as --batch says */
    uint64_t items = (tokens + c->tokens_per_item - 1) / c->tokens_per_item;
    items = items < 1 ? 1 : items > c->batch_max ? c->batch_max : items;
    return (uint32_t)items;
}

/* The rows v[*from..*to) that --from and --duration choose. */
static int choose_rows(const struct job *j, const struct imp_rows *rows,
                       int64_t zero_ns, size_t *from, size_t *to, struct err *e)
{
    size_t i = 0;
    while (i < rows->n && rows->v[i].at_ns < zero_ns)
        i++;
    *from = i;
    while (i < rows->n &&
           !(j->c->has_duration && rows->v[i].at_ns - zero_ns >= j->c->duration_ns))
        i++;
    *to = i;
    return *from < *to ? 0
                       : err_set(e, ERR_FORMAT, "'%s': no row lies in the chosen time",
                                 j->c->file);
}

static int write_row(struct job *j, const struct imp_row *r, int64_t zero_ns,
                     struct err *e)
{
    struct op own = op_empty();
    own.arrival_ns = r->at_ns - zero_ns;
    own.tokens_in = r->tokens_in;
    own.tokens_out = r->tokens_out;
    own.flags = r->spread ? OP_FLAG_DEQUANTIZED : 0;
    own.client = r->client;
    if (r->took_ms != OP_NONE)
        own.last_ns = r->took_ms * CLK_MS;
    return write_op(j, batch_of(j->c, r->tokens_in), &own, e);
}

static int run_rows(struct job *j, const struct opt_cmd *page, struct err *e)
{
    struct imp_rows rows = {0};
    int64_t start_ns = 0;
    size_t from = 0, to = 0;
    int rc = load_rows(j, page, &rows, e);
    if (rc == 0)
        rc = treat_grid(j, &rows, &start_ns, e);
    int64_t zero_ns = start_ns + j->c->from_ns;
    if (rc == 0)
        rc = choose_rows(j, &rows, zero_ns, &from, &to, e);
    j->expected = (double)(to - from);
    if (rc == 0)
        rc = open_writer(j, rows.has_calendar ? zero_ns : 0, true, e);
    if (rc == 0)
        rc = note_rows(j, &rows, e);
    for (size_t i = from; i < to && rc == 0; i++)
        rc = write_row(j, &rows.v[i], zero_ns, e);
    j->s->steps_back = rows.steps_back;
    j->s->worst_back_ns = rows.worst_back_ns;
    imp_rows_done(&rows);
    return rc;
}

/* --- servegen
 * -------------------------------------------------------------------------- */

/* "0-9,17": sets the flags of those clients. */
static int parse_clients(const char *text, bool *clients, struct err *e)
{
    struct list l;
    int rc = list_parse(&l, text, false, e);
    for (size_t i = 0; i < l.n && rc == 0; i++) {
        struct span item = l.items[i].text;
        size_t dash = span_find(item, '-', 0);
        uint64_t low, high;
        bool good = span_u64(span_sub(item, 0, dash), &low);
        high = low;
        if (good && dash < item.n)
            good = span_u64(span_sub(item, dash + 1, item.n), &high);
        if (!good || low > high || high >= IMP_CLIENTS_MAX)
            return err_set(e, ERR_USAGE,
                           "--clients: '%.*s' is not a number or range below %d",
                           SPAN_ARG(item), IMP_CLIENTS_MAX);
        for (uint64_t k = low; k <= high; k++)
            clients[k] = true;
    }
    return rc < 0 ? err_note(e, "--clients") : 0;
}

static int load_windows(const struct import_config *c, struct imp_servegen **s,
                        struct err *e)
{
    struct zin *in = NULL;
    bool *clients = NULL;
    int rc = 0;
    if (c->clients) {
        clients = calloc(IMP_CLIENTS_MAX, sizeof *clients);
        rc = clients ? parse_clients(c->clients, clients, e)
                     : err_set(e, ERR_NOMEM, "no memory for clients");
    }
    const struct imp_span span = {c->from_ns, c->duration_ns, clients};
    if (rc == 0)
        rc = zin_open(&in, c->file, e);
    if (rc == 0 && (rc = imp_servegen_read(s, in, &span, c->seed, e)) < 0)
        err_note(e, "'%s'", c->file);
    zin_close(in);
    free(clients);
    return rc;
}

static int note_windows(struct job *j, const struct imp_servegen *s, struct err *e)
{
    struct imp_servegen_info i = imp_servegen_info(s);
    struct buf text = {0};
    buf_fmt(&text,
            "%" PRIu64 " windows of %" PRId64
            " s with a rate above 0, %u clients; within a window an equilibrium "
            "renewal process of its family and shape at its rate",
            i.windows, i.window_ns / CLK_SEC, i.clients);
    int rc = note(j, "import.windows", &text, e);
    buf_done(&text);
    return rc;
}

static int run_servegen(struct job *j, struct err *e)
{
    struct imp_servegen *s = NULL;
    int rc = load_windows(j->c, &s, e);
    if (rc == 0) {
        j->expected = imp_servegen_info(s).expected;
        rc = open_writer(j, 0, false, e);
    }
    if (rc == 0)
        rc = note_windows(j, s, e);
    struct op own = op_empty();
    while (rc == 0 && imp_servegen_next(s, &own.arrival_ns, &own.client))
        rc = write_op(j, 0, &own, e);
    imp_servegen_free(s);
    return rc;
}

/* --- the command
 * ------------------------------------------------------------------------ */

static int check_config(const struct import_config *c, struct err *e)
{
    if (!c->out)
        return err_set(e, ERR_USAGE, "-o FILE is missing: where shall the trace go?");
    int may = outfile_check(c->out, c->force, &c->file, 1, e);
    if (may < 0)
        return may;
    if (c->from_ns < 0 || c->from_ns > ARR_DURATION_MAX)
        return err_set(e, ERR_USAGE, "--from is not in 0..366 days");
    if (c->has_duration && (c->duration_ns <= 0 || c->duration_ns > ARR_DURATION_MAX))
        return err_set(e, ERR_USAGE, "--duration is not above 0 and up to 366 days");
    if (c->tokens_per_item > IMP_TOKENS_MAX)
        return err_set(e, ERR_USAGE, "--tokens-per-item is above %u", IMP_TOKENS_MAX);
    if (c->tokens_per_item && (c->batch_max < 1 || c->batch_max > MT_BATCH_MAX))
        return err_set(e, ERR_USAGE, "--batch-max is not in 1..%d", MT_BATCH_MAX);
    return 0;
}

static int import_run(const struct import_config *c, const struct opt_cmd *page,
                      struct summary *s, struct err *e)
{
    struct job j = {.c = c, .format = strchr(page->name, ' ') + 1, .s = s};
    int rc = check_config(c, e);
    if (rc == 0)
        rc = mix_new(&j.mix, &c->mix, c->seed, e);
    if (rc == 0)
        rc = page == &servegen_page ? run_servegen(&j, e) : run_rows(&j, page, e);
    rc = finish(&j, rc, e);
    mix_free(j.mix);
    return rc;
}

static void print_summary(const struct import_config *c, const struct summary *s)
{
    char text[UNITS_TEXT_MAX];
    if (c->quiet)
        return;
    fprintf(stderr, "import: %" PRIu64 " operations over %s to '%s'\n", s->operations,
            units_duration_text(s->last_ns, text), c->out);
    if (s->grid[0])
        fprintf(stderr, "import: %s%s\n", s->grid,
                s->dequantized ? "; spread uniformly within each cell" : "");
    if (s->burst.failures)
        fprintf(stderr, "import: %" PRIu64 " rows have no response tokens: failures\n",
                s->burst.failures);
    if (s->burst.left_out)
        fprintf(stderr,
                "import: left out: %" PRIu64 " rows of another Model or Log Type\n",
                s->burst.left_out);
    if (s->steps_back)
        fprintf(stderr,
                "import: %" PRIu64 " rows came with an earlier time than the row "
                "before, by up to %s; sorted\n",
                s->steps_back, units_duration_text(s->worst_back_ns, text));
}

int trc_cmd_import(int argc, char **argv)
{
    struct import_config c = {.file = NULL};
    struct summary s = {0};
    struct err e = {0};
    const struct opt_cmd *page = NULL;
    for (size_t i = 0; trc_import_docs[i]; i++)
        if (argc > 1 && strcmp(strchr(trc_import_docs[i]->name, ' ') + 1, argv[1]) == 0)
            page = trc_import_docs[i];
    assert(page && "main.c has looked at the verb");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (page == others[i].page)
            return others[i].run(argc - 1, argv + 1);
    int operands, rc = opt_parse(page, argc - 1, argv + 1, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0) {
        c.file = argv[2];
        c.has_duration = page == &servegen_page || opt_given(page, "duration");
        if (page != &servegen_page && opt_given(page, "batch") &&
            !opt_given(page, "tokens-per-item"))
            c.tokens_per_item = 0;
        making_catch_signals();
        rc = import_run(&c, page, &s, &e);
    }
    if (rc < 0)
        return opt_fail(page, &e);
    print_summary(&c, &s);
    return EXIT_DONE;
}
