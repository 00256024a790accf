#!/usr/bin/env bash
# The golden payloads, computed once more by another program in another language.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
expect 0 python3 "$root/tests/golden/payload/oracle.py"
out_has "96 payloads are what they should be"

# A payload that is off by one digit must not pass.
cp "$root"/tests/golden/payload/* "$tmp"
sed -i 's/"97"\]/"98"]/' "$tmp/tfsimple_string.txt"
expect 1 python3 "$tmp/oracle.py"
err_has "AssertionError: tfsimple_string rest 1 constant"
finish
