/*
 * si_server.c - the inference server: MLServer 1.7.1, or Triton for the types that it
 * runs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "deploy/standin/si_tier.h"

#include <stdlib.h>
#include <string.h>

#include "traces/base/jsonw.h"

static bool is_triton(const struct si_model *m)
{
    return strcmp(m->type->server, "triton") == 0;
}

/* --- REST ---------------------------------------------------------------------- */

/* uvicorn's order: date, server, then what the application set. */
static void mlserver_head(struct si_world *w, struct si_call *c,
                          const char *content_type, bool length)
{
    struct si_fields *f = &c->reply.fields;
    struct arena *a = &c->arena;
    f->n = 0;
    si_fields_add(f, a, SPAN_LIT("date"), si_world_date(w, a));
    si_fields_add(f, a, SPAN_LIT("server"), SPAN_LIT("uvicorn"));
    if (length)
        si_fields_add(f, a, SPAN_LIT("content-length"),
                      si_text(a, "%zu", c->reply.body.n));
    if (content_type)
        si_fields_add(f, a, SPAN_LIT("content-type"), span_str(content_type));
}

static void mlserver_reply(struct si_world *w, struct si_call *c, uint16_t status,
                           const char *content_type, struct span body)
{
    c->reply.fate = SI_ANSWERED;
    c->reply.status = status;
    c->reply.grpc_status = SI_NO_GRPC;
    c->reply.body = body;
    mlserver_head(w, c, content_type, true);
}

static void mlserver_not_found(struct si_world *w, struct si_call *c)
{
    mlserver_reply(w, c, 404, "application/json",
                   SPAN_LIT("{\"detail\":\"Not Found\"}"));
}

static void mlserver_wrong_method(struct si_world *w, struct si_call *c,
                                  const char *allowed)
{
    struct si_fields *f = &c->reply.fields;
    mlserver_reply(w, c, 405, "application/json",
                   SPAN_LIT("{\"detail\":\"Method Not Allowed\"}"));
    /* In front of content-length and content-type. */
    struct op_header tail[2] = {f->v[2], f->v[3]};
    f->n = 2;
    si_fields_add(f, &c->arena, SPAN_LIT("allow"), span_str(allowed));
    for (int i = 0; i < 2; i++)
        si_fields_add(f, &c->arena, tail[i].name, tail[i].value);
}

/* {"MEMBER":"text"} with the text escaped. */
static struct span error_body(struct arena *a, const char *member, struct span text)
{
    struct buf b = {0};
    struct jsonw w = {.out = &b};
    jsonw_object(&w);
    jsonw_key(&w, member);
    jsonw_span(&w, text);
    jsonw_end(&w);
    struct span s = arena_dup(a, buf_view(&b));
    buf_done(&b);
    return s;
}

/* What a schema fault looks like: a list with place, message and type. */
static struct span schema_body(struct arena *a, struct span text)
{
    struct buf b = {0};
    struct jsonw w = {.out = &b};
    jsonw_object(&w);
    jsonw_key(&w, "detail");
    jsonw_array(&w);
    jsonw_object(&w);
    jsonw_key(&w, "loc");
    jsonw_array(&w);
    jsonw_str(&w, "body");
    jsonw_end(&w);
    jsonw_key(&w, "msg");
    jsonw_span(&w, text);
    jsonw_key_str(&w, "type", "value_error");
    jsonw_end(&w);
    jsonw_end(&w);
    jsonw_end(&w);
    struct span s = arena_dup(a, buf_view(&b));
    buf_done(&b);
    return s;
}

static void triton_reply(struct si_call *c, uint16_t status, struct span body)
{
    struct si_fields *f = &c->reply.fields;
    c->reply.fate = SI_ANSWERED;
    c->reply.status = status;
    c->reply.grpc_status = SI_NO_GRPC;
    c->reply.body = body;
    f->n = 0;
    si_fields_add(f, &c->arena, SPAN_LIT("Content-Type"), SPAN_LIT("application/json"));
    si_fields_add(f, &c->arena, SPAN_LIT("Content-Length"),
                  si_text(&c->arena, "%zu", body.n));
}

static void triton_ready(struct si_call *c)
{
    struct si_fields *f = &c->reply.fields;
    triton_reply(c, 200, (struct span){0});
    f->n = 0;
    si_fields_add(f, &c->arena, SPAN_LIT("Content-Length"), SPAN_LIT("0"));
    si_fields_add(f, &c->arena, SPAN_LIT("Content-Type"), SPAN_LIT("text/plain"));
}

