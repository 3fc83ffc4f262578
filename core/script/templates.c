/* Templates: texts with variables, compiled to parts and written in a single pass. */

#include "core/script/script_internal.h"

#include "core/base/array.h"
#include "core/base/cursor.h"

struct weir_template {
    weir_str text; /* as written */
    weir_template_part *parts;
    size_t part_count;
    bool is_constant;
};

/* ---- compiling */

typedef struct {
    weir_conf *conf;
    weir_space *space;
    weir_array parts; /* of weir_template_part */
} compilation;

static weir_template_part *compile_part(compilation *c)
{
    weir_template_part *part = weir_array_push(&c->parts);

    if (part == NULL) {
        weir_conf_refuse(c->conf, "no memory for a text with variables");
        return NULL;
    }

    part->slot = -1;
    part->literal = WEIR_STR_EMPTY;
    return part;
}

static bool compile_literal(compilation *c, weir_str literal)
{
    weir_template_part *part;

    if (weir_str_is_empty(literal)) {
        return true;
    }

    part = compile_part(c);
    if (part == NULL) {
        return false;
    }

    part->literal = literal;
    return true;
}

static bool is_capture(weir_str name)
{
    return name.len == 1 && name.data[0] >= '1' && name.data[0] <= '9';
}

static bool compile_capture(compilation *c, char digit)
{
    weir_template_part *part = compile_part(c);

    if (part == NULL) {
        return false;
    }

    part->capture = (unsigned) (digit - '0');
    return true;
}

static bool compile_variable(compilation *c, weir_str name)
{
    weir_template_part *part = compile_part(c);

    if (part == NULL) {
        return false;
    }

    part->slot = weir_space_slot(c->conf, c->space, name);
    return part->slot >= 0;
}

static weir_str take_name(weir_cursor *at)
{
    weir_str rest = weir_cursor_rest(at), name;
    size_t len = 0;

    while (len < rest.len && weir_script_is_name_byte(rest.data[len])) {
        len++;
    }

    /* At most what is left: cannot fail. */
    return weir_cursor_take(at, len, &name) ? name : WEIR_STR_EMPTY;
}

/* What follows a "$". */
static bool compile_reference(compilation *c, weir_cursor *at)
{
    bool has_bracket = weir_cursor_skip(at, WEIR_STR("{"));
    weir_cursor before = *at;
    weir_str name;
    char first;

    /* "$12" is capture 1 and a "2": without brackets, captures have one digit. */
    if (!has_bracket && weir_cursor_peek(at, &first) && first >= '1' && first <= '9') {
        return weir_cursor_take_byte(&before, &first) && compile_capture(c, first)
               && weir_cursor_take_byte(at, &first);
    }

    name = take_name(at);
    if (has_bracket && !weir_str_is_empty(name) && !weir_cursor_skip(at, WEIR_STR("}"))) {
        return weir_conf_refuse(c->conf, "the closing bracket in \"%.*s\" variable is missing",
                                WEIR_STR_ARG(name));
    }
    if (weir_str_is_empty(name)) {
        return weir_conf_refuse(c->conf, "invalid variable name");
    }

    return is_capture(name) ? compile_capture(c, name.data[0]) : compile_variable(c, name);
}

static bool compile(compilation *c, weir_str text)
{
    weir_cursor at = weir_cursor_of(text);
    weir_str literal;

    while (weir_cursor_take_until(&at, '$', &literal)) {
        if (!compile_literal(c, literal) || !compile_reference(c, &at)) {
            return false;
        }
    }

    return compile_literal(c, weir_cursor_rest(&at));
}

weir_template *weir_template_new(weir_conf *conf, weir_space *space, weir_str text)
{
    weir_pool *pool = weir_conf_pool(conf);
    weir_template *template = WEIR_NEW(pool, weir_template);
    compilation c = {.conf = conf, .space = space};

    weir_array_init(&c.parts, pool, sizeof(weir_template_part), 1);
    if (template == NULL || !weir_str_copy(pool, text, &template->text)) {
        weir_conf_refuse(conf, "no memory for a text with variables");
        return NULL;
    }

    if (!compile(&c, template->text)) {
        return NULL;
    }

    template->parts = c.parts.items;
    template->part_count = c.parts.count;
    template->is_constant = weir_str_find_byte(text, '$') == NULL;
    return template;
}

