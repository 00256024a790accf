#!/usr/bin/env bash
# reprise import csv: tables as RFC 4180 has them, columns, units, grids, hostile files.
# one thread
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$tmp" || exit 1
ops() { "$REPRISE" trace cat --jsonl "$1" | jq -c "$2"; }

# --- what a table can say
mkdir bodies && printf 'from a file' >bodies/one
printf '\xef\xbb\xbfarrival,model,protocol,tier,method,path,content_type,content_encoding,body,body_base64,body_file,id,connection,client,tokens_in,tokens_out,status,grpc_status,first,last,header:X-Team,header:Authorization,note\r
1700000000.000000001,iris.model,rest,envoy,PUT,/v2/models/x/infer?a=1,text/plain,gzip,"{""a"": ""1,
2""}",,,r-1,tcp 4,alice,7,9,200,,1.5,2.000001,blue,Bearer hunter2,x\r
\r
1700000000.25,p.pipeline,grpc,rproxy,,,,,,CgVhZGQxMA==,,,tcp 9,bob,,,200,0,,3,,,\r
1700000000.125,,,,,https://h:80/v2/models/add10/versions/1/infer,,,,,one,,tcp 4,bob,,,,,,,,,\r
1700000000.3,,,,GET,/metrics,,,,,,,,,,,,,,,,,"last"' >all.csv
expect 0 "$REPRISE" import csv all.csv --unit s --unix --tier server --body-dir bodies -o all.trace
same "$(cat err)" "import: 3 operations over 250 ms to 'all.trace', 2 answered
import: left out: 1 calls that are no V2 inference (the first: line 7)
import: 1 headers denied
import: 1 paths lost their query
import: columns that are not read: note
import: 1 came with an earlier time than the one before, by up to 125 ms; sorted"
same "$(ops all.trace '[.arrival_ns, .protocol, .tier, .resource, .name, .method, .path, .content_type, .content_encoding, .body.text, .id]')" \
'[0,"rest","envoy","model","iris","PUT","/v2/models/x/infer","text/plain","gzip","{\"a\": \"1,\n2\"}","r-1"]
[124999999,"rest","server","model","add10","POST","/v2/models/add10/versions/1/infer","application/json",null,"from a file",null]
[249999999,"grpc","rproxy","pipeline","p",null,null,null,null,"\n\u0005add10",null]'
same "$(ops all.trace '[.connection, .client, .tokens_in, .tokens_out, .status, .grpc_status, .first_ns, .last_ns, .headers]')" \
'[0,0,7,9,200,null,1500000,2000001,[["x-team","blue"]]]
[0,1,null,null,null,null,null,null,null]
[1,1,null,null,200,0,null,3000000,null]'
! grep -q hunter2 all.trace || fail 'a credential is in the trace'
"$REPRISE" trace export all.trace | grep -q '"epoch_wall_ns":1700000000000000001,' || fail 'another epoch'

# Columns by other names, another separator, bodies that are made, kept queries.
printf 'start_time;req;ms\n2024-05-01T10:00:00.5Z;/v2/models/iris/infer?x=1;4.5\n2024-05-01 12:00:00+02:00;/v2/models/iris/infer;3\n' >log.csv
expect 0 "$REPRISE" import csv log.csv --unit calendar --separator semicolon --column arrival=start_time --column path=req -c last=ms \
    --model-type iris --make-bodies --keep-query -o log.trace
err_has 'import: 2 bodies were made, because the file has none'
same "$(ops log.trace '[.arrival_ns, .path, .model_type, .flags, .last_ns, (.body.text | fromjson | .inputs[0].name)]')" \
'[0,"/v2/models/iris/infer","iris",["synthetic"],3000000,"predict"]
[500000000,"/v2/models/iris/infer?x=1","iris",["synthetic"],4500000,"predict"]'
zstd -q log.csv -o log.csv.zst
expect 0 "$REPRISE" import csv log.csv.zst -u calendar --separator semicolon -c arrival=start_time -c path=req -q -o - >/dev/null
same "$(wc -c <err)" 0 '--quiet says nothing'
printf 'arrival\tmodel\tprotocol\tpath\n7\tm\tkafka\tseldon.default.model.m.inputs\n' | expect 0 "$REPRISE" import csv - -u ns --separator tab -o tab.trace
same "$(ops tab.trace '[.arrival_ns, .protocol, .name, .path]')" '[0,"kafka","m","seldon.default.model.m.inputs"]'
err_has '1 operations have no body'

