#!/usr/bin/env bash
# generate.sh DIR | --check - makes inference.pb-c.[ch] from inference.proto with protobuf-c.
# With DIR it writes there; --check makes them in a scratch folder and fails where they
# differ from what is committed. Which protoc-c made the committed ones stands in their head.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

generate() { # into a folder
    local name
    (cd "$here" && protoc-c --c_out="$1" inference.proto)
    for name in inference.pb-c.h inference.pb-c.c; do
        {
            echo "/* Do not edit: made from traces/gen/inference.proto by traces/gen/generate.sh"
            echo " * ($(protoc-c --version | tr '\n' ' ' | sed 's/ *$//')). */"
            cat "$1/$name"
        } >"$1/$name.new"
        mv "$1/$name.new" "$1/$name"
    done
}

command -v protoc-c >/dev/null || {
    echo "generate.sh: protoc-c is missing (Debian packages protobuf-c-compiler, protobuf-compiler)" >&2
    exit 69
}
case "${1:-}" in
--check)
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    generate "$scratch"
    for name in inference.pb-c.h inference.pb-c.c; do
        diff -u "$here/$name" "$scratch/$name" || {
            echo "generate.sh: $name is not what inference.proto gives: run make gen" >&2
            exit 1
        }
    done ;;
'' | -*)
    echo "usage: $0 DIR | --check" >&2
    exit 64 ;;
*) generate "$(cd "$1" && pwd)" ;;
esac
