#include "modules/waf/variables.h"

typedef struct {
    weir_str name;
    bool is_collection;
    weir_waf_variable_source source;
} variable_row;

enum { SCALAR = false, COLLECTION = true };

static const variable_row rows[] = {
#define VARIABLE_ROW(name, shape, source)                                                          \
    [WEIR_WAF_VAR_##name] = {WEIR_STR_INIT(#name), shape, WEIR_WAF_SOURCE_##source},
    WEIR_WAF_VARIABLES(VARIABLE_ROW)
#undef VARIABLE_ROW
};

/* Spellings of older versions. */
static const struct {
    weir_str name;
    weir_waf_variable variable;
} aliases[] = {
    {WEIR_STR_INIT("REQUEST_URI_PATH"), WEIR_WAF_VAR_REQUEST_FILENAME},
    {WEIR_STR_INIT("SCRIPT_FILENAME"), WEIR_WAF_VAR_REQUEST_FILENAME},
    {WEIR_STR_INIT("SCRIPT_BASENAME"), WEIR_WAF_VAR_REQUEST_BASENAME},
    {WEIR_STR_INIT("REQBODY_PROCESSOR_ERR"), WEIR_WAF_VAR_REQBODY_PROCESSOR_ERROR},
};

weir_str weir_waf_variable_name(weir_waf_variable variable)
{
    return rows[variable].name;
}

bool weir_waf_variable_is_collection(weir_waf_variable variable)
{
    return rows[variable].is_collection;
}

weir_waf_variable_source weir_waf_variable_source_of(weir_waf_variable variable)
{
    return rows[variable].source;
}

bool weir_waf_variable_find(weir_str name, weir_waf_variable *variable)
{
    for (size_t i = 0; i < WEIR_COUNT(rows); i++) {
        if (weir_str_eq_nocase(rows[i].name, name)) {
            *variable = (weir_waf_variable) i;
            return true;
        }
    }
    for (size_t i = 0; i < WEIR_COUNT(aliases); i++) {
        if (weir_str_eq_nocase(aliases[i].name, name)) {
            *variable = aliases[i].variable;
            return true;
        }
    }
    return false;
}
