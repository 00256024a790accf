#!/usr/bin/env bash
# reprise import on the command line: real files, streams, statuses and messages.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$tmp" || exit 1
data=$root/tests/data

# An hour of conversations, plain, compressed and through a pipe.
expect 0 "$REPRISE" import azure-llm "$data/azure-conv-2023.csv.zst" --model-type iris,tfsimple -o a.trace
err_has "import: 19366 operations over 58.4 m to 'a.trace'"
err_has "no known grid; 0 % of 19366 rows repeat the time of the row before"
zstd -q -dc "$data/azure-conv-2023.csv.zst" >azure-conv-2023.csv.zst # the name is noted
expect 0 "$REPRISE" import azure-llm azure-conv-2023.csv.zst --model-type iris,tfsimple -o b.trace
cmp a.trace b.trace || fail "plain and compressed input gave different bytes"
gzip azure-conv-2023.csv.zst && mv azure-conv-2023.csv.zst.gz azure-conv-2023.csv.zst
expect 0 "$REPRISE" import azure-llm azure-conv-2023.csv.zst --model-type iris,tfsimple -o b.trace --force
cmp a.trace b.trace || fail "input in gzip gave different bytes"
"$REPRISE" import azure-llm - --model-type iris --quiet -o - <"$data/azure-code-2023-300.csv" >c.trace 2>err
same $? 0 "from a pipe into a pipe"
same "$(wc -c <err)" 0 "--quiet says nothing"
zstd -q -t c.trace || fail "a trace from a pipe is not whole"

# A time grid is never replayed silently.
moon=$data/mooncake-conversation-300.jsonl.zst
expect 65 "$REPRISE" import mooncake "$moon" -o no.trace
err_has "3 s grid: 100 % of 300 rows lie on it (within 1 ms), 88.3 % of those share a cell with the row before; say --spread uniform or --spread none"
[ -e no.trace ] && fail "a refused import left a file"
expect 0 "$REPRISE" import mooncake "$moon" --spread uniform -o d.trace
err_has "; spread uniformly within each cell"
expect 0 "$REPRISE" import mooncake "$moon" --spread uniform -o e.trace
cmp d.trace e.trace || fail "the same seed spread differently"
expect 0 "$REPRISE" import mooncake "$moon" --spread uniform --seed 2 -o f.trace
cmp -s d.trace f.trace && fail "another seed spread equally"
printf 'TIMESTAMP,ContextTokens,GeneratedTokens\n' >minute.csv
for i in 1 1 1 2 2 3 3 3 3 5; do echo "2024-05-01 00:0$i:00,10,10"; done >>minute.csv
expect 65 "$REPRISE" import azure-llm minute.csv -o no.trace
err_has "1 m grid: 100 % of 10 rows"

# Clients of ServeGen; a part is the same part of the whole.
expect 0 "$REPRISE" import servegen "$data/servegen-m-large-6x144.csv" --from 2h --duration 1h -o g.trace
err_has "import: "
expect 65 "$REPRISE" import servegen "$data/servegen-m-large-6x144.csv" --from 100h -o no.trace
err_has "no window with a rate above 0 in the span"

# Bad rows are named by file, line and reason.
{ head -n 40 "$data/azure-code-2023-300.csv"; echo '2023-11-16 18:19:00,nan,1'; } >bad.csv
expect 65 "$REPRISE" import azure-llm bad.csv -o no.trace
err_has "reprise import azure-llm: 'bad.csv': line 41: ContextTokens 'nan' is not a number of plain digits"
printf 'TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-01 00:00:09.5,1,1\n2024-05-01 00:00:01.25,1,1\n2024-05-01 00:00:02.125,1,1\n' >back.csv
expect 0 "$REPRISE" import azure-llm back.csv -o h.trace
err_has "1 rows came with an earlier time than the row before, by up to 8.25 s; sorted"
head -c 20000 "$data/azure-conv-2023.csv.zst" >cut.csv.zst
expect 65 "$REPRISE" import azure-llm cut.csv.zst -o no.trace
err_has "'cut.csv.zst': compressed data ends early at byte 20000"
head -c 3000000 /dev/zero >zero.csv
expect 65 "$REPRISE" import azure-llm zero.csv -o no.trace
err_has "line 1 is longer than 1048576 bytes"
expect 74 "$REPRISE" import mooncake nosuch.jsonl -o no.trace
err_has "opening 'nosuch.jsonl': No such file or directory"
expect 64 "$REPRISE" import mooncake "$moon"
err_has "-o FILE is missing"
expect 64 "$REPRISE" import burst "$moon"
err_has "unknown verb 'burst'"

