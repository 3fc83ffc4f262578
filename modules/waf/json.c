#include "modules/waf/json.h"

#include "core/base/json.h"

static void begin(weir_waf_json *json, const char *name)
{
    if (json->needs_comma) {
        weir_builder_add_byte(json->to, ',');
    }
    if (name != NULL) {
        weir_json_write_string(json->to, weir_str_from_z(name));
        weir_builder_add_byte(json->to, ':');
    }
    json->needs_comma = true;
}

void weir_waf_json_open(weir_waf_json *json, const char *name, char bracket)
{
    begin(json, name);
    weir_builder_add_byte(json->to, bracket);
    json->needs_comma = false;
}

void weir_waf_json_close(weir_waf_json *json, char bracket)
{
    weir_builder_add_byte(json->to, bracket);
    json->needs_comma = true;
}

void weir_waf_json_text(weir_waf_json *json, const char *name, weir_str text)
{
    begin(json, name);
    weir_json_write_string(json->to, text);
}

void weir_waf_json_number(weir_waf_json *json, const char *name, int64_t number)
{
    begin(json, name);
    weir_builder_add_int(json->to, number);
}

void weir_waf_json_word(weir_waf_json *json, const char *name, weir_str word)
{
    begin(json, name);
    weir_builder_add(json->to, word);
}

void weir_waf_json_member(weir_waf_json *json, weir_str name, weir_str text)
{
    begin(json, NULL);
    weir_json_write_string(json->to, name);
    weir_builder_add_byte(json->to, ':');
    weir_json_write_string(json->to, text);
}