# --- whole seconds, several rows to each: never replayed in silence
{ echo arrival,model,id; for i in $(seq 0 149); do echo "$((i / 5)),iris,r$i"; done; } >grid.csv
expect 65 "$REPRISE" import csv grid.csv --unit s -o no.trace
same "$(cat err)" "reprise import csv: 'grid.csv': 1 s grid: 100 % of 150 rows lie on it (within 1 ms), 80 % of those share a cell with the row before; say --spread uniform or --spread none"
[ ! -e no.trace ] || fail 'a refused import left a file'
expect 0 "$REPRISE" import csv grid.csv --unit s --spread none -o none.trace
expect 0 "$REPRISE" import csv grid.csv --unit s --spread uniform -o even.trace
err_has '; spread uniformly within each cell'
expect 0 "$REPRISE" import csv grid.csv --unit s --spread uniform -q -o again.trace
cmp even.trace again.trace || fail 'the same seed spread differently'
same "$(ops even.trace '[.flags, .id]' | sort | uniq -c | wc -l)" 150
same "$(ops even.trace .arrival_ns | sort -n | uniq | wc -l)" 150 'times'
same "$("$REPRISE" trace cat --jsonl even.trace | jq -s '.[0].arrival_ns as $a | [.[] | (.id[1:] | tonumber / 5 | floor)] == ([.[] | (.id[1:] | tonumber / 5 | floor)] | sort)')" true 'each stays in its second'
"$REPRISE" trace info even.trace --json | jq -e '.notes["import.grid"] | endswith("; spread: drawn uniformly from each cell")' >/dev/null || fail 'no note of the grid'
{ echo arrival,model; seq -f '%g,iris' 0 149; } >steady.csv
expect 0 "$REPRISE" import csv steady.csv --unit s -o steady.trace # a schedule, no bursts
err_has '1 s grid: 100 % of 150 rows lie on it (within 1 ms), 0 % of those share a cell'

# --- refused, with the line
refused() { # STATUS TEXT MESSAGE OPTION...
    local status=$1 message=$3
    printf '%b' "$2" >bad.csv
    shift 3
    expect "$status" "$REPRISE" import csv bad.csv -o no.trace --unit ms "$@"
    same "$(head -n 1 err)" "reprise import csv: $message"
    [ ! -e no.trace ] || fail 'a refused import left a file'
}
bad() { refused 65 "$1" "'bad.csv': $2" "${@:3}"; }
bad '' 'the file is empty'
bad 'model\n' "line 1: no column 'arrival'"
bad 'arrival\n' "line 1: neither a column 'model' nor 'path'"
bad 'arrival,model,model\n' "line 1: two columns 'model'"
bad 'arrival,model\n' 'no operation in it'
bad 'arrival,model\n1,a\n1,a,b\n' 'line 3: 3 cells, where the header has 2'
bad 'arrival,model\n"1,a\n' 'line 2: the file ends inside of quotes'
bad 'arrival,model\n1,a"b"\n' 'line 2: a quote inside of a cell that does not begin with one'
bad 'arrival,model\n"1"2,a\n' 'line 2: bytes behind a closing quote'
bad 'arrival,model\n1\r2,a\n' 'line 2: a carriage return without a line feed'
for n in -1 1e3 1. .5 0x1 99999999999999999999 2305843009214; do
    bad "arrival,model\n$n,a\n" "line 2: arrival '$n' is not a decimal number of up to 73 years"
done
bad 'arrival,model,protocol\n1,a,http\n' "line 2: protocol 'http' is not a name that is known"
bad 'arrival,model,protocol\n1,a,control\n' "line 2: protocol 'control' is not rest, grpc or kafka"
bad 'arrival,model,st\n1,a,999999\n' 'line 2: st 999999 is above 65535' -c status=st
bad 'arrival,model,body\n1,a,x\n' 'line 2: a message of grpc is no text: it belongs in body_base64 or body_file' --protocol grpc
bad 'arrival,model,body,body_base64\n1,a,x,eA==\n' 'line 2: more than one of body, body_base64, body_file'
bad 'arrival,model,body_base64\n1,a,?\n' 'line 2: body_base64: not base64 at byte 1'
for name in /etc/hostname ../bad.csv a/../../bad.csv ..; do
    bad "arrival,model,body_file\n1,a,$name\n" "line 2: body_file '$name' is not a file below --body-dir" --body-dir bodies
done
bad 'arrival,model\n1,a\n' 'line 2: no body, and no model type that is known to make one of' --make-bodies
refused 74 'arrival,model,body_file\n1,a,two\n' "'bad.csv': line 2: cannot open 'bodies/two': No such file or directory" --body-dir bodies
refused 64 'arrival,model,body_file\n1,a,one\n' "'bad.csv': line 2: the file names bodies: say --body-dir"
refused 64 'arrival,model\n1,a\n' "'bad.csv': --column 'path' is not OURS=THEIRS with a column of ours" --column path
refused 64 'arrival,model\n1,a\n' "--model-type 'rose' is none that is known" --model-type rose
expect 64 "$REPRISE" import csv all.csv -o no.trace
err_has '--unit is missing: are arrivals in ns, us, ms, s or calendar?'
finish