# BurstGPT, as its two releases have it: sessions, elapsed times and failures; a grid of seconds.
printf '%s\n' 'Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type' \
    '5.25,s-9,1.5,ChatGPT,472,18,490,Conversation log' '4.125,,,GPT-4,1087,230,1317,API log' \
    '45.5,s-7,0.0005,ChatGPT,30,0,30,Conversation log' '118.0000000019,s-9,3,ChatGPT,417,276,693,Conversation log' >burst2.csv
expect 0 "$REPRISE" import burstgpt burst2.csv --model-type iris -o burst.trace
same "$(cat err)" "import: 4 operations over 1.9 m to 'burst.trace'
import: no known grid; 0 % of 4 rows repeat the time of the row before
import: 1 rows have no response tokens: failures
import: 1 rows came with an earlier time than the row before, by up to 1.12 s; sorted"
same "$("$REPRISE" trace cat --jsonl burst.trace | jq -c '[.arrival_ns, .client, .last_ns, .tokens_in, .tokens_out, .name, .flags]')" \
'[0,null,null,1087,230,"iris0",["synthetic"]]
[1125000000,0,1500000000,472,18,"iris0",["synthetic"]]
[41375000000,1,1000000,30,0,"iris0",["synthetic"]]
[113875000001,0,3000000000,417,276,"iris0",["synthetic"]]'
expect 0 "$REPRISE" import burstgpt burst2.csv --called ChatGPT --log-type conversation -o burst3.trace
err_has 'import: left out: 1 rows of another Model or Log Type'
same "$("$REPRISE" trace info burst3.trace --json | jq -r '.notes["import.options"] | fromjson | [.called, .log_type] | join(" ")')" 'ChatGPT conversation'
expect 65 "$REPRISE" import burstgpt burst2.csv --called Claude -o no.trace
err_has "'burst2.csv': no row of that Model and Log Type"
{ echo 'Timestamp,Model,Request tokens,Response tokens,Total tokens'; for i in 5 5 45 45 45 118 118 185 214; do echo "$i,GPT-4,7,8,15"; done; } >burst1.csv
expect 65 "$REPRISE" import burstgpt burst1.csv -o no.trace
err_has "reprise import burstgpt: 'burst1.csv': 1 s grid: 100 % of 9 rows lie on it (within 1 ms), 44.4 % of those share a cell with the row before; say --spread uniform or --spread none"
gzip burst1.csv
expect 0 "$REPRISE" import burstgpt burst1.csv.gz --spread uniform --from 40s -o burst4.trace
err_has "import: 7 operations over "
expect 65 "$REPRISE" import burstgpt burst1.csv.gz --log-type api -o no.trace
err_has "'burst1.csv.gz': the header has no column 'Log Type'"
burst() { printf 'Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens\n%s\n' "$1" >bad.csv; expect 65 "$REPRISE" import burstgpt bad.csv -o no.trace; err_has "reprise import burstgpt: 'bad.csv': $2"; }
burst 'x,,,m,1,1' "line 2: Timestamp 'x' is not a number of seconds"
burst '1,,-1,m,1,1' "line 2: Elapsed time '-1' is not a number of seconds"
burst '1,,4294968,m,1,1' 'line 2: Elapsed time of more than 49 days'
burst '1,,,m,1.5,1' "line 2: Request tokens '1.5' is not a number of plain digits"
burst '1,,,m,1' 'line 2: 5 columns, where the header has 6'
[ -e no.trace ] && fail "a refused import left a file"

finish
