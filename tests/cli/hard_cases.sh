#!/usr/bin/env bash
# Every test that tests/HARD_CASES.md names exists and is run, and no number is missing.
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2016  # the backquotes are those of the table
names=$(grep -oE '`[a-z0-9_]+`' "$root/tests/HARD_CASES.md" | tr -d '`' | grep _ | sort -u)
[ "$(wc -l <<<"$names")" -gt 60 ] || fail "only a few names were found"
for name in $names; do
    grep -qE "(cmocka_unit_test|TEST)\( *$name|^ +$name\)" "$root"/tests/unit/test_*.c ||
        fail "no unit test runs $name"
done
numbers=$(grep -oE '^\| [0-9][0-9, ]*' "$root/tests/HARD_CASES.md" | tr -c '0-9\n' '\n' | grep . | tr '\n' ' ')
same "$numbers" "$(seq 1 70 | tr '\n' ' ')" "numbers"
finish
