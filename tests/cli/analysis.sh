#!/usr/bin/env bash
# report, compare and plan from the command line: statuses, messages, JSON, pages.
. "$(dirname "$0")/lib.sh"

# The runs come from a unit test, which is built here if it is not there yet.
maker="$BUILD/tests/unit/test_compare"
mode=$(basename "$BUILD") cc=gcc
case $mode in *-clang) mode=${mode%-clang} cc=clang ;; esac
make -s --no-print-directory -C "$root" MODE="$mode" CC="$cc" "build/$(basename "$BUILD")/tests/unit/test_compare" \
    >"$tmp/make" 2>&1 || { cat "$tmp/make"; exit 1; }
"$maker" --write "$tmp" || exit 1
cd "$tmp" || exit 1

# --- the statuses of compare: 0 1 2 3 64 65 74 ---
compare() { # status world arguments...
    local status=$1 world=$2; shift 2
    expect "$status" "$REPRISE" compare "$world"/*-A.run --vs "$world"/*-B.run "$@"
}
compare 0 same;       out_has "NO CHANGE"
compare 0 fast;       out_has "IMPROVED"
compare 1 slow;       out_has "REGRESSED"
compare 1 tail -q
same "$(cat out)" 'VERDICT REGRESSED gates=1/4 pairs=8 worst="response p99 +26.6 %"'
compare 2 single;     out_has "one run against one run cannot tell a difference from chance"
compare 2 sequential; out_has "confounded with time"
compare 2 few;        out_has "4 pairs are too few"
compare 0 few --inconclusive=pass
compare 3 unfit;      out_has "no pair is left"
compare 3 other;      out_has "replay different traces"
compare 1 slow --gate response:p50:iris --tolerance p50=1
out_has "response p50 of iris (rest)"
compare 0 slow --gate response:p50 --tolerance p50=50 --quiet
compare 1 errors --gate response:p50; out_has "fails more often"
compare 1 slow --gate default --gate response:p99.9; out_has "not-estimable"

expect 64 "$REPRISE" compare;                       err_has "--vs is missing"
expect 64 "$REPRISE" compare slow/01-A.run;         err_has "--vs is missing"
expect 64 "$REPRISE" compare slow/01-A.run --vs;    err_has "no run of B"
expect 64 "$REPRISE" compare --vs slow/01-B.run;    err_has "no run of A"
expect 64 "$REPRISE" compare a --vs b --vs c;       err_has "--vs is given twice"
expect 64 "$REPRISE" compare a --vs=b;              err_has "a word of its own"
compare 64 slow --gate response;      err_has "a quantile is missing"
compare 64 slow --gate latency:p99;   err_has "'latency' is not one of: response"
compare 64 slow --gate response:99;   err_has "'99' is not a quantile"
compare 64 slow --gate response:p100; err_has "'p100' is not a quantile between"
compare 64 slow --gate response:p99:wine; err_has "no operation of 'wine'"
compare 64 slow --tolerance p99=x;    err_has "'x' is not a percentage"
compare 64 slow --alpha 60;           err_has "between 0 and 50"
compare 64 slow --floor 5;            err_has "--floor"
expect 64 "$REPRISE" compare slow/01-A.run --vs slow/01-A.run; err_has "is given twice"
echo "this is no run" >foreign.run
expect 65 "$REPRISE" compare foreign.run --vs slow/01-B.run; err_has "foreign.run"
expect 74 "$REPRISE" compare nowhere.run --vs slow/01-B.run; err_has "nowhere.run"
expect 0 "$REPRISE" compare --help; out_has "--vs"; out_has "REGRESSED"

# --- plan ---
plan() { # status world arguments...
    local status=$1 world=$2; shift 2
    expect "$status" "$REPRISE" plan "$world"/*-A.run --vs "$world"/*-B.run "$@"
}
plan 0 same; out_has "From 10 pairs of runs"; out_has "response p99 decides"
same "$(awk 'length > 80' out)" "" "lines of more than 80 columns"
plan 0 slow --json; cp out first
same "$(jq -r '.schema, .cannot, .pairs' out | tr '\n' ' ')" "reprise/plan/1 null 8 "
same "$(jq '.needed.likely == ([.gates[] | .pairs_to_detect.likely, .pairs_to_pass.likely] | max)' out)" true
plan 0 slow --json; cmp -s out first || fail "the same plan is not the same to the byte"
plan 0 slow --detect 2.5; out_has "is not served by 512 pairs"
plan 0 errors --gate response:p99.9; out_has "not-estimable"
plan 2 sequential; out_has "NO PLAN"
plan 2 single;     out_has "NO PLAN"
plan 3 unfit;      out_has "no pair is left"
plan 64 slow --detect 0;  err_has "between 0 and 1000"
plan 64 slow --power 100; err_has "between 50 and 100"
plan 64 slow --gate p99;  err_has "'p99' is not one of: response"
expect 64 "$REPRISE" plan slow/01-A.run; err_has "--vs is missing"
expect 0 "$REPRISE" plan --help; out_has "reprise plan calibration"

# --- JSON is JSON, agrees with the status, and is the same to the byte each time ---
compare 1 slow --json; cp out first
same "$(jq -r .schema out)" reprise/compare/1
same "$(jq -r .verdict.overall out)" REGRESSED
same "$(jq -r .verdict.exit_code out)" 1
same "$(jq -r '.gates | length' out)" 4
same "$(jq -r '.runs | length' out)" 16
same "$(jq -r '[.runs[] | select(.used)] | length' out)" 16
compare 1 slow --json; cmp -s out first || fail "JSON differs from one call to the next"
compare 2 sequential --json
same "$(jq -r .layout.capped out)" true
same "$(jq -r '.gates[0].evidence + " " + .gates[0].verdict' out)" "REGRESSED INCONCLUSIVE"
compare 3 other --json
same "$(jq -r '.verdict.overall, .verdict.exit_code, (.gates | length)' out | paste -sd' ')" "INVALID 3 0"

# --- report ---
expect 0 "$REPRISE" report slow/01-A.run; out_has "3000 due = 3000 done"
expect 0 "$REPRISE" report slow/01-A.run --json
same "$(jq -r '.schema, .health.verdict, .operations.due, .operations.ok' out | paste -sd' ')" \
    "reprise/report/1 VALID 3000 3000"
same "$(jq -r '.latency_ns.response."p99.9"' out)" null
same "$(jq -r '.latency_ns.response.p99 | type' out)" number
same "$(jq -r '.latency_ns.lateness.generator | has("p99")' out)" true
same "$(jq -r '[.cells[].operations.due] | add' out)" 3000
expect 0 "$REPRISE" report errors/01-B.run --json
same "$(jq -r '.latency_ns.response.max' out)" inf
same "$(jq -r '.errors[0].class' out)" "http 503"
same "$(jq -r '.operations | .due == .done + .dropped + .refused + .stopped' out)" true
expect 0 "$REPRISE" report - <slow/01-A.run; out_has "3000 due"
expect 0 "$REPRISE" report slow/01-A.run --warmup 1s; out_has "1000 operations due before"
expect 64 "$REPRISE" report; expect 64 "$REPRISE" report slow/01-A.run slow/02-A.run
expect 64 "$REPRISE" report slow/01-A.run --warmup 5; err_has "--warmup"
expect 65 "$REPRISE" report foreign.run; err_has "foreign.run"
expect 74 "$REPRISE" report nowhere.run; err_has "nowhere.run"
expect 74 "$REPRISE" report slow/01-A.run --html /nowhere/x.html; err_has "/nowhere/x.html"

# A file that ends early: told, with its place, and what is there is reported.
head -c 20000 slow/01-A.run >cut.run
expect 3 "$REPRISE" report cut.run; out_has "INVALID"; out_has "the file ends early, at byte"
expect 3 "$REPRISE" report cut.run --json
same "$(jq -r '.health.verdict, .file.complete, (.operations.due > 0), (.file.fault.byte > 0)' out | paste -sd' ')" \
    "INVALID false true true"
mkdir mixed && cp same/*.run mixed/ && head -c 20000 same/03-A.run >mixed/03-A.run
compare 0 mixed; out_has "03-A.run INVALID"; out_has "9 pairs"

# A full disk (where the system has a device that plays one) is an error, not silence.
if [ -w /dev/full ]; then
    "$REPRISE" report slow/01-A.run >/dev/full 2>err
    same $? 74 "full disk"
fi

# --- pages: well-formed, nothing from outside, no script, names escaped ---
compare 1 named --html page.html
"$REPRISE" report named/01-A.run --html report.html >/dev/null || fail "report --html"
"$REPRISE" compare other/*-A.run --vs other/*-B.run --html invalid.html >/dev/null
for page in page.html report.html invalid.html; do
    python3 -c 'import sys, xml.etree.ElementTree as e; e.parse(sys.argv[1])' "$page" ||
        fail "$page is not well-formed"
    grep -qF "default-src 'none'" "$page" || fail "$page has no policy"
    grep -qiE '<script|<link|<img|<iframe|@import|url\(|(src|href)=' "$page" &&
        fail "$page asks for something from outside"
    same "$(grep -c '<svg' "$page")" "$(grep -c '<desc' "$page")" "descriptions in $page"
done
grep -qF '<b>base' page.html && fail "a name was not escaped"
grep -qF '&lt;b&gt;base&lt;/b&gt;' page.html || fail "the name of the arm is missing"
LC_ALL=C grep -q $'\033' page.html out && fail "an escape sequence came through"
same "$(wc -c <page.html | awk '{print ($1 < 300000)}')" 1 "size of the page"

# --- JUnit: one case a gate, never two results in one; an invalid session is one error ---
compare 1 tail --junit junit.xml
python3 - junit.xml <<'PY' || fail "junit.xml is not as it should be"
import sys, xml.etree.ElementTree as e
suites = e.parse(sys.argv[1]).getroot()
cases = suites.findall("testsuite/testcase")
results = [[r.tag for r in c if r.tag != "system-out"] for c in cases]
assert [c.get("name") for c in cases] == ["response p50", "response p95", "response p99", "error rate"]
assert results == [[], [], ["failure"], []], results
assert suites.get("failures") == "1" and suites.get("tests") == "4"
assert "90 % CI" in cases[2].find("failure").text
PY
compare 3 unfit --junit junit.xml
grep -qF '<error message="INVALID">' junit.xml || fail "an invalid session is no error in JUnit"
compare 2 single --junit junit.xml
same "$(grep -c '<skipped' junit.xml)" 4

# --- colour: on a terminal, unless NO_COLOR or a dumb one forbids it; never in a pipe ---
on_terminal() { # runs a command on a pseudo-terminal, its output to $tmp/out
    python3 -c 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)' "$@" >"$tmp/out" </dev/null
}
coloured() { grep -q $'\033\[' "$tmp/out"; }
TERM=xterm on_terminal env -u NO_COLOR "$REPRISE" report slow/01-A.run
coloured || fail "no colour on a terminal"
TERM=xterm on_terminal env NO_COLOR=1 "$REPRISE" report slow/01-A.run
coloured && fail "colour in spite of NO_COLOR"
TERM=dumb on_terminal env -u NO_COLOR "$REPRISE" report slow/01-A.run
coloured && fail "colour on a dumb terminal"
TERM=xterm expect 0 env -u NO_COLOR "$REPRISE" report slow/01-A.run
coloured && fail "colour in a pipe"

finish