static void rest_error(struct si_world *w, struct si_call *c, const struct si_model *m,
                       uint16_t status, struct span text)
{
    struct span body = error_body(&c->arena, "error", text);
    if (m && is_triton(m))
        triton_reply(c, status, body);
    else
        mlserver_reply(w, c, status, "application/json", body);
}

static void add_ce(struct si_fields *f, struct arena *a, struct span internal,
                   struct span id)
{
    si_fields_add(f, a, SPAN_LIT("ce-specversion"), SPAN_LIT("0.3"));
    si_fields_add(f, a, SPAN_LIT("ce-source"),
                  SPAN_LIT("io.seldon.serving.deployment.mlserver"));
    si_fields_add(f, a, SPAN_LIT("ce-type"),
                  SPAN_LIT("io.seldon.serving.inference.response"));
    si_fields_add(f, a, SPAN_LIT("ce-modelid"), internal);
    si_fields_add(f, a, SPAN_LIT("ce-inferenceservicename"), SPAN_LIT("mlserver"));
    si_fields_add(f, a, SPAN_LIT("ce-endpoint"), internal);
    if (id.n) {
        si_fields_add(f, a, SPAN_LIT("ce-id"), id);
        si_fields_add(f, a, SPAN_LIT("ce-requestid"), id);
    }
}

static void put_member(struct buf *b, const char *before, struct span text)
{
    struct jsonw w = {.out = b};
    buf_str(b, before);
    jsonw_span(&w, text);
}

/* An event of a stream carries inside what a single answer has as fields. */
static void put_event_headers(struct buf *b, struct span internal, struct span id)
{
    buf_str(b, ",\"parameters\":{\"headers\":{\"Ce-Specversion\":\"0.3\",\"Ce-Source\":"
               "\"io.seldon.serving.deployment.mlserver\",\"Ce-Type\":\"io.seldon."
               "serving.inference.response\"");
    put_member(b, ",\"Ce-Modelid\":", internal);
    buf_str(b, ",\"Ce-Inferenceservicename\":\"mlserver\"");
    put_member(b, ",\"Ce-Endpoint\":", internal);
    put_member(b, ",\"Ce-Id\":", id);
    put_member(b, ",\"Ce-Requestid\":", id);
    buf_str(b, "}}");
}

static struct span rest_body(struct arena *a, bool triton, bool stream,
                             struct span internal, struct span id, struct span outputs)
{
    struct buf b = {0};
    if (triton && id.n) {
        put_member(&b, "{\"id\":", id);
        put_member(&b, ",\"model_name\":", internal);
    } else {
        put_member(&b, "{\"model_name\":", internal);
    }
    buf_str(&b, ",\"model_version\":\"1\"");
    if (!triton && id.n)
        put_member(&b, ",\"id\":", id);
    if (stream)
        put_event_headers(&b, internal, id);
    else if (!triton)
        buf_str(&b, ",\"parameters\":{}");
    buf_str(&b, ",\"outputs\":");
    buf_span(&b, outputs);
    buf_u8(&b, '}');
    struct span s = arena_dup(a, buf_view(&b));
    buf_done(&b);
    return s;
}

static void rest_failed(struct si_world *w, struct si_call *c, const struct si_model *m,
                        const struct si_work *work)
{
    bool triton = is_triton(m);
    if (work->kind == SI_WORK_REFUSED) /* MLServer's codec misses tensors by itself */
        rest_error(w, c, m, triton || !work->tensors_in ? 400 : 500, work->text);
    else if (triton)
        rest_error(w, c, m, work->schema ? 400 : 500, work->text);
    else
        mlserver_reply(w, c, 422, "application/json",
                       schema_body(&c->arena, work->text));
}

static void stream_reply(struct si_world *w, struct si_call *c)
{
    struct si_reply *r = &c->reply;
    struct buf events = {0};
    for (uint32_t i = 0; i < w->stream_messages; i++) {
        buf_str(&events, "data: ");
        buf_span(&events, r->body);
        buf_str(&events, "\n\n");
    }
    r->body = arena_dup(&c->arena, buf_view(&events));
    buf_done(&events);
    r->chunked = r->streams = true;
    mlserver_head(w, c, "text/event-stream; charset=utf-8", false);
}

