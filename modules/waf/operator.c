/* The table of operators, and what is common to all. */

#include "modules/waf/operator_internal.h"

#include "core/base/builder.h"

#define CALL_WORK 32

#define OPERATOR(name_, compile_, run_, macros_)                                                   \
    {                                                                                              \
        .name = WEIR_STR_INIT(name_), .compile = (compile_), .run = (run_),                        \
        .takes_macros = (macros_)                                                                  \
    }
#define REFUSED(name_, why_)                                                                       \
    {                                                                                              \
        .name = WEIR_STR_INIT(name_), .refusal = (why_)                                            \
    }

static const weir_waf_operator_kind kinds[] = {
    OPERATOR("beginsWith", NULL, weir_waf_run_begins, true),
    OPERATOR("contains", NULL, weir_waf_run_contains, true),
    OPERATOR("containsWord", NULL, weir_waf_run_contains_word, true),
    OPERATOR("detectSQLi", NULL, weir_waf_run_sqli, false),
    OPERATOR("detectXSS", NULL, weir_waf_run_xss, false),
    OPERATOR("endsWith", NULL, weir_waf_run_ends, true),
    OPERATOR("eq", weir_waf_number_compile, weir_waf_run_eq, true),
    OPERATOR("ge", weir_waf_number_compile, weir_waf_run_ge, true),
    OPERATOR("gt", weir_waf_number_compile, weir_waf_run_gt, true),
    OPERATOR("ipMatch", weir_waf_networks_compile, weir_waf_run_networks, false),
    OPERATOR("ipMatchF", weir_waf_networks_file_compile, weir_waf_run_networks, false),
    OPERATOR("ipMatchFromFile", weir_waf_networks_file_compile, weir_waf_run_networks, false),
    OPERATOR("le", weir_waf_number_compile, weir_waf_run_le, true),
    OPERATOR("lt", weir_waf_number_compile, weir_waf_run_lt, true),
    OPERATOR("noMatch", NULL, weir_waf_run_never, false),
    OPERATOR("pm", weir_waf_pm_compile, weir_waf_run_pm, false),
    OPERATOR("pmF", weir_waf_pm_file_compile, weir_waf_run_pm, false),
    OPERATOR("pmFromFile", weir_waf_pm_file_compile, weir_waf_run_pm, false),
    OPERATOR("rx", weir_waf_regex_compile, weir_waf_run_rx, false),
    OPERATOR("rxGlobal", weir_waf_regex_compile, weir_waf_run_rx_global, false),
    OPERATOR("strEq", NULL, weir_waf_run_equals, true),
    OPERATOR("strMatch", NULL, weir_waf_run_contains, true),
    OPERATOR("unconditionalMatch", NULL, weir_waf_run_always, false),
    OPERATOR("validateByteRange", weir_waf_byte_range_compile, weir_waf_run_byte_range, false),
    OPERATOR("validateUrlEncoding", NULL, weir_waf_run_url_encoding, false),
    OPERATOR("validateUtf8Encoding", NULL, weir_waf_run_utf8, false),
    OPERATOR("verifyCC", weir_waf_regex_compile, weir_waf_run_verify_cc, false),
    OPERATOR("verifyCPF", weir_waf_regex_compile, weir_waf_run_verify_cpf, false),
    OPERATOR("verifySSN", weir_waf_regex_compile, weir_waf_run_verify_ssn, false),
    OPERATOR("verifySVNR", weir_waf_regex_compile, weir_waf_run_verify_svnr, false),
    OPERATOR("within", NULL, weir_waf_run_within, true),

    REFUSED("fuzzyHash", "it takes a library of similarity digests that weir does not use"),
    REFUSED("geoLookup", "weir reads no database of places"),
    REFUSED("gsbLookup", "the service behind it no longer exists"),
    REFUSED("inspectFile", "weir runs no programs for requests"),
    REFUSED("rbl", "a request would wait for the answers of name servers"),
    REFUSED("rsub", "weir's engine does not rewrite bodies"),
    REFUSED("validateDTD", "weir reads no document type definitions"),
    REFUSED("validateHash", "weir signs no links"),
    REFUSED("validateSchema", "weir reads no XML schemas"),
};

bool weir_waf_operator_refuse(weir_waf_operator_build *build, size_t at, const char *format, ...)
{
    weir_builder message;
    va_list args;

    weir_builder_over(&message, build->message, sizeof(build->message) - 1);
    va_start(args, format);
    weir_builder_vprintf(&message, format, args);
    va_end(args);
    build->message[weir_builder_cut(&message).len] = '\0';
    build->at = at;
    return false;
}

