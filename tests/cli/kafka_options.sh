#!/usr/bin/env bash
# The options of replay's tier kafka: what belongs to it, what does not, and what is secret.
. "$(dirname "$0")/lib.sh"

refused() { # WORDS OPTION...
    local words=$1; shift
    expect 64 "$REPRISE" replay "$tmp/no.trace" "$@"
    err_has "$words"
}
expect 0 "$REPRISE" replay --help
out_has "--kafka BROKERS"
out_has "--kafka-keys RELEASE"
out_has "--topic-prefix TEXT"

refused "no target: --tier kafka needs --kafka BROKERS" --tier kafka
for option in kafka=h:1 kafka-option=a=b kafka-keys=2.8 topic-prefix=x namespace=x; do
    refused "--${option%%=*} needs --tier kafka" --http h:1 "--$option"
done
for option in http=h:1 grpc=h:1 connections=3 connections=recorded grpc-connections=3 streams=3 \
    requests-per-connection=3 header-file=f bearer-file=f engine=curl request-ids=keep; do
    refused "--${option%%=*} has no meaning with --tier kafka" --tier kafka --kafka h:1 "--$option"
done
refused "where TLS is set by --kafka-option" --tier kafka --kafka h:1 --tls-ca f
refused "--tier kafka takes one worker" --tier kafka --kafka h:1 --workers 2
refused "--kafka-keys: '3.0'" --tier kafka --kafka h:1 --kafka-keys 3.0

expect 0 "$REPRISE" synth -o "$tmp/t.trace" --model-type iris --rate 10 --count 1 --duration 1h --quiet
for setting in retries=2 message.timeout.ms=5 enable.idempotence=true group.id=g test.mock.num.brokers=1 \
    plugin.library.paths=x; do
    expect 64 "$REPRISE" replay "$tmp/t.trace" --tier kafka --kafka 127.0.0.1:1 -o "$tmp/x.run" \
        --kafka-option "$setting"
    err_has "a replay decides that by itself"
done
expect 64 "$REPRISE" replay "$tmp/t.trace" --tier kafka --kafka 127.0.0.1:1 -o "$tmp/x.run" \
    --kafka-option sasl.password=hush
err_has "a secret comes from file:PATH or env:NAME"
grep -q hush "$tmp/err" && fail "a secret was printed"

# The stand-in's broker has topics for what is declared alone.
expect 64 "$REPRISE" standin --tier kafka
err_has "--tier kafka needs --model-type, --models or --pipeline"
expect 64 "$REPRISE" standin --kafka 127.0.0.1:1
err_has "--kafka needs --tier kafka"
expect 64 "$REPRISE" standin --tier kafka --model-type iris --http 127.0.0.1:0
err_has "--tier kafka takes no --http"
expect 64 "$REPRISE" standin --tier kafka --model-type iris --kafka-partitions 0
err_has "--kafka-partitions is between 1 and 64"
expect 64 "$REPRISE" standin --tier kafka --model-type iris --cross-rate 0.1
err_has "--close-rate and --cross-rate are not for --tier kafka"
finish