static void rest_infer(struct si_world *w, struct si_call *c, const struct si_model *m,
                       struct span internal, bool stream)
{
    bool triton = is_triton(m);
    struct span type = si_fields_get(&c->request.fields, "content-type");
    c->reply.served = true;
    if (c->mishap.status) {
        rest_error(w, c, m, c->mishap.status, SPAN_LIT("injected by the stand-in"));
        return;
    }
    bool json =
        !type.n || span_starts(si_lower_case(&c->arena, type), "application/json");
    bool binary =
        si_fields_count(&c->request.fields, "inference-header-content-length") > 0;
    if (triton && binary) {
        rest_error(w, c, m, 400, SPAN_LIT("the stand-in does not read binary tensors"));
        return;
    }
    if (!triton && !json && binary) {
        mlserver_reply(w, c, 500, "text/plain; charset=utf-8",
                       SPAN_LIT("Internal Server Error"));
        return;
    }
    if (!triton && !json) {
        mlserver_reply(w, c, 422, "application/json",
                       schema_body(&c->arena, SPAN_LIT("not a JSON content type")));
        return;
    }
    struct si_work work;
    struct err e = {0};
    if (si_work(w->works, &m->type, 1, triton ? SI_JSON_TRITON : SI_JSON_MLSERVER,
                c->request.body, &c->arena, &work, &e) < 0) {
        si_own_failure(c, &e);
        return;
    }
    if (work.kind != SI_WORK_OK) {
        rest_failed(w, c, m, &work);
        return;
    }
    struct span id =
        work.id.n || triton ? arena_dup(&c->arena, work.id) : si_uuid(w, &c->arena);
    struct span body = rest_body(&c->arena, triton, stream, internal, id, work.outputs);
    if (triton) {
        triton_reply(c, 200, body);
        return;
    }
    mlserver_reply(w, c, 200, "application/json", body);
    if (stream)
        stream_reply(w, c);
    else
        add_ce(&c->reply.fields, &c->arena, internal, id);
}

static void put_inputs(struct jsonw *j, const struct model_type *type)
{
    for (uint32_t i = 0; i < type->input_count; i++) {
        const struct mt_tensor *t = &type->inputs[i];
        jsonw_object(j);
        jsonw_key_str(j, "name", t->name);
        jsonw_key_str(j, "datatype", pay_type_names[t->type]);
        jsonw_key(j, "shape");
        jsonw_array(j);
        for (int d = 0; d < 4 && t->dims[d]; d++)
            jsonw_i64(j, t->dims[d]);
        jsonw_end(j);
        jsonw_end(j);
    }
}

/* MLServer's models tell no tensors; Triton's tell theirs (here: inputs). */
static void rest_metadata(struct si_world *w, struct si_call *c,
                          const struct si_model *m, struct span internal)
{
    struct buf b = {0};
    struct jsonw j = {.out = &b};
    bool triton = is_triton(m);
    jsonw_object(&j);
    jsonw_key(&j, "name");
    jsonw_span(&j, internal);
    jsonw_key(&j, "versions");
    jsonw_array(&j);
    if (triton)
        jsonw_str(&j, "1");
    jsonw_end(&j);
    jsonw_key_str(&j, "platform", "");
    jsonw_key(&j, "inputs");
    jsonw_array(&j);
    if (triton)
        put_inputs(&j, m->type);
    jsonw_end(&j);
    jsonw_key(&j, "outputs");
    jsonw_array(&j);
    jsonw_end(&j);
    if (!triton) {
        jsonw_key(&j, "parameters");
        jsonw_object(&j);
        jsonw_end(&j);
    }
    jsonw_end(&j);
    struct span body = arena_dup(&c->arena, buf_view(&b));
    buf_done(&b);
    if (triton)
        triton_reply(c, 200, body);
    else
        mlserver_reply(w, c, 200, "application/json", body);
}

