/*
 * html.c - see html.h. The page; html_charts.c has the drawings.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/html.h"

static const char style[] =
    ":root{color-scheme:light "
    "dark;--bg:#fbfbf9;--card:#fff;--ink:#1b1d21;--soft:#5c636d;--line:#dfe2e6;--grid:#"
    "e8eaed;--a:#0072b2;--b:#c84e00;--good:#00735a;--warn:#8a5a00;--bad:#b3261e;--band:"
    "#0072b21f;--tol:#5c636d1f}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#14161a;--card:#1c1f24;--ink:#e9eaec;"
    "--soft:#a3aab4;--line:#343940;--grid:#2b2f36;--a:#56b4e9;--b:#ff8a4c;--good:#"
    "3fc9a0;--warn:#e3b04b;--bad:#ff8078;--band:#56b4e92e;--tol:#a3aab424}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 "
    "system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto "
    "Sans\",sans-serif;font-variant-numeric:tabular-nums}\n"
    "main{max-width:1180px;margin:0 auto;padding:24px 16px 64px}\n"
    "h1{font-size:1rem;font-weight:600;color:var(--soft);margin:0 0 12px}\n"
    "h2{font-size:1.15rem;margin:0 0 4px}\n"
    ".lead{color:var(--soft);margin:0 0 14px;max-width:76ch}\n"
    "section,.banner{background:var(--card);border:1px solid "
    "var(--line);border-radius:10px;padding:20px;margin:0 0 18px}\n"
    ".banner{border-left:8px solid var(--soft)}\n"
    ".banner .word{font-size:1.9rem;font-weight:750;line-height:1.2;margin:0 0 8px}\n"
    ".banner p{margin:0 0 8px;font-size:1.05rem;max-width:80ch}\n"
    ".good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}\n"
    ".banner.good{border-left-color:var(--good);color:inherit}\n"
    ".banner.warn{border-left-color:var(--warn);color:inherit}\n"
    ".banner.bad{border-left-color:var(--bad);color:inherit}\n"
    ".facts{display:flex;flex-wrap:wrap;gap:10px 28px;margin:12px 0 0}\n"
    ".facts div{min-width:0}.facts dt{font-size:.8rem;color:var(--soft)}\n"
    ".facts dd{margin:0;overflow-wrap:anywhere}dl{margin:0}\n"
    ".scroll{overflow-x:auto}\n"
    "table{border-collapse:collapse;width:100%;font-size:.9rem}\n"
    "th,td{padding:6px 7px;text-align:left;border-bottom:1px solid "
    "var(--line);vertical-align:top}\n"
    "th{font-weight:600;color:var(--soft);white-space:nowrap}\n"
    "td.n,th.n{text-align:right;white-space:nowrap}td.grey{color:var(--soft)}\n"
    "td.wrap{overflow-wrap:anywhere;min-width:9em}td.word{white-space:nowrap;font-"
    "weight:600}\n"
    "details{margin-top:12px}summary{cursor:pointer;color:var(--soft)}\n"
    "svg{display:block;width:100%;height:auto;margin:4px 0 8px}\n"
    "svg text{font:13px system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto "
    "Sans\",sans-serif;fill:var(--ink)}\n"
    "svg .tick,svg .name,svg .soft{fill:var(--soft)}svg .strong{font-weight:650}\n"
    "svg .good{fill:var(--good)}svg .warn{fill:var(--warn)}svg .bad{fill:var(--bad)}\n"
    ".grid{stroke:var(--grid)}.zero{stroke:var(--soft)}.ci{stroke:var(--ink);stroke-"
    "width:2.5}.mde{stroke:var(--warn);stroke-width:2}\n"
    "path{fill:none}.thin{stroke-width:1;opacity:.35}.thick{stroke-width:2.75}\n"
    ".mid{stroke-width:1.75}.a{stroke:var(--a)}.b{stroke:var(--b)}\n"
    ".thick.b,.mid.b{stroke-dasharray:8 "
    "4}.ink{stroke:var(--ink)}.softline{stroke:var(--soft)}\n"
    ".dots{stroke-dasharray:2 4}\n"
    ".band{fill:var(--band)}.tol{fill:var(--tol)}.dim{fill:var(--tol)}\n"
    ".fill-a{fill:var(--a)}.fill-b{fill:var(--b)}.fill-ink{fill:var(--ink)}\n"
    ".fill-bad{fill:var(--bad)}.fill-soft{fill:var(--soft);opacity:.5}\n"
    ".hollow{fill:var(--card);stroke-width:2}\n"
    "svg text.on{fill:var(--card);font-weight:650}\n"
    ".key{display:inline-block;width:26px;height:0;border-top:3px "
    "solid;vertical-align:middle;margin:0 6px 0 0}.key.a{border-color:var(--a)}\n"
    ".key.b{border-color:var(--b);border-top-style:dashed}\n"
    ".key.thin{border-top-width:1px}.legend{display:flex;flex-wrap:wrap;gap:4px "
    "22px;font-size:.9rem;color:var(--soft);margin:0}\n"
    "code{font-size:.9em}\n"
    "@media "
    "print{body{background:#fff}section,.banner{break-inside:avoid;border-color:#bbb}"
    "main{max-width:none;padding:0}details>*{display:block}}\n"
    "@media(max-width:520px){section,.banner{padding:14px}main{padding:12px 8px "
    "40px}.banner "
    ".word{font-size:1.5rem}svg{min-width:560px}.chart{overflow-x:auto}}\n";

void ana_html_open(struct buf *out, const char *title)
{
    buf_str(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
        "style-src 'unsafe-inline'\"/>\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
        "<meta name=\"referrer\" content=\"no-referrer\"/>\n<title>");
    ana_escape(out, title);
    buf_fmt(out, "</title>\n<style>%s</style>\n</head>\n<body>\n<main>\n", style);
}

void ana_html_close(struct buf *out)
{
    buf_str(out, "</main>\n</body>\n</html>\n");
}

void ana_html_section(struct buf *out, const char *heading, const char *lead)
{
    buf_str(out, "<section>\n<h2>");
    ana_escape(out, heading);
    buf_str(out, "</h2>\n");
    if (lead) {
        buf_str(out, "<p class=\"lead\">");
        ana_escape(out, lead);
        buf_str(out, "</p>\n");
    }
}

void ana_html_section_end(struct buf *out)
{
    buf_str(out, "</section>\n");
}

static void put_cell(struct buf *out, const char *tag, const char *class,
                     const char *text)
{
    if (class)
        buf_fmt(out, "<%s class=\"%s\">", tag, class);
    else
        buf_fmt(out, "<%s>", tag);
    ana_escape(out, text);
    buf_fmt(out, "</%s>", tag);
}

void ana_html_td(struct buf *out, const char *class, const char *text)
{
    put_cell(out, "td", class, text);
}

void ana_html_th(struct buf *out, const char *class, const char *text)
{
    put_cell(out, "th", class, text);
}

void ana_html_fact(struct buf *out, const char *name, const char *text)
{
    if (!text || !*text)
        return;
    buf_str(out, "<div><dt>");
    ana_escape(out, name);
    buf_str(out, "</dt><dd>");
    ana_escape(out, text);
    buf_str(out, "</dd></div>\n");
}
