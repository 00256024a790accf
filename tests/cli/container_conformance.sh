#!/usr/bin/env bash
# container_conformance.sh - pairs of a file and the JSON of its records, made on the spot: what
# the second writer writes is read by the program, and what the program writes by the second reader.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

python=python3
"$python" -c 'import xxhash, zstandard' 2>/dev/null || python=/usr/bin/python3
"$python" -c 'import xxhash, zstandard' 2>/dev/null ||
    { echo "python3-xxhash and python3-zstandard are missing"; exit 77; }
export PYTHONDONTWRITEBYTECODE=1

"$python" "$root/tests/decoder/conformance.py" "$REPRISE" "$tmp" "$root/tests/golden/container" ||
    fail 'the readers and writers do not agree'
"$python" "$root/tests/decoder/malformed.py" "$REPRISE" "$tmp" || fail 'a malformed file is not refused as it must be'
finish