static void rest_model(struct si_world *w, struct si_call *c,
                       const struct si_path *path, struct span internal)
{
    const struct si_request *q = &c->request;
    bool infer = span_eq_str(path->rest, "/infer");
    bool stream = span_eq_str(path->rest, "/infer_stream");
    bool ready = span_eq_str(path->rest, "/ready");
    if (!infer && !stream && !ready && path->rest.n) {
        mlserver_not_found(w, c);
        return;
    }
    const char *method = infer || stream ? "POST" : "GET";
    if (!span_eq_str(q->method, method)) {
        mlserver_wrong_method(w, c, method);
        return;
    }
    struct si_model m;
    if (!si_catalog_find_internal(&w->catalog, internal, &m)) {
        struct span text =
            si_text(&c->arena, "Model %.*s not found", SPAN_ARG(internal));
        rest_error(w, c, NULL, 404, text);
        return;
    }
    if (infer || stream)
        rest_infer(w, c, &m, internal, stream && !is_triton(&m));
    else if (ready && is_triton(&m))
        triton_ready(c);
    else if (ready)
        mlserver_reply(w, c, 200, NULL, (struct span){0});
    else
        rest_metadata(w, c, &m, internal);
}

/* Only declared models can be listed: those that exist by rule are without number. */
static struct span repository_index(struct si_world *w, struct arena *a)
{
    struct buf b = {0};
    struct jsonw j = {.out = &b};
    jsonw_array(&j);
    for (size_t i = 0; i < w->catalog.model_count; i++) {
        jsonw_object(&j);
        jsonw_key(&j, "name");
        jsonw_span(&j, si_internal_name(a, &w->catalog.models[i]));
        jsonw_key_str(&j, "version", "1");
        jsonw_key_str(&j, "state", "READY");
        jsonw_key_str(&j, "reason", "");
        jsonw_end(&j);
    }
    jsonw_end(&j);
    struct span s = arena_dup(a, buf_view(&b));
    buf_done(&b);
    return s;
}

static void rest_repository_model(struct si_world *w, struct si_call *c,
                                  struct span rest)
{
    size_t slash = span_find(rest, '/', 0);
    struct span name = span_sub(rest, 0, slash), verb = span_sub(rest, slash, rest.n);
    struct si_model m;
    if (!span_eq_str(verb, "/load") && !span_eq_str(verb, "/unload"))
        mlserver_not_found(w, c);
    else if (!span_eq_str(c->request.method, "POST"))
        mlserver_wrong_method(w, c, "POST");
    else if (!si_catalog_find_internal(&w->catalog, name, &m))
        rest_error(w, c, NULL, 404,
                   si_text(&c->arena, "Model %.*s not found", SPAN_ARG(name)));
    else
        mlserver_reply(w, c, 200, NULL, (struct span){0});
}

static void rest_server(struct si_world *w, struct si_call *c)
{
    static const char repository[] = "/v2/repository/models/";
    const struct si_request *q = &c->request;
    struct span path = span_sub(q->target, 0, span_find(q->target, '?', 0));
    bool index = span_eq_str(path, "/v2/repository/index");
    bool health =
        span_eq_str(path, "/v2/health/live") || span_eq_str(path, "/v2/health/ready");
    if (span_starts(path, repository)) {
        rest_repository_model(w, c, span_sub(path, sizeof repository - 1, path.n));
        return;
    }
    if (!index && !health && !span_eq_str(path, "/v2"))
        mlserver_not_found(w, c);
    else if (!span_eq_str(q->method, index ? "POST" : "GET"))
        mlserver_wrong_method(w, c, index ? "POST" : "GET");
    else if (index)
        mlserver_reply(w, c, 200, "application/json", repository_index(w, &c->arena));
    else if (health)
        mlserver_reply(w, c, 200, NULL, (struct span){0});
    else
        mlserver_reply(
            w, c, 200, "application/json",
            SPAN_LIT(
                "{\"name\":\"mlserver\",\"version\":\"1.7.1\",\"extensions\":[]}"));
}

void si_server_rest_as(struct si_world *w, struct si_call *c, struct span internal)
{
    struct si_path path;
    if (si_path_split(c->request.target, &path) && !path.pipelines)
        rest_model(w, c, &path, internal.n ? internal : path.name);
    else
        rest_server(w, c);
}

void si_server_rest(struct si_world *w, struct si_call *c)
{
    si_server_rest_as(w, c, (struct span){0});
}

/* --- gRPC ---------------------------------------------------------------------- */

static void grpc_head(struct si_call *c, bool triton)
{
    si_fields_add(&c->reply.fields, &c->arena, SPAN_LIT("content-type"),
                  SPAN_LIT("application/grpc"));
    si_fields_add(&c->reply.fields, &c->arena, SPAN_LIT("grpc-accept-encoding"),
                  SPAN_LIT("identity, deflate, gzip"));
    c->reply.grpc_has_message = !triton;
}

