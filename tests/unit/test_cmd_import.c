/*
 * test_cmd_import.c - `reprise import` on real public files, row for row.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "tests/unit/made_trace.h"
#include "traces/base/clk.h"
#include "traces/container/zin.h"

#define CONV      "tests/data/azure-conv-2023.csv.zst"
#define CODE      "tests/data/azure-code-2023-300.csv"
#define MOONCAKE  "tests/data/mooncake-conversation-300.jsonl.zst"
#define SYNTHETIC "tests/data/mooncake-synthetic-300.jsonl.zst"
#define SERVEGEN  "tests/data/servegen-m-large-6x144.csv"

static struct made import(const char *words)
{
    struct made m = made_by(trc_cmd_import, words, NULL);
    check_int(m.status, ==, EXIT_DONE);
    return m;
}

static void check_status(const char *words, int status)
{
    struct made m = made_by(trc_cmd_import, words, NULL);
    if (m.status != status)
        fail_msg("'%s' gave status %d, wanted %d", words, m.status, status);
    made_free(&m);
}

/* The conversation file is of one evening, so a reader of two lines is enough of an
 * oracle: 100 ns since midnight. */
static void check_conversation(const struct made *m, int64_t skipped_ns)
{
    struct zin *in;
    struct err e = {0};
    struct span line;
    int64_t first = -1;
    size_t i = 0;
    check_ok(zin_open(&in, CONV, &e), &e);
    check_int(zin_line(in, &line, &e), ==, 1);
    while (zin_line(in, &line, &e) > 0) {
        char text[128];
        int hour, minute, second, tenths_of_us;
        unsigned tokens_in, tokens_out;
        snprintf(text, sizeof text, "%.*s", SPAN_ARG(line));
        check_int(sscanf(text, "2023-11-16 %2d:%2d:%2d.%7d,%u,%u", &hour, &minute,
                         &second, &tenths_of_us, &tokens_in, &tokens_out),
                  ==, 6);
        int64_t ns = ((hour * 60 + minute) * INT64_C(60) + second) * CLK_SEC +
                     tenths_of_us * INT64_C(100);
        if (first < 0)
            first = ns;
        if (ns - first < skipped_ns)
            continue;
        if (i == m->n)
            break;
        check_int(m->ops[i]->arrival_ns, ==, ns - first - skipped_ns);
        check_int(m->ops[i]->tokens_in, ==, tokens_in);
        check_int(m->ops[i]->tokens_out, ==, tokens_out);
        check_int(m->ops[i]->flags, ==, OP_FLAG_SYNTHETIC);
        i++;
    }
    check_int(i, ==, m->n);
    zin_close(in);
}

static void every_conversation_becomes_one_operation_at_its_time(void **state)
{
    (void)state;
    struct made m = import("import azure-llm " CONV " --model-type iris:1,tfsimple:3");
    check_int(m.n, ==, 19366);
    check_conversation(&m, 0);
    const struct trc_info *info = trc_reader_info(m.r);
    check_int(info->first_ns, ==, 0);
    check_int(info->last_ns / CLK_SEC, ==, 3501);
    check_int(info->epoch_wall_ns, ==, INT64_C(1700158546680590000));
    size_t iris = 0;
    for (size_t i = 0; i < m.n; i++)
        iris += span_eq_str(m.ops[i]->stream->name, "iris0");
    check_true(fabs((double)iris / (double)m.n - 0.25) < 0.011);
    check_str(trc_reader_note(m.r, "import.rows"), "19366");
    check_str(trc_reader_note(m.r, "import.source"), "azure-conv-2023.csv.zst");
    check_str(trc_reader_note(m.r, "tool.command"), "import azure-llm");
    check_str_has(trc_reader_note(m.r, "import.grid"),
                  "no known grid; 0 % of 19366 rows");
    check_str_has(trc_reader_note(m.r, "import.options"), "\"tokens_per_item\":512");
    check_true(trc_reader_note(m.r, "import.disorder") == NULL);
    made_free(&m);
}

static void a_part_of_the_file_is_cut_by_time(void **state)
{
    (void)state;
    struct made m = import("import azure-llm " CONV " --from 10m --duration 90s");
    check_true(m.n > 300 && m.n < 700);
    check_conversation(&m, 600 * CLK_SEC);
    check_true(m.ops[m.n - 1]->arrival_ns < 90 * CLK_SEC);
    check_int(trc_reader_info(m.r)->epoch_wall_ns, ==,
              INT64_C(1700158546680590000) + 600 * CLK_SEC);
    made_free(&m);
    check_status("import azure-llm " CONV " --from 2h", EXIT_DATA);
}