const weir_template *weir_template_make(weir_conf *conf, const char *family, weir_str text)
{
    weir_space *space = weir_space_of(conf, family);

    return space == NULL ? NULL : weir_template_new(conf, space, text);
}

/* ---- at run time */

bool weir_template_is_constant(const weir_template *template, weir_str *text)
{
    if (template->is_constant && text != NULL) {
        *text = template->text;
    }

    return template->is_constant;
}

/* Segments "..", each of them whole. */
static size_t count_climbs(weir_str path)
{
    weir_str rest = path;
    weir_str segment;
    size_t count = 0;

    if (memmem(path.data, path.len, "..", 2) == NULL) {
        return 0;
    }
    while (weir_str_split(&rest, '/', &segment)) {
        count += weir_str_eq(segment, WEIR_STR("..")) ? 1 : 0;
    }
    return count;
}

/* What of a literal is whole segments, whatever stands before and behind it. */
static weir_str whole_segments(const weir_template *template, size_t part)
{
    weir_str text = template->parts[part].literal;

    while (part != 0 && text.len != 0 && text.data[0] != '/') {
        text = weir_str_from(text, 1);
    }
    while (part + 1 != template->part_count && text.len != 0 && text.data[text.len - 1] != '/') {
        text.len--;
    }
    return text;
}

bool weir_template_climbs(const weir_template *template, weir_str path)
{
    size_t count = count_climbs(path);

    if (count == 0) {
        return false;
    }
    if (template->is_constant) {
        return count > count_climbs(template->text);
    }
    for (size_t i = 0; i < template->part_count; i++) {
        size_t written = count_climbs(whole_segments(template, i));

        if (written >= count) {
            return false;
        }
        count -= written;
    }
    return true;
}

size_t weir_template_parts(const weir_template *template, const weir_template_part **parts)
{
    *parts = template->parts;
    return template->part_count;
}

bool weir_template_part_value(const weir_template_part *part, weir_script *script,
                              weir_value *value)
{
    if (part->slot >= 0) {
        return weir_script_get(script, part->slot, value);
    }

    if (part->capture == 0) {
        *value = (weir_value){.text = part->literal, .found = true};
    } else if (part->capture < script->capture_count) {
        *value = (weir_value){.text = script->captures[part->capture], .found = true};
    } else {
        *value = (weir_value){.text = WEIR_STR_EMPTY};
    }

    return true;
}

bool weir_template_write(const weir_template *template, weir_script *script, weir_builder *builder)
{
    const weir_template_part *part = template->parts;
    const weir_template_part *end = part + template->part_count;
    weir_value value;

    for (; part < end; part++) {
        if (!weir_template_part_value(part, script, &value)) {
            return false;
        }
        weir_builder_add(builder, value.text);
    }

    return true;
}

bool weir_template_text(const weir_template *template, weir_script *script, weir_str *text)
{
    weir_builder builder;
    weir_value value;

    if (template->is_constant) {
        *text = template->text;
        return true;
    }

    if (template->part_count == 1) {
        if (weir_template_part_value(template->parts, script, &value)) {
            *text = value.text;
            return true;
        }
    } else {
        weir_builder_open(&builder, script->pool, WEIR_TEMPLATE_MAX);
        if (weir_template_write(template, script, &builder) && weir_builder_close(&builder, text)) {
            return true;
        }
    }

    weir_log_line(script->log, WEIR_LOG_ERR, 0, "no memory for \"%.*s\", or it is over %d bytes",
                  WEIR_STR_ARG(template->text), WEIR_TEMPLATE_MAX);
    return false;
}

bool weir_template_is_true(const weir_template *template, weir_script *script)
{
    weir_str text;

    return weir_template_text(template, script, &text) && !weir_str_is_empty(text)
           && !weir_str_eq(text, WEIR_STR("0"));
}
