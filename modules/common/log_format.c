#include "modules/common/log_format.h"

struct weir_log_format {
    const weir_space *space;
    weir_str name;
    weir_log_escape escape;
    const weir_template *template;
    struct weir_log_format *next;
};

static const char formats_key;

/* ---- reading */

const weir_log_format *weir_log_format_find(weir_conf *conf, const weir_space *space, weir_str name)
{
    for (const weir_log_format *format = weir_conf_kept(conf, &formats_key); format != NULL;
         format = format->next) {
        if (format->space == space && weir_str_eq(format->name, name)) {
            return format;
        }
    }
    return NULL;
}

static bool format_add(weir_conf *conf, weir_space *space, weir_str name, weir_log_escape escape,
                       weir_str text)
{
    weir_log_format *format = WEIR_NEW(weir_conf_pool(conf), weir_log_format);

    if (weir_log_format_find(conf, space, name) != NULL) {
        return weir_conf_refuse(conf, "duplicate \"log_format\" name \"%.*s\"", WEIR_STR_ARG(name));
    }
    if (format == NULL || !weir_str_copy(weir_conf_pool(conf), name, &format->name)) {
        return weir_conf_refuse(conf, "no memory for \"log_format\"");
    }
    format->space = space;
    format->escape = escape;
    format->template = weir_template_new(conf, space, text);
    if (format->template == NULL) {
        return false;
    }
    format->next = weir_conf_kept(conf, &formats_key);
    return weir_conf_keep(conf, &formats_key, format)
           || weir_conf_refuse(conf, "no memory for \"log_format\"");
}

bool weir_log_format_define(weir_conf *conf, weir_space *space, weir_str name, weir_str text)
{
    return format_add(conf, space, name, WEIR_LOG_ESCAPE_DEFAULT, text);
}

bool weir_log_format_call(weir_conf *conf, weir_space *space, const weir_statement *statement)
{
    weir_log_escape escape = WEIR_LOG_ESCAPE_DEFAULT;
    weir_builder builder;
    weir_str value, text;
    size_t first = 2;

    if (weir_conf_parameter(statement->args[2], "escape=", &value)) {
        if (weir_str_eq(value, WEIR_STR("json"))) {
            escape = WEIR_LOG_ESCAPE_JSON;
        } else if (weir_str_eq(value, WEIR_STR("none"))) {
            escape = WEIR_LOG_ESCAPE_NONE;
        } else if (!weir_str_eq(value, WEIR_STR("default"))) {
            return weir_conf_refuse_arg(conf, statement, 2, "unknown log format escaping \"%.*s\"",
                                        WEIR_STR_ARG(value));
        }
        first = 3;
    }

    weir_builder_open(&builder, weir_conf_temp_pool(conf), SIZE_MAX);
    for (size_t i = first; i < statement->count; i++) {
        weir_builder_add(&builder, statement->args[i]);
    }
    if (!weir_builder_close(&builder, &text)) {
        return weir_conf_refuse(conf, "no memory for \"log_format\"");
    }
    return format_add(conf, space, statement->args[1], escape, text);
}

/* ---- writing */

static void add_escaped(weir_builder *line, char byte, weir_log_escape escape)
{
    static const char upper[] = "0123456789ABCDEF";
    unsigned char number = (unsigned char) byte;
    char text[6] = {'\\', 'x', upper[number >> 4], upper[number & 15]};
    size_t len = 4;

    if (escape == WEIR_LOG_ESCAPE_JSON) {
        static const char named[] = {
            ['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\t'] = 't',
            ['\n'] = 'n', ['\f'] = 'f',  ['\r'] = 'r',
        };

        if (number < sizeof(named) && named[number] != 0) {
            text[1] = named[number];
            len = 2;
        } else {
            text[1] = 'u';
            text[2] = text[3] = '0';
            text[4] = upper[number >> 4];
            text[5] = upper[number & 15];
            len = 6;
        }
    }
    weir_builder_add(line, weir_str_of(text, len));
}

static bool needs_escape(char byte, weir_log_escape escape)
{
    unsigned char number = (unsigned char) byte;

    return byte == '"' || byte == '\\' || number < 0x20
           || (escape == WEIR_LOG_ESCAPE_DEFAULT && number > 0x7e);
}

static void add_text(weir_builder *line, weir_log_escape escape, weir_str text)
{
    size_t from = 0;

    if (escape == WEIR_LOG_ESCAPE_NONE) {
        weir_builder_add(line, text);
        return;
    }
    /* Most values have nothing to escape: they are added whole. */
    for (size_t i = 0; i < text.len; i++) {
        if (needs_escape(text.data[i], escape)) {
            weir_builder_add(line, weir_str_slice(text, from, i));
            add_escaped(line, text.data[i], escape);
            from = i + 1;
        }
    }
    weir_builder_add(line, weir_str_from(text, from));
}

bool weir_log_format_write(const weir_log_format *format, weir_script *script, weir_builder *line)
{
    const weir_template_part *parts;
    size_t count = weir_template_parts(format->template, &parts);

    for (size_t i = 0; i < count; i++) {
        weir_value value;

        if (parts[i].slot < 0 && parts[i].capture == 0) {
            weir_builder_add(line, parts[i].literal);
            continue;
        }
        if (!weir_template_part_value(&parts[i], script, &value)) {
            return false;
        }
        if (!value.found) {
            if (format->escape == WEIR_LOG_ESCAPE_DEFAULT) {
                weir_builder_add_byte(line, '-');
            }
            continue;
        }
        add_text(line, format->escape, value.text);
    }
    return true;
}