bool weir_waf_operator_refuse_memory(weir_waf_operator_build *build)
{
    return weir_waf_operator_refuse(build, 0, "no memory");
}

static const weir_waf_operator_kind *kind_find(weir_str name)
{
    for (size_t i = 0; i < WEIR_COUNT(kinds); i++) {
        if (weir_str_eq_nocase(kinds[i].name, name)) {
            return &kinds[i];
        }
    }

    return NULL;
}

const weir_waf_operator *weir_waf_operator_new(weir_waf_operator_build *build, weir_str name,
                                               weir_str parameter)
{
    const weir_waf_operator_kind *kind = kind_find(name);
    weir_waf_operator *op;

    if (kind == NULL) {
        (void) weir_waf_operator_refuse(build, 0, "there is no operator \"@%.*s\"",
                                        WEIR_STR_ARG(name));
        return NULL;
    }
    if (kind->refusal != NULL) {
        (void) weir_waf_operator_refuse(build, 0, "\"@%.*s\" is not supported: %s",
                                        WEIR_STR_ARG(kind->name), kind->refusal);
        return NULL;
    }

    op = WEIR_NEW(build->pool, weir_waf_operator);
    if (op == NULL || !weir_str_copy(build->pool, parameter, &op->parameter)) {
        (void) weir_waf_operator_refuse_memory(build);
        return NULL;
    }

    op->kind = kind;
    return kind->compile == NULL || kind->compile(build, op) ? op : NULL;
}

weir_str weir_waf_operator_name(const weir_waf_operator *op)
{
    return op->kind->name;
}

weir_str weir_waf_operator_parameter(const weir_waf_operator *op)
{
    return op->parameter;
}

bool weir_waf_operator_takes_macros(const weir_waf_operator *op)
{
    return op->kind->takes_macros;
}

weir_waf_matched weir_waf_operator_run(const weir_waf_operator *op, weir_str value,
                                       weir_waf_run *run)
{
    run->captured = 0;
    run->work += CALL_WORK + value.len;
    if (value.data == NULL) {
        value.data = "";
    }
    return op->kind->run(op, value, run);
}

/* ---- facts for the prefilter */

static bool has_macro(const weir_waf_operator *op)
{
    return op->kind->takes_macros && weir_str_find(op->parameter, WEIR_STR("%{")) != NULL;
}

bool weir_waf_operator_pattern(const weir_waf_operator *op, weir_str *pattern)
{
    if (op->kind->compile != weir_waf_regex_compile) {
        return false;
    }

    *pattern = op->parameter;
    return true;
}

weir_str weir_waf_operator_prefix(const weir_waf_operator *op)
{
    return op->kind->compile == weir_waf_regex_compile && op->regex.shape == WEIR_WAF_REGEX_PREFIX
                   && op->regex.is_prefix_of_either_case
               ? op->regex.prefix
               : WEIR_STR_EMPTY;
}

bool weir_waf_operator_takes_anything(const weir_waf_operator *op)
{
    return op->kind->compile == weir_waf_regex_compile
           && op->regex.shape == WEIR_WAF_REGEX_ANYTHING;
}

bool weir_waf_operator_phrases(const weir_waf_operator *op, weir_waf_phrases *phrases)
{
    weir_waf_operator_runs *run = op->kind->run;

    if (run == weir_waf_run_pm) {
        *phrases = (weir_waf_phrases){op->phrases.texts, op->phrases.count};
        return true;
    }
    if (run != weir_waf_run_contains && run != weir_waf_run_contains_word
        && run != weir_waf_run_begins && run != weir_waf_run_ends && run != weir_waf_run_equals) {
        return false;
    }
    if (has_macro(op) || weir_str_is_empty(op->parameter)) {
        return false;
    }

    *phrases = (weir_waf_phrases){&op->parameter, 1};
    return true;
}

bool weir_waf_operator_bytes(const weir_waf_operator *op, weir_waf_bytes *bytes)
{
    weir_waf_operator_runs *run = op->kind->run;

    *bytes = (weir_waf_bytes){{0}};
    if (run == weir_waf_run_byte_range) {
        *bytes = op->bytes;
    } else if (run == weir_waf_run_url_encoding) {
        weir_waf_bytes_add(bytes, '%');
    } else if (run == weir_waf_run_utf8) {
        bytes->bits[2] = bytes->bits[3] = UINT64_MAX;
    } else if (run == weir_waf_run_sqli) {
        weir_waf_sqli_bytes(bytes);
    } else if (run == weir_waf_run_xss) {
        weir_waf_xss_bytes(bytes);
    } else {
        return run == weir_waf_run_never;
    }

    return true;
}
