/*
 * show: variables for pages that show a request.
 *
 *     $request_head       the request line and the fields, as they came
 *     $html_NAME          the value of $NAME, escaped for HTML: what a client says cannot be markup
 *
 *     location /show { default_type text/html; return 200 "<pre>$html_request_head</pre>"; }
 */

#include "modules/http/engine/module.h"

static bool get_request_head(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_http_exchange *ex = script->subject;
    const weir_http_fields *fields = &ex->request.fields;
    weir_builder builder;

    (void) arg;
    weir_builder_open(&builder, script->pool, WEIR_TEMPLATE_MAX);
    weir_builder_add(&builder, ex->request.line);
    weir_builder_add_byte(&builder, '\n');
    for (size_t i = 0; i < fields->count; i++) {
        if (!fields->items[i].is_removed) {
            weir_builder_add(&builder, fields->items[i].text);
            weir_builder_add(&builder, WEIR_STR(": "));
            weir_builder_add(&builder, fields->items[i].value);
            weir_builder_add_byte(&builder, '\n');
        }
    }
    value->found = true;
    return weir_builder_close(&builder, &value->text);
}

static weir_str html_entity(char byte)
{
    switch (byte) {
    case '&':
        return WEIR_STR("&amp;");
    case '<':
        return WEIR_STR("&lt;");
    case '>':
        return WEIR_STR("&gt;");
    case '"':
        return WEIR_STR("&quot;");
    case '\'':
        return WEIR_STR("&#39;");
    default:
        return WEIR_STR_EMPTY;
    }
}

static bool get_html(weir_script *script, uintptr_t arg, weir_value *value)
{
    weir_builder builder;
    weir_value plain = {.found = false};

    if (!weir_script_find(script, *(const weir_str *) arg, &plain)) {
        return false;
    }
    weir_builder_open(&builder, script->pool, WEIR_TEMPLATE_MAX);
    for (size_t i = 0; i < plain.text.len; i++) {
        weir_str entity = html_entity(plain.text.data[i]);

        if (entity.len != 0) {
            weir_builder_add(&builder, entity);
        } else {
            weir_builder_add_byte(&builder, plain.text.data[i]);
        }
    }
    value->found = plain.found;
    return weir_builder_close(&builder, &value->text);
}

static const weir_variable show_variables[] = {
    {.name = "request_head", .get = get_request_head},
    {.name = "html_", .get = get_html, .is_prefix = true, .is_volatile = true},
    {0},
};

const weir_http_module weir_http_show = {
    .name = "http_show",
    .variables = show_variables,
};