static void batches_follow_the_tokens_of_the_prompt(void **state)
{
    (void)state;
    struct made m =
        import("import azure-llm " CODE " --model-type iris --protocol grpc");
    struct made one =
        import("import azure-llm " CODE " --model-type iris --protocol grpc --batch 1");
    check_int(m.n, ==, 300);
    check_int(one.n, ==, 300);
    for (size_t i = 0; i < m.n; i++) {
        uint32_t items = (m.ops[i]->tokens_in + 511) / 512;
        items = items < 1 ? 1 : items > 8 ? 8 : items;
        /* An item more is 16 bytes of FP32, and a varint that may grow. */
        uint64_t more = m.ops[i]->request.bytes - one.ops[i]->request.bytes;
        check_true(more >= 16 * (items - 1) && more <= 16 * (items - 1) + 8);
    }
    made_free(&m);
    made_free(&one);
    check_status("import azure-llm " CODE " --batch-max 0", EXIT_USAGE);
    check_status("import azure-llm " CODE " --batch-max 5000", EXIT_USAGE);
}

static void a_grid_is_refused_spread_or_taken_as_it_stands(void **state)
{
    (void)state;
    check_status("import mooncake " MOONCAKE, EXIT_DATA);
    struct made m = import("import mooncake " MOONCAKE " --spread uniform");
    check_int(m.n, ==, 300);
    check_str_has(trc_reader_note(m.r, "import.grid"), "3 s grid: ");
    check_str_has(trc_reader_note(m.r, "import.grid"),
                  "; spread: uniform order statistics within each cell");
    size_t distinct = 1;
    for (size_t i = 0; i < m.n; i++) {
        check_true(m.ops[i]->flags & OP_FLAG_DEQUANTIZED);
        distinct += i > 0 && m.ops[i]->arrival_ns != m.ops[i - 1]->arrival_ns;
    }
    check_int(distinct, ==, 300);
    check_int(trc_reader_info(m.r)->epoch_wall_ns, ==, 0);
    made_free(&m);
    m = import("import mooncake " MOONCAKE " --spread none");
    check_int(m.n, ==, 300);
    for (size_t i = 0; i < m.n; i++) {
        int64_t off = (m.ops[i]->arrival_ns + CLK_MS) % (3 * CLK_SEC);
        check_true(off <= 4 * CLK_MS); /* the grid as it is, jitter included */
        check_int(m.ops[i]->flags & OP_FLAG_DEQUANTIZED, ==, 0);
    }
    made_free(&m);
}

static void milliseconds_alone_are_no_reason_to_refuse(void **state)
{
    (void)state;
    struct made m = import("import mooncake " SYNTHETIC);
    check_int(m.n, ==, 300);
    check_str_has(trc_reader_note(m.r, "import.grid"), "1 ms grid: 100 %");
    for (size_t i = 0; i < m.n; i++)
        check_int(m.ops[i]->flags, ==, OP_FLAG_SYNTHETIC);
    made_free(&m);
}

static void windows_of_servegen_become_their_clients_operations(void **state)
{
    (void)state;
    struct made m =
        import("import servegen " SERVEGEN
               " --from 14h --duration 1h --clients 0-2,5 --values counting");
    check_true(m.n > 10000 && m.n < 18000); /* the file's rates give 13,986 */
    bool seen[6] = {false};
    for (size_t i = 0; i < m.n; i++) {
        const struct op *op = m.ops[i];
        check_true(op->client < 6 && op->client != 3 && op->client != 4);
        check_true(op->arrival_ns >= 0 && op->arrival_ns < 3600 * CLK_SEC);
        check_int(op->tokens_in, ==, OP_NONE);
        seen[op->client] = true;
    }
    check_true(seen[0] && seen[1] && !seen[2] && seen[5]); /* 2 has no window there */
    check_str_has(trc_reader_note(m.r, "import.windows"), "windows of 600 s");
    made_free(&m);
    check_status("import servegen " SERVEGEN " --clients 9-1", EXIT_USAGE);
    check_status("import servegen " SERVEGEN " --clients 70000", EXIT_USAGE);
    check_status("import servegen " SERVEGEN " --clients 77", EXIT_DATA);
    check_status("import servegen " SERVEGEN " --from 200h", EXIT_DATA);
}

static void files_of_another_kind_are_bad_data(void **state)
{
    (void)state;
    check_status("import azure-llm " MOONCAKE, EXIT_DATA);
    check_status("import mooncake " CODE, EXIT_DATA);
    check_status("import servegen " CODE, EXIT_DATA);
    check_status("import azure-llm tests/data/nosuch.csv", EXIT_IO);
    check_status("import azure-llm tests/data/README.md", EXIT_DATA);
    check_status("import azure-llm", EXIT_USAGE);
    check_status("import azure-llm " CODE " --spread maybe", EXIT_USAGE);
    check_status("import azure-llm " CODE " --duration 0s", EXIT_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_conversation_becomes_one_operation_at_its_time),
        cmocka_unit_test(a_part_of_the_file_is_cut_by_time),
        cmocka_unit_test(batches_follow_the_tokens_of_the_prompt),
        cmocka_unit_test(a_grid_is_refused_spread_or_taken_as_it_stands),
        cmocka_unit_test(milliseconds_alone_are_no_reason_to_refuse),
        cmocka_unit_test(windows_of_servegen_become_their_clients_operations),
        cmocka_unit_test(files_of_another_kind_are_bad_data),
    };
    return cmocka_run_group_tests_name("cmd_import", tests, NULL, NULL);
}
