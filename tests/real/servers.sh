# shellcheck shell=bash
# servers.sh - sourced: starts and stops Envoy, MLServer and Triton (parts.sh has them).
#
# Every server gets free loopback ports, is waited for until it is ready, and must itself
# own its ports before anything is sent to it. It runs in a process group of its own that
# dies with this script, whatever happens to it. What a server prints is in $run/NAME.log.

# shellcheck source=parts.sh
. "$(dirname "${BASH_SOURCE[0]}")/parts.sh"

run=$(mktemp -d)
declare -A server_pid=()
# shellcheck disable=SC2034  # also for those who source this
mlserver_ports=() triton_ports=() envoy_ports=() # see launch_NAME for their order
server_models="iris tfsimple add10 echo"

# Ends the process group of a server: SIGTERM, ten seconds, SIGKILL.
stop_server() {
    local name=$1 pid=${server_pid[$1]:-} i
    [ -n "$pid" ] || return 0
    unset "server_pid[$name]"
    kill -TERM -- "-$pid" 2>/dev/null
    for ((i = 0; i < 100; i++)); do
        kill -0 -- "-$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL -- "-$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    return 0
}

stop_servers() {
    local name
    for name in "${!server_pid[@]}"; do stop_server "$name"; done
}

# launch NAME COMMAND... : in the background, as leader of a group that is killed when this
# script is. (Not in a subshell: that one's end would count.)
launch() {
    local name=$1
    shift
    setpriv --pdeathsig TERM setsid "$@" >"$run/$name.log" 2>&1 </dev/null &
    server_pid[$name]=$!
}

# await NAME URL PORT... : until it owns its ports and URL answers 200, at most 3 minutes.
await() {
    local name=$1 url=$2 pid=${server_pid[$1]} end=$((SECONDS + 180))
    shift 2
    while [ "$SECONDS" -lt "$end" ]; do
        kill -0 "$pid" 2>/dev/null || return 1
        if "$python" "$real/ports.py" owned "$pid" "$@" \
            && [ "$(curl -s -m 10 -o /dev/null -w '%{http_code}' "$url")" = 200 ]; then
            return 0
        fi
        sleep 0.2
    done
    return 1
}

# start NAME COUNT : launch_NAME with COUNT free ports (kept in array NAME_ports). Ports can
# be taken by another between choice and use, so a start that fails is tried again.
start() {
    local name=$1 count=$2 try
    local -n ports=${1}_ports
    for try in 1 2 3; do
        read -r -a ports < <("$python" "$real/ports.py" free "$count")
        "launch_$name" "${ports[@]}" && return 0
        stop_server "$name"
        echo "check-real: $name did not start on ports ${ports[*]} (attempt $try)" >&2
        tail -n 5 "$run/$name.log" >&2
    done
    die "$name cannot be started"
}

# --- MLServer ---------------------------------------------------------------------------

# The models, under the names that SCv2 gives to their first versions inside.
mlserver_models() {
    local folder=$1 model implementation uri
    mkdir -p "$folder"
    "${part_dir[mlserver]}/bin/python" "$real/mlserver/train_iris.py" "$folder" || return 1
    for model in $server_models drip mute; do
        uri=
        case $model in
        iris) implementation=mlserver_sklearn.SKLearnModel uri=', "uri": "../model.joblib"' ;;
        tfsimple) implementation=scv2_models.TfSimple ;;
        add10) implementation=scv2_models.Add10 ;;
        echo) implementation=scv2_models.Echo ;;
        drip) implementation=scv2_models.Drip ;; # streams
        mute) implementation=scv2_models.Mute ;;
        esac
        mkdir -p "$folder/${model}_1"
        cat >"$folder/${model}_1/model-settings.json" <<EOF
{"name": "${model}_1", "implementation": "$implementation",
 "parameters": {"version": "1"$uri}}
EOF
    done
}

# parallel_workers is 0 for steadiness; SCv2 ships 1.
launch_mlserver() { # REST GRPC METRICS
    local folder=$run/mlserver
    [ -f "$folder/model.joblib" ] || mlserver_models "$folder" || return 1
    cat >"$folder/settings.json" <<EOF
{"host": "127.0.0.1", "http_port": $1, "grpc_port": $2, "metrics_port": $3,
 "parallel_workers": 0, "debug": false, "grpc_max_message_length": 1048576000}
EOF
    PYTHONPATH=$real/mlserver PYTHONDONTWRITEBYTECODE=1 \
        launch mlserver "${part_dir[mlserver]}/bin/python" -c 'from mlserver.cli import main; main()' \
        start "$folder"
    await mlserver "http://127.0.0.1:$1/v2/health/ready" "$@"
}

# --- Triton -----------------------------------------------------------------------------

triton_models() {
    local folder=$1 model
    for model in $server_models drip; do
        mkdir -p "$folder/${model}_1/1"
        cp "$real/triton/$model/config.pbtxt" "$folder/${model}_1/"
        cp "$real/triton/$model/model.py" "$folder/${model}_1/1/"
    done
    cp "$run/mlserver/iris.json" "$folder/iris_1/1/"
}

launch_triton() { # REST GRPC METRICS
    local server
    server=$(echo "${part_dir[triton]}"/lib/python*/site-packages/pytriton/tritonserver)
    [ -d "$run/triton" ] || triton_models "$run/triton" || return 1
    # Its python models find numpy through the python that comes first in PATH.
    PATH=${part_dir[triton]}/bin:$PATH PYTHONDONTWRITEBYTECODE=1 launch triton "$server/bin/tritonserver" \
        --model-repository="$run/triton" --backend-directory="$server/backends" \
        --cache-directory="$server/caches" --disable-auto-complete-config \
        --http-address=127.0.0.1 --grpc-address=127.0.0.1 --metrics-address=127.0.0.1 \
        --http-port="$1" --grpc-port="$2" --metrics-port="$3" \
        --backend-config=python,shm-default-byte-size=1048576
    await triton "http://127.0.0.1:$1/v2/health/ready" "$@"
}

# --- Envoy ------------------------------------------------------------------------------

# In front of MLServer, which SCv2 uses for iris and echo, and Triton, for the others.
launch_envoy() { # LISTEN ADMIN
    local m=${mlserver_ports[0]},${mlserver_ports[1]} t=${triton_ports[0]},${triton_ports[1]}
    "$python" "$real/envoy/config.py" "$1" "$2" "iris=$m" "echo=$m" "tfsimple=$t" "add10=$t" \
        >"$run/envoy.json" || return 1
    # Hot restart would leave files in /dev/shm and tie Envoy's life to its first process.
    launch envoy "${part_dir[envoy]}"/lib/python*/site-packages/envoy/_bin/envoy -c "$run/envoy.json" \
        --disable-hot-restart --concurrency 1 -l warning
    await envoy "http://127.0.0.1:$2/ready" "$@"
}