static void grpc_flag(struct si_call *c, bool flag)
{
    grpc_head(c, false);
    si_grpc_reply_one(c, si_proto_flag(&c->arena, flag));
}

static void reply_proto(struct si_call *c, struct buf *b)
{
    si_grpc_reply_one(c, buf_view(b));
    buf_done(b);
}

static void grpc_failed(struct si_call *c, const struct si_model *m,
                        const struct si_work *work)
{
    /* Refused tensors: INVALID_ARGUMENT at Triton, and at MLServer for missing ones. */
    bool argument =
        work->kind == SI_WORK_REFUSED && (is_triton(m) || !work->tensors_in);
    int code = argument ? SI_INVALID_ARGUMENT : SI_INTERNAL;
    si_reply_grpc(c, code, arena_dup(&c->arena, work->text));
}

/* Answers one message of ModelInfer or ModelStreamInfer into *answers; false after a
 * failure, which is the reply then. */
static bool grpc_infer_one(struct si_world *w, struct si_call *c,
                           const struct si_model *m, struct span internal,
                           struct span message, struct buf *answers)
{
    struct si_work work;
    struct err e = {0};
    if (si_work(w->works, &m->type, 1, SI_PROTO, message, &c->arena, &work, &e) < 0) {
        si_own_failure(c, &e);
        return false;
    }
    if (work.kind != SI_WORK_OK) {
        grpc_failed(c, m, &work);
        return false;
    }
    if (!answers->n) {
        grpc_head(c, is_triton(m));
        if (!is_triton(m))
            add_ce(&c->reply.trailers, &c->arena, internal,
                   arena_dup(&c->arena, work.id));
    }
    struct buf b = {0};
    si_proto_put_string(&b, 1, internal);
    si_proto_put_string(&b, 2, SPAN_LIT("1"));
    si_proto_put_string(&b, 3, work.id);
    buf_span(&b, work.outputs);
    si_grpc_put(answers, buf_view(&b));
    buf_done(&b);
    return true;
}

static bool grpc_find(struct si_world *w, struct si_call *c, struct span message,
                      struct span internal, struct span *name, struct si_model *m)
{
    *name = internal.n ? internal : si_proto_string(message, 1);
    if (si_catalog_find_internal(&w->catalog, *name, m))
        return true;
    si_reply_grpc(
        c, SI_NOT_FOUND,
        si_text(&c->arena, "Model %.*s with version  not found", SPAN_ARG(*name)));
    return false;
}

static bool grpc_infer_all(struct si_world *w, struct si_call *c, struct span internal,
                           bool stream, struct buf *answers)
{
    struct cursor body = cursor_of(c->request.body);
    struct span message, name;
    struct si_model m;
    while (si_grpc_next(&body, &message)) {
        if (!grpc_find(w, c, message, internal, &name, &m))
            return false;
        if (c->mishap.status) {
            si_reply_grpc(c, si_code_of_status(c->mishap.status),
                          SPAN_LIT("injected by the stand-in"));
            return false;
        }
        size_t before = answers->n;
        if (!grpc_infer_one(w, c, &m, name, message, answers))
            return false;
        if (!stream)
            return true;
        struct span one =
            arena_dup(&c->arena, span_of(answers->p + before, answers->n - before));
        for (uint32_t i = 1; i < w->stream_messages; i++)
            buf_span(answers, one);
    }
    return true;
}

static void grpc_infer(struct si_world *w, struct si_call *c, struct span internal,
                       bool stream)
{
    struct buf answers = {0};
    c->reply.served = true;
    if (grpc_infer_all(w, c, internal, stream, &answers)) {
        c->reply.streams = stream;
        if (answers.n)
            si_grpc_reply(c, buf_view(&answers));
        else
            c->reply.fate = SI_HANGS; /* a call without a message is never answered */
    }
    buf_done(&answers);
}

