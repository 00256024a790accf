#!/usr/bin/env bash
# While a replay runs: the view over the whole terminal, which gives the terminal back however it
# ends, and the page for Prometheus, which a parser of Prometheus's own makers must accept, which
# counts what the run file holds, and which no client can keep from others.
source "$(dirname "$0")/../cli/lib.sh"
python=/usr/bin/python3 # Debian's, which sees Debian's packages
"$python" -c 'import prometheus_client' 2>/dev/null || { echo "python3-prometheus-client is not installed"; exit 77; }
command -v script >/dev/null || { echo "script (bsdutils) is not installed"; exit 77; }

"$REPRISE" standin --tier rproxy --http 127.0.0.1:0 --grpc 127.0.0.1:0 --ports "$tmp/ports" \
    --service fixed:1ms --error-rate 0.1 >/dev/null 2>"$tmp/standin.err" &
pids+=($!)
await_ports
http=$(sed -n 's/^rproxy.http=//p' "$tmp/ports")
# One that a run comes to the end of, and one that lasts until it is ended.
expect 0 "$REPRISE" synth -o "$tmp/t.trace" --model-type iris --rate 200 --count 500 \
    --duration 1h --protocol rest --quiet
expect 0 "$REPRISE" synth -o "$tmp/long.trace" --model-type iris --rate 200 --count 120000 \
    --duration 1h --protocol rest --quiet

# --- the page
"$REPRISE" replay "$tmp/long.trace" --tier rproxy --http "$http" -o "$tmp/m.run" --json \
    --metrics 127.0.0.1:0 >"$tmp/m.out" 2>"$tmp/m.err" &
replayer=$!
pids+=("$replayer")
wait_for "the page's address" grep -q ' metrics at http://.*/metrics$' "$tmp/m.err"
url=$(sed -n 's,.* metrics at \(http://.*\)$,\1,p' "$tmp/m.err")
address=${url#http://}
address=${address%/metrics}
# Somebody who says nothing, and somebody who does not stop talking.
exec 7<>"/dev/tcp/${address/:/\/}"
head -c 100000 /dev/zero 2>/dev/null | timeout 2 bash -c "cat >/dev/tcp/${address/:/\/}" 2>/dev/null
same "$(curl -s --retry 5 --retry-all-errors -o /dev/null -w '%{http_code}' "http://$address/other")" 404 "another page"
counts_a_hundred() {
    curl -sf --retry 5 --retry-all-errors -o "$tmp/page" "$url" || { fail "the page: curl ended with $?"; finish; }
    grep -q 'outcome="ok"} [1-9][0-9][0-9]' "$tmp/page"
}
wait_for "a page that counts enough to be judged" counts_a_hundred
cat >"$tmp/check.py" <<'PYTHON'
import sys
from prometheus_client.parser import text_string_to_metric_families as parse

families = {f.name: f for f in parse(open(sys.argv[1], encoding="utf-8").read())}
for f in families.values():
    assert f.documentation and f.type in ("counter", "gauge", "histogram"), f
    assert f.name.startswith("reprise_"), f.name
    for s in f.samples:
        if f.type == "counter":
            assert s.name.endswith("_total") and s.value >= 0, s
    if f.type == "histogram":
        assert f.name.endswith("_seconds"), f.name
        by_labels = {}
        for s in f.samples:
            rest = tuple(sorted((k, v) for k, v in s.labels.items() if k != "le"))
            by_labels.setdefault(rest, {"bucket": []})
            part = s.name[len(f.name) + 1 :]
            if part == "bucket":
                by_labels[rest]["bucket"].append((float(s.labels["le"]), s.value))
            else:
                by_labels[rest][part] = s.value
        for rest, h in by_labels.items():
            bounds = [le for le, _ in h["bucket"]]
            counts = [n for _, n in h["bucket"]]
            assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), rest
            assert counts == sorted(counts) and counts[-1] == h["count"], rest
            assert h["sum"] >= 0, rest
ended = {s.labels["outcome"]: s.value for s in families["reprise_operations"].samples}
due = families["reprise_operations_due"].samples[0].value
flight = families["reprise_operations_in_flight"].samples[0].value
assert set(ended) <= {"ok", "http 503"} and ended["ok"] >= 100, ended
assert sum(ended.values()) <= due < 120000, (ended, due)
assert sum(s.value for s in families["reprise_health"].samples) == 1
lateness = families["reprise_lateness_seconds"].samples
assert {s.labels["cause"] for s in lateness} == {"generator", "back_pressure"}
PYTHON
"$python" "$tmp/check.py" "$tmp/page" || fail "the page"
kill -INT "$replayer"
wait "$replayer"
same "$?" 130 "the status of the run beside it"
exec 7>&-
same "$(jq -c '.operations | [.due + .never_due, .due - .ok - .failed - .stopped, .ok >= 100]' "$tmp/m.out")" \
    '[120000,0,true]' "the run beside it"
expect 64 "$REPRISE" replay "$tmp/t.trace" --tier rproxy --http "$http" -o "$tmp/n.run" --metrics 9464
err_has "--metrics '9464' is not HOST:PORT"
[ ! -e "$tmp/n.run" ] || fail "a run was left behind"

# --- the screen
expect 64 "$REPRISE" replay "$tmp/t.trace" --tier rproxy --http "$http" -o "$tmp/n.run" --live
err_has "--live needs a terminal"
enter=$'\e[?1049h' leave=$'\e[?1049l'
live() { # NAME TRACE, then how it ends: a command that finds the replay's process in $replayer
    local name=$1 trace=$2
    shift 2
    # Under `script` it has a terminal of its own; its process id is that of what exec'd it.
    script -qec "stty rows 20 cols 70; echo \$\$ >$tmp/pid; exec $REPRISE replay $tmp/$trace.trace \
        --tier rproxy --http $http -o $tmp/$name.run --live" /dev/null \
        >"$tmp/$name.screen" 2>&1 </dev/null &
    local scripted=$!
    wait_for "a screen" grep -qF "health  " "$tmp/$name.screen"
    replayer=$(cat "$tmp/pid")
    "$@"
    wait "$scripted"
    status=$?
    grep -qF "$enter" "$tmp/$name.screen" || fail "$name: no screen of its own"
    grep -qF "$leave" "$tmp/$name.screen" || fail "$name: the terminal was not given back"
    grep -qF "in flight" "$tmp/$name.screen" || fail "$name: nothing was shown"
}
twice() { kill -INT "$replayer"; kill -INT "$replayer"; }
live whole t true
same "$status" 0 "the whole run"
# The log's lines and the summary come behind the screen.
sed "s/.*$(printf '\e')\[?1049l//" "$tmp/whole.screen" | tr -d '\r' >"$tmp/after"
grep -q "info replay: first 'http 503'" "$tmp/after" || fail "the log was not shown at the end"
grep -q "operations  due 500" "$tmp/after" || fail "no summary behind the screen"
# No line is wider than the terminal.
widest=$(tr '\r' '\n' <"$tmp/whole.screen" | sed "s/$(printf '\e')\[[?0-9]*[a-zA-Z]//g" |
    grep -a "^reprise replay" | head -n 1 | awk '{ print length }')
[ "${widest:-71}" -le 70 ] || fail "a line is $widest wide"
once() { kill -"$1" "$replayer"; }
live stopped long once INT
same "$status" 130 "one Ctrl-C"
live ended long once TERM
same "$status" 130 "SIGTERM"
live left long twice
same "$status" 130 "two Ctrl-C"
finish
