#include "modules/http/engine/engine_internal.h"

/*
 * Subrequests: an exchange whose wire is its parent.  Nothing of the client's connection is touched: the
 * response is for the module that asked, which pulls the body as the wire pulls the parent's.
 */

#define DEPTH_MAX 16
#define PULL_BYTES (4 * WEIR_BLOCK_BYTES)

static weir_result child_read_body(weir_http_exchange *ex, weir_chain *out, uint64_t limit)
{
    (void) out;
    (void) limit;
    ex->request.body_ended = true;
    return WEIR_OK;
}

static bool child_send_interim(weir_http_exchange *ex, unsigned status,
                               const weir_http_fields *fields)
{
    (void) ex;
    (void) status;
    (void) fields;
    return true;
}

static void child_finish(weir_http_exchange *ex)
{
    weir_http_exchange *parent = ex->parent;
    bool is_awaited = (ex->child_flags & WEIR_HTTP_CHILD_IN_BACKGROUND) == 0;

    ex->response.body_ended = true;
    /* The parent may end while it is told. */
    weir_list_remove(&ex->sibling);
    if (ex->child_done != NULL) {
        ex->child_done(ex);
    }
    weir_http_exchange_end(ex);
    if (!is_awaited) {
        weir_http_child_left(parent);
    }
}

static void child_respond(weir_http_exchange *ex)
{
    ex->response.head_is_sent = true;
    if ((ex->child_flags & WEIR_HTTP_CHILD_HEAD_ONLY) != 0) {
        child_finish(ex);
    } else {
        weir_http_wake(ex->parent);
    }
}

static void child_wake(weir_http_exchange *ex)
{
    weir_http_wake(ex->parent);
}

static void child_abort(weir_http_exchange *ex)
{
    weir_http_exchange *parent = ex->parent;
    bool is_pulled = (ex->child_flags & WEIR_HTTP_CHILD_HEAD_ONLY) == 0;

    ex->response.body_is_short = true;
    if (ex->response.status == 0) {
        ex->response.status = 500;
    }
    child_finish(ex);
    if (is_pulled) {
        weir_http_wake(parent);
    }
}

weir_result weir_http_child_pull(weir_http_exchange *child, weir_chain *out)
{
    weir_result result;
    bool ended;

    if (!child->response.head_is_sent) {
        return WEIR_WAIT;
    }
    result = weir_http_pull(child, out, PULL_BYTES, &ended);
    if (result == WEIR_FAIL || ended) {
        child->response.body_is_short = result == WEIR_FAIL;
        child_finish(child);
    }
    return result;
}

/* All of it is the parent's. */
static void child_ended(weir_http_exchange *ex)
{
    (void) ex;
}

static const weir_http_wire child_wire = {
    .name = "subrequest",
    .read_body = child_read_body,
    .send_interim = child_send_interim,
    .respond = child_respond,
    .wake = child_wake,
    .ended = child_ended,
    .abort = child_abort,
};

/* Framing is not copied: it says something of the parent's body. */
static bool copy_fields(weir_http_exchange *child, const weir_http_exchange *parent)
{
    for (size_t i = 0; i < parent->request.fields.count; i++) {
        const weir_http_field *field = &parent->request.fields.items[i];

        if (field->is_removed || field->name == WEIR_HTTP_CONTENT_LENGTH
            || field->name == WEIR_HTTP_TRANSFER_ENCODING || field->name == WEIR_HTTP_EXPECT) {
            continue;
        }
        if (!weir_http_fields_add_parsed(&child->request.fields, field->name, field->text,
                                         field->value)) {
            return false;
        }
    }
    return true;
}

static bool share_body(weir_http_exchange *child, const weir_http_exchange *parent)
{
    const weir_http_request *theirs = &parent->request;
    weir_http_request *own = &child->request;
    weir_builder builder;
    weir_str length;

    own->method = theirs->method;
    own->method_text = theirs->method_text;
    if (!theirs->has_body || !theirs->body_is_collected) {
        return true;
    }
    weir_builder_open(&builder, child->pool, 20);
    weir_builder_add_uint(&builder, theirs->body.len);
    own->has_body = true;
    own->body_is_collected = true;
    own->content_length = (int64_t) theirs->body.len;
    return weir_builder_close(&builder, &length)
           && weir_http_fields_add(&own->fields, WEIR_HTTP_CONTENT_LENGTH, length)
           && weir_chain_add_part(&own->body, &theirs->body, 0, theirs->body.len);
}

/* What is pulled of a child may lie in its pool, and waits in its parent's chains until the client has taken it. */
static bool keep(weir_http_exchange *child, weir_http_exchange *parent)
{
    if ((child->child_flags & WEIR_HTTP_CHILD_HEAD_ONLY) != 0) {
        return true;
    }
    child->is_kept = weir_pool_on_free(parent->pool, weir_http_exchange_parent_left, child) != NULL;
    return child->is_kept;
}

weir_http_exchange *weir_http_child_new(weir_http_exchange *parent, weir_str path, weir_str args,
                                        unsigned flags, void (*done)(weir_http_exchange *child),
                                        void *subject)
{
    weir_http_exchange *child;

    if (parent->depth >= DEPTH_MAX) {
        weir_log_line(&parent->log, WEIR_LOG_ERR, 0, "subrequests cycle while processing \"%.*s\"",
                      WEIR_STR_ARG(path));
        return NULL;
    }

    child = weir_http_exchange_new(parent->client, &child_wire, NULL);
    if (child == NULL) {
        return NULL;
    }

    child->parent = parent;
    child->main = parent->main;
    child->depth = parent->depth + 1;
    child->child_done = done;
    child->child_subject = subject;
    child->child_flags = flags;
    child->is_internal = true;
    weir_list_append(&parent->children, &child->sibling);

    /* The head is the parent's; fields are copied, so that the child may change its own. */
    child->request.method = WEIR_HTTP_GET;
    child->request.method_text = weir_http_method_text(WEIR_HTTP_GET);
    child->request.version = parent->request.version;
    child->request.line = parent->request.line;
    child->request.target = parent->request.target;
    child->request.host = parent->request.host;
    child->request.host_port = parent->request.host_port;
    child->request.scheme = parent->request.scheme;
    child->request.args = args;
    child->request.body_ended = true;
    weir_http_set_path(&child->request, path);
    if (!copy_fields(child, parent)
        || ((flags & WEIR_HTTP_CHILD_WITH_BODY) != 0 && !share_body(child, parent))
        || !keep(child, parent)) {
        weir_list_remove(&child->sibling);
        weir_chain_clear(&child->request.body);
        weir_pool_free(child->pool);
        return NULL;
    }
    weir_http_exchange_enter_server(child, parent->server);
    return child;
}

void weir_http_child_start(weir_http_exchange *child)
{
    weir_http_enter_phase(child, WEIR_HTTP_PHASE_SERVER_REWRITE);
    weir_http_resume(child);
}
