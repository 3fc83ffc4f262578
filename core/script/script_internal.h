#ifndef WEIR_SCRIPT_SCRIPT_INTERNAL_H
#define WEIR_SCRIPT_SCRIPT_INTERNAL_H

#include "core/script/script.h"

/*
 * Lives on the stack while a variable is evaluated.  Captures are copied to it only when a regex
 * matches meanwhile, which few variables do.
 */
struct weir_script_frame {
    bool has_captures;
    unsigned capture_count;
    weir_str captures[WEIR_CAPTURES_MAX];
};

/* To be called before the script's captures are changed. */
void weir_script_save_captures(weir_script *script);

/* What core/script keeps with a configuration. */
typedef struct {
    weir_map *spaces;                 /* by family */
    struct weir_regex_engine *engine; /* see regex.c; NULL: no regex yet */
} weir_scripting;

/* Made at first use; NULL: refused. */
weir_scripting *weir_scripting_of(weir_conf *conf);

static inline bool weir_script_is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

#endif
