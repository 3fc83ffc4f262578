#ifndef WEIR_WAF_JSON_H
#define WEIR_WAF_JSON_H

#include "core/base/builder.h"

/* Writes JSON (RFC 8259) into a builder: commas are put where they belong.  `name` NULL: in a list. */
typedef struct {
    weir_builder *to;
    bool needs_comma;
} weir_waf_json;

void weir_waf_json_open(weir_waf_json *json, const char *name, char bracket);
void weir_waf_json_close(weir_waf_json *json, char bracket);
void weir_waf_json_text(weir_waf_json *json, const char *name, weir_str text);
void weir_waf_json_number(weir_waf_json *json, const char *name, int64_t number);
/* As it is: the caller knows that it is a number or a word of JSON. */
void weir_waf_json_word(weir_waf_json *json, const char *name, weir_str word);
/* A member whose name comes from outside. */
void weir_waf_json_member(weir_waf_json *json, weir_str name, weir_str text);

#endif
