"""config.py LISTEN ADMIN MODEL=REST,GRPC... - prints a configuration for Envoy.

The listener routes as SCv2's does: by the header seldon-model (taken from the path where it
is absent), never for a request that brings x-seldon-route; it replaces
seldon-internal-model, answers x-seldon-route, and retries 5xx and failed connects five
times from 0.5 s. LISTEN, ADMIN, REST and GRPC are loopback ports.

In SCv2 the agent's reverse proxy behind Envoy puts the internal name into path and
message. There is none here: the route rewrites the path, and gRPC messages must bring the
internal name.

SPDX-License-Identifier: Apache-2.0
"""

import json
import sys

VERSION = 1  # of every model: first loads of models that were never edited
TYPE = "type.googleapis.com/envoy.extensions."

# Fills in seldon-model from the path, when the client names the model only there.
LUA = """
function envoy_on_request(handle)
  local headers = handle:headers()
  if headers:get("seldon-model") or headers:get("seldon-internal-model") then
    return
  end
  local path = headers:get(":path") or ""
  local model = path:match("^/v2/models/([^/?]+)")
  local pipeline = path:match("^/v2/pipelines/([^/?]+)/")
  if model then
    headers:add("seldon-model", model)
  elseif pipeline then
    headers:add("seldon-model", pipeline .. ".pipeline")
  end
end
"""


def address(port: int) -> dict:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def route(model: str, protocol: str) -> dict:
    internal = f"{model}_{VERSION}"
    action = {
        "cluster": f"{internal}_{protocol}",
        "timeout": "0s",
        "retry_policy": {
            "retry_on": "5xx,connect-failure",
            "num_retries": 5,
            "retry_back_off": {"base_interval": "0.5s"},
        },
    }
    if protocol == "http":
        action["regex_rewrite"] = {
            "pattern": {"regex": r"^/v2/models/[\w-]+(/versions/\w+)?"},
            "substitution": f"/v2/models/{internal}",
        }
    prefix = "/v2" if protocol == "http" else "/inference.GRPCInferenceService"
    return {
        "match": {
            "prefix": prefix,
            "headers": [
                {"name": "seldon-model", "string_match": {"exact": model}},
                {"name": "x-seldon-route", "present_match": False},
            ],
        },
        "request_headers_to_remove": ["seldon-internal-model"],
        "request_headers_to_add": [
            {"header": {"key": "seldon-internal-model", "value": internal}}
        ],
        "response_headers_to_add": [
            {"header": {"key": "x-seldon-route", "value": f":{internal}:"}}
        ],
        "route": action,
    }


def cluster(model: str, protocol: str, port: int) -> dict:
    name = f"{model}_{VERSION}_{protocol}"
    result = {
        "name": name,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_ONLY",
        "lb_policy": "LEAST_REQUEST",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [{"max_retries": 5}]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    }
    if protocol == "grpc":
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        result["typed_extension_protocol_options"] = {
            options: {
                "@type": f"type.googleapis.com/{options}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    return result


def listener(port: int, models: list[str]) -> dict:
    http_filters = [
        {
            "name": "envoy.filters.http.lua",
            "typed_config": {
                "@type": TYPE + "filters.http.lua.v3.Lua",
                "default_source_code": {"inline_string": LUA},
            },
        },
        {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": TYPE + "filters.http.router.v3.Router"},
        },
    ]
    routes = [route(m, protocol) for m in models for protocol in ("http", "grpc")]
    manager = {
        "@type": TYPE
        + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "seldon_http",
        "generate_request_id": False,
        "http_filters": http_filters,
        "route_config": {
            "virtual_hosts": [{"name": "seldon", "domains": ["*"], "routes": routes}]
        },
    }
    name = "envoy.filters.network.http_connection_manager"
    return {
        "name": "seldon_http",
        "address": address(port),
        "filter_chains": [{"filters": [{"name": name, "typed_config": manager}]}],
    }


def main() -> None:
    listen, admin, *pairs = sys.argv[1:]
    models = {}
    for pair in pairs:
        name, ports = pair.split("=")
        models[name] = tuple(map(int, ports.split(",")))
    clusters = [
        cluster(m, protocol, port)
        for m, ports in models.items()
        for protocol, port in zip(("http", "grpc"), ports)
    ]
    config = {
        "admin": {"address": address(int(admin))},
        "static_resources": {
            "listeners": [listener(int(listen), list(models))],
            "clusters": clusters,
        },
    }
    json.dump(config, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