static void grpc_metadata(struct si_world *w, struct si_call *c, struct span message,
                          struct span internal)
{
    struct span name;
    struct si_model m;
    if (!grpc_find(w, c, message, internal, &name, &m))
        return;
    struct buf b = {0};
    si_proto_put_string(&b, 1, name);
    if (is_triton(&m))
        si_proto_put_string(&b, 2, SPAN_LIT("1"));
    for (uint32_t i = 0; is_triton(&m) && i < m.type->input_count; i++) {
        const struct mt_tensor *t = &m.type->inputs[i];
        struct buf tensor = {0}, shape = {0};
        si_proto_put_string(&tensor, 1, span_str(t->name));
        si_proto_put_string(&tensor, 2, span_str(pay_type_names[t->type]));
        for (int d = 0; d < 4 && t->dims[d]; d++)
            buf_varint(&shape, (uint64_t)(int64_t)t->dims[d]);
        si_proto_put_string(&tensor, 3, buf_view(&shape));
        si_proto_put_string(&b, 4, buf_view(&tensor));
        buf_done(&tensor);
        buf_done(&shape);
    }
    grpc_head(c, is_triton(&m));
    reply_proto(c, &b);
}

static void grpc_model_ready(struct si_world *w, struct si_call *c, struct span message,
                             struct span internal)
{
    struct span name = internal.n ? internal : si_proto_string(message, 1);
    struct si_model m;
    if (si_catalog_find_internal(&w->catalog, name, &m))
        grpc_flag(c, true);
    else /* not NOT_FOUND: so MLServer */
        si_reply_grpc(c, SI_UNKNOWN,
                      si_text(&c->arena,
                              "Unexpected <class 'mlserver.errors.ModelNotFound'>: "
                              "Model %.*s with version  not found",
                              SPAN_ARG(name)));
}

static void grpc_server_metadata(struct si_call *c)
{
    struct buf b = {0};
    si_proto_put_string(&b, 1, SPAN_LIT("mlserver"));
    si_proto_put_string(&b, 2, SPAN_LIT("1.7.1"));
    grpc_head(c, false);
    reply_proto(c, &b);
}

static void grpc_index(struct si_world *w, struct si_call *c)
{
    struct buf b = {0};
    for (size_t i = 0; i < w->catalog.model_count; i++) {
        struct buf entry = {0};
        si_proto_put_string(&entry, 1,
                            si_internal_name(&c->arena, &w->catalog.models[i]));
        si_proto_put_string(&entry, 3, SPAN_LIT("READY"));
        si_proto_put_string(&b, 1, buf_view(&entry));
        buf_done(&entry);
    }
    grpc_head(c, false);
    reply_proto(c, &b);
}

static void grpc_load(struct si_world *w, struct si_call *c, struct span message)
{
    struct span name = si_proto_string(message, 2);
    struct si_model m;
    if (si_catalog_find_internal(&w->catalog, name, &m))
        grpc_flag(c, false); /* an empty message */
    else
        si_reply_grpc(c, SI_NOT_FOUND,
                      si_text(&c->arena, "Model %.*s not found", SPAN_ARG(name)));
}

void si_server_grpc_as(struct si_world *w, struct si_call *c, struct span internal)
{
    struct span method = si_grpc_method(c->request.target), message = {0};
    bool infer = span_eq_str(method, "ModelInfer");
    bool stream =
        span_eq_str(method, "ModelStreamInfer") && w->release != SI_RELEASE_2_8;
    struct cursor body = cursor_of(c->request.body);
    bool has_message = si_grpc_next(&body, &message);
    if (infer || stream)
        grpc_infer(w, c, internal, stream);
    else if (!has_message)
        c->reply.fate = SI_HANGS;
    else if (span_eq_str(method, "ModelReady"))
        grpc_model_ready(w, c, message, internal);
    else if (span_eq_str(method, "ModelMetadata"))
        grpc_metadata(w, c, message, internal);
    else if (span_eq_str(method, "ServerLive") || span_eq_str(method, "ServerReady"))
        grpc_flag(c, true);
    else if (span_eq_str(method, "ServerMetadata"))
        grpc_server_metadata(c);
    else if (span_eq_str(method, "RepositoryIndex"))
        grpc_index(w, c);
    else if (span_eq_str(method, "RepositoryModelLoad") ||
             span_eq_str(method, "RepositoryModelUnload"))
        grpc_load(w, c, message);
    else
        si_reply_grpc(c, SI_UNIMPLEMENTED, SPAN_LIT("Method not found!"));
}

void si_server_grpc(struct si_world *w, struct si_call *c)
{
    si_server_grpc_as(w, c, (struct span){0});
}
