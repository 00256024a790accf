#!/usr/bin/env bash
# campaign: what would run, in which order, and what is refused.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

cat >"$tmp/plan.json" <<'PLAN'
{"trace": "some day.trace", "pairs": 3, "seed": 4,
 "replay": ["--speed", "2", "--connections", "recorded", "--check", "recorded:1e-6"],
 "arms": [{"name": "A", "replay": ["--tier", "envoy"]},
          {"name": "B", "version": "2.10.2", "replay": ["--tier", "rproxy"]}]}
PLAN

# A dry run prints every command, quoted so that a shell takes it, and runs none.
expect 0 "$REPRISE" campaign "$tmp/plan.json" -o "$tmp/runs" --dry-run
same "$(wc -l <"$tmp/out")" 6
same "$(grep -c -- '--label=arm=A' "$tmp/out")" 3
same "$(grep -c -- '--label=arm=B.*--label=version=2.10.2' "$tmp/out")" 3
out_has "replay 'some day.trace' --speed 2 --connections recorded --check recorded:1e-6 --tier rproxy --label=arm=B --label=pair=1 "
out_has "--output=$tmp/runs/003-A.run"
[ ! -e "$tmp/runs" ] || fail "a dry run made the folder"

# The order comes from the seed: again the same, with another seed another.
cp "$tmp/out" "$tmp/first"
expect 0 "$REPRISE" campaign "$tmp/plan.json" -o "$tmp/runs" -n
cmp -s "$tmp/first" "$tmp/out" || fail "the same plan gave another order"

expect 65 "$REPRISE" campaign /dev/null
err_has "plan '/dev/null': line 1, column 0"
expect 74 "$REPRISE" campaign "$tmp/none.json"
err_has "none.json"
expect 64 "$REPRISE" campaign
expect 64 "$REPRISE" campaign "$tmp/plan.json" --pears 3

# Runs of an earlier campaign are never overwritten.
mkdir "$tmp/runs" && : >"$tmp/runs/001-A.run"
expect 64 "$REPRISE" campaign "$tmp/plan.json" -o "$tmp/runs"
err_has "holds runs already"

# A campaign whose preparation fails runs nothing and says so.
sed 's/"pairs": 3/"before_run": ["false"], "pairs": 3/' "$tmp/plan.json" >"$tmp/prepared.json"
expect 69 "$REPRISE" campaign "$tmp/prepared.json" -o "$tmp/other"
err_has "before_run ended with exit status 1"
finish
