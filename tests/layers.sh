#!/usr/bin/env bash
# shellcheck disable=SC2046  # lists of files are split on purpose: they have no blanks
# layers.sh - proves who may include whom, with grep.
#
#   main.c -> commands.h                 capture, replay, analysis, deploy -> themselves, traces
#   traces -> traces                     traces/base -> traces/base
#   nothing -> tests, deploy             third-party headers: only in the files listed here
#   foo_own.h: only in foo*, and in the files listed here
set -uf # -f: the patterns below are matched, never expanded
cd "$(dirname "$0")/.." || exit 1
bad=0
complain() { echo "layers: $1" >&2; bad=1; }

ours() { # files... -> "file included-path" for every quoted include
    grep -HoE '^ *# *include +"[^"]+"' "$@" /dev/null | sed -E 's/^([^:]+):.*"([^"]+)"/\1 \2/'
}
sources() { find "$@" -name '*.[ch]' 2>/dev/null; }

# Private headers that files of other names share.
private_users='
replay/engine/http1_engine_own.h replay/engine/http1_*.c
capture/parse_own.h capture/half.c capture/h1_*.h capture/h2_*.h capture/kafka_wire.h
traces/container/trc_reader_own.h traces/container/trc_audit.c traces/container/trc_open.c traces/container/trc_repair.c
traces/container/trc_writer_own.h traces/container/trc_repair.c
'

while read -r file header; do
    case $file in
    traces/gen/*) continue ;; # generated: includes its own header by its bare name
    main.c) allowed='commands.h' ;;
    commands.h | traces/base/*) allowed='traces/base/*' ;;
    traces/cmd_*) allowed='traces/* commands.h' ;;
    traces/*) allowed='traces/*' ;;
    capture/* | replay/* | analysis/* | deploy/*)
        allowed="${file%%/*}/* traces/* commands.h"
        case $file in */cmd_*) ;; *) allowed="${file%%/*}/* traces/*" ;; esac ;;
    *) allowed='' ;;
    esac
    ok=0
    for pattern in $allowed; do
        # shellcheck disable=SC2053  # the pattern is meant as one
        [[ $header == $pattern ]] && ok=1
    done
    [ $ok = 1 ] || complain "$file must not include \"$header\""
    case $header in
    traces/gen/*) [ "$file" = traces/payload/v2_proto.c ] ||
        complain "$file must not include \"$header\": only traces/payload/v2_proto.c may" ;;
    *_own.h) # what the files of one part share: foo_own.h is for foo*, unless the table says more
        while read -r private users; do
            [ "$private" = "$header" ] && break
            users=''
        done <<<"$private_users"
        ok=0
        for pattern in "${header%_own.h}*" $users; do
            # shellcheck disable=SC2053
            [[ $file == $pattern ]] && ok=1
        done
        [ $ok = 1 ] || complain "$file must not include \"$header\", which is private to others" ;;
    esac
    [ -f "$header" ] || complain "$file includes \"$header\", which is not a path from the root"
done < <(ours main.c commands.h $(sources traces capture replay analysis deploy))

# Which files may use which library.
while read -r header files; do
    while read -r user; do
        ok=0
        for pattern in $files; do
            # shellcheck disable=SC2053
            [[ $user == $pattern ]] && ok=1
        done
        [ $ok = 1 ] || complain "$user must not include <$header>"
        case $user in
        traces/gen/*) ;; # generated: its header cannot do without
        *.h) complain "$user is a header and must not include <$header>" ;;
        esac
    done < <(grep -lE "^ *# *include +<$header" $(sources traces capture replay analysis deploy) main.c commands.h 2>/dev/null)
done <<'TABLE'
zstd.h traces/container/* traces/wire/content_encoding.c traces/wire/content_stream.c
xxhash.h traces/container/* traces/op.c traces/outcome.c
jansson.h traces/* analysis/* deploy/* replay/campaign.c replay/search_probe.c
nghttp2/nghttp2.h deploy/standin/*
protobuf-c/protobuf-c.h traces/payload/v2_proto.c traces/gen/*
pcap capture/source_live.c
zlib.h traces/container/zin.c traces/tool/hdr.c traces/wire/content_encoding.c traces/wire/content_stream.c capture/kafka_inflate.c
curl/curl.h replay/engine/curl*.c
librdkafka/ replay/engine/kafka*.c capture/source_kafka.c traces/wire/kafka_conf.c deploy/standin/si_kafka.c
openssl/ traces/wire/secure.c
TABLE

# File names are unique in the tree.
sources traces capture replay analysis deploy | grep -v '^traces/gen/' | sed 's,.*/,,' | sort | uniq -d |
    while read -r name; do echo "layers: more than one file is called $name" >&2; exit 1; done || bad=1
exit $bad
