/*
 * compare_junit.c - `reprise compare --junit`: what build servers show of a comparison.
 *
 * One case for each gate, under a name that does not change from run to run. REGRESSED
 * is a failure, INVALID an error, INCONCLUSIVE is skipped (whether it stops a build is
 * for the exit status to say), all else passes. Messages stay short, the evidence
 * stands in the body; there is always one case at least.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/compare.h"
#include "analysis/svg.h"

static void put_case(struct buf *out, const char *name)
{
    buf_str(out, "    <testcase classname=\"reprise.compare\" name=\"");
    ana_escape(out, name);
    buf_str(out, "\"");
}

/* <TAG message="MESSAGE">BODY</TAG> */
static void put_result(struct buf *out, const char *tag, const char *message,
                       const char *body)
{
    buf_fmt(out, ">\n      <%s message=\"", tag);
    ana_escape(out, message);
    buf_str(out, "\">");
    ana_escape(out, body);
    buf_fmt(out, "</%s>\n    </testcase>\n", tag);
}

static void put_gate(const struct ana_comparison *c, const struct ana_gate *g,
                     struct buf *out)
{
    struct buf title = {0}, text = {0};

    ana_gate_title(g, &title);
    ana_gate_title(g, &text);
    buf_str(&text, " ");
    ana_gate_evidence(c, g, &text);
    put_case(out, buf_text(&title));
    if (g->verdict == ANA_REGRESSED)
        put_result(out, "failure", ana_verdict_names[g->verdict], buf_text(&text));
    else if (g->verdict == ANA_INCONCLUSIVE)
        put_result(out, "skipped", ana_verdict_names[g->verdict], buf_text(&text));
    else {
        buf_fmt(out, ">\n      <system-out>%s: ", ana_verdict_names[g->verdict]);
        ana_escape(out, buf_text(&text));
        buf_str(out, "</system-out>\n    </testcase>\n");
    }
    buf_done(&title);
    buf_done(&text);
}

void ana_compare_junit(const struct ana_comparison *c, struct buf *out)
{
    size_t tests = c->invalid ? 1 : c->gate_count;

    buf_str(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    buf_fmt(out,
            "<testsuites tests=\"%zu\" failures=\"%u\" errors=\"%d\" skipped=\"%u\">\n",
            tests, c->counts[ANA_REGRESSED], c->invalid ? 1 : 0,
            c->counts[ANA_INCONCLUSIVE]);
    buf_fmt(out,
            "  <testsuite name=\"reprise compare\" tests=\"%zu\" failures=\"%u\" "
            "errors=\"%d\" skipped=\"%u\">\n",
            tests, c->counts[ANA_REGRESSED], c->invalid ? 1 : 0,
            c->counts[ANA_INCONCLUSIVE]);
    if (c->invalid) {
        put_case(out, "comparison");
        put_result(out, "error", "INVALID", c->sentence);
    }
    for (size_t i = 0; i < c->gate_count && !c->invalid; i++)
        put_gate(c, &c->gates[i], out);
    buf_str(out, "  </testsuite>\n</testsuites>\n");
}
