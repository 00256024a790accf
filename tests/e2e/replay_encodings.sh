#!/usr/bin/env bash
# replay_encodings.sh - answers in encodings, of the target and of the trace, are read or not judged, and never wrong for it.
# shellcheck source=tests/cli/lib.sh
source "$(dirname "$0")/../cli/lib.sh"
need python3 zstd jq

python3 "$root/tests/e2e/encodings_peer.py" "$tmp/port" 2>"$tmp/peer.err" &
pids+=($!)
await_file "$tmp/port"

READ='plain gzip xgzip deflate bare zstd gzip-and-zstd bare-and-plain-and-gzip'
# trace OUT MODEL/RECORDED...: calls of these models, each with the answer of RECORDED as it was recorded; a "-" behind it:
# without a word of its encoding.
trace() {
    PYTHONPATH="$root/tests/e2e" python3 - "${@:2}" >"$tmp/t.jsonl" <<'END'
import base64, json, sys
from encodings_peer import encoded
for i, pair in enumerate(sys.argv[1:]):
    model, recorded = pair.split("/")
    names, body = encoded(recorded.removesuffix("-"))
    o = {"arrival_ns": i * 1000000, "protocol": "rest", "tier": "server", "name": model, "status": 200, "first_ns": 1, "last_ns": 2,
         "body": {"text": '{"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1,2]}]}'},
         "answer": {"base64": base64.b64encode(body).decode()}}
    if not recorded.endswith("-"):
        o["answer_encoding"] = names
    print(json.dumps(o))
END
    expect 0 "$REPRISE" import jsonl "$tmp/t.jsonl" -o "$tmp/$1.trace" --force --quiet
}
judge() { # STATUS TRACE OPTIONS...
    expect "$1" "$REPRISE" replay "$tmp/$2.trace" --tier server --http "127.0.0.1:$(cat "$tmp/port")" \
        -o "$tmp/x.run" --force --check recorded "${@:3}"
}
summary() { jq -c "$1" "$tmp/out"; }

# shellcheck disable=SC2046,SC2086  # words
trace live $(printf '%s/plain ' $READ) # the target's, by both engines
for engine in own curl; do
    judge 0 live --engine "$engine" --json
    same "$(summary '[.answers.right, .answers.unjudged]')" '[8,0]' "$engine"
done
# shellcheck disable=SC2046,SC2086  # words
trace told $(printf 'plain/%s ' $READ gzip-) # the trace's
judge 0 told --json
same "$(summary '[.answers.right, .answers.unjudged]')" '[9,0]' "recorded in encodings"

# What nobody here can read is not judged, and counted with its reason.
trace no br/plain gzip-and-odd/plain bomb/plain plain/br plain/odd plain/cut plain/bomb plain/bare-
judge 0 no --json
same "$(summary '[.answers.right, .answers.wrong, .answers.unjudged, ([.answers.unjudged_reasons[].count] | add)]')" '[0,0,8,8]'
jq -r '.answers.unjudged_reasons[] | "\(.count): \(.reason)"' "$tmp/out" | sort >"$tmp/reasons"
diff - "$tmp/reasons" <<'END' || fail 'other reasons'
1: it would become too large, decoded
1: the recorded answer is no V2 answer; it may be in an encoding that the trace does not tell
1: the recorded answer is not what its encoding says
1: the recorded answer would become too large, decoded
2: it is in an encoding that is not known
2: the recorded answer is in an encoding that is not known
END
"$REPRISE" trace info "$tmp/x.run" --json | jq -r '.notes["check.unjudged.reasons"]' | sort | diff "$tmp/reasons" - || fail 'other reasons in the run'
err_has "--check judged none of 8 answers: it is in an encoding that is not known"
# An answer that is not what it says is a wrong one: no client could read it.
trace wrong cut/plain plain/br
judge 3 wrong
out_has 'answers     right 0, wrong 1, another operation'
out_has 'not judged 1: the recorded answer is in an encoding that is not known'
err_has 'it is no gzip, or not all of it'
finish
