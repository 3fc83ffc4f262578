#include "modules/waf/transaction_internal.h"

/* Puts what the processor of a body finds where rules look for it. */

/*
 * "json.a.array_0" is also seen as the name "json.a": what rules look for at the end of a name stands there, whatever
 * kind of value follows.
 */
static bool add_array_name(weir_waf_transaction *tx, weir_str name)
{
    weir_str suffix = WEIR_STR(".array_0");

    if (!weir_str_ends(name, suffix)) {
        return true;
    }
    name = weir_str_slice(name, 0, name.len - suffix.len);
    return weir_waf_add(tx, WEIR_WAF_VAR_ARGS_POST_NAMES, name, name);
}

static bool take_argument(void *owner, weir_str name, weir_str value)
{
    weir_waf_transaction *tx = owner;

    if (!weir_waf_add_argument(tx, false, name, value)) {
        return !tx->is_exhausted;
    }
    return !tx->parses_json || add_array_name(tx, name);
}

static bool take_file(void *owner, const weir_waf_file *file)
{
    weir_waf_transaction *tx = owner;

    tx->files_bytes += file->size;
    return weir_waf_add(tx, WEIR_WAF_VAR_FILES, file->field, file->filename)
           && weir_waf_add(tx, WEIR_WAF_VAR_FILES_NAMES, file->field, file->field)
           && weir_waf_add(tx, WEIR_WAF_VAR_FILES_SIZES, file->field,
                           weir_waf_number_text(tx, (int64_t) file->size));
}

static bool take_part_header(void *owner, weir_str part, weir_str line)
{
    return weir_waf_add(owner, WEIR_WAF_VAR_MULTIPART_PART_HEADERS, part, line);
}

static bool take_attribute(void *owner, weir_str value)
{
    return weir_waf_add(owner, WEIR_WAF_VAR_XML, WEIR_STR("//@*"), value);
}

static bool take_character_data(void *owner, weir_str text)
{
    return weir_waf_add(owner, WEIR_WAF_VAR_XML, WEIR_STR("/*"), text);
}

static void set_flags(weir_waf_transaction *tx, const weir_waf_multipart *flags)
{
    const struct {
        weir_waf_variable variable;
        bool is_set;
    } rows[] = {
        {WEIR_WAF_VAR_MULTIPART_BOUNDARY_QUOTED, flags->boundary_quoted},
        {WEIR_WAF_VAR_MULTIPART_BOUNDARY_WHITESPACE, flags->boundary_whitespace},
        {WEIR_WAF_VAR_MULTIPART_DATA_BEFORE, flags->data_before},
        {WEIR_WAF_VAR_MULTIPART_DATA_AFTER, flags->data_after},
        {WEIR_WAF_VAR_MULTIPART_HEADER_FOLDING, flags->header_folding},
        {WEIR_WAF_VAR_MULTIPART_INVALID_HEADER_FOLDING, flags->invalid_header_folding},
        {WEIR_WAF_VAR_MULTIPART_LF_LINE, flags->lf_line},
        {WEIR_WAF_VAR_MULTIPART_CRLF_LF_LINES, flags->crlf_lf_lines},
        {WEIR_WAF_VAR_MULTIPART_MISSING_SEMICOLON, flags->missing_semicolon},
        {WEIR_WAF_VAR_MULTIPART_SEMICOLON_MISSING, flags->missing_semicolon},
        {WEIR_WAF_VAR_MULTIPART_INVALID_QUOTING, flags->invalid_quoting},
        {WEIR_WAF_VAR_MULTIPART_INVALID_PART, flags->invalid_part},
        {WEIR_WAF_VAR_MULTIPART_FILE_LIMIT_EXCEEDED, flags->file_limit_exceeded},
        {WEIR_WAF_VAR_MULTIPART_STRICT_ERROR, flags->strict_error},
    };

    for (size_t i = 0; i < WEIR_COUNT(rows); i++) {
        if (rows[i].is_set) {
            (void) weir_waf_set(tx, rows[i].variable, WEIR_STR("1"));
        }
    }
    (void) weir_waf_set_number(tx, WEIR_WAF_VAR_MULTIPART_UNMATCHED_BOUNDARY,
                               flags->unmatched_boundary);
    if (flags->name.len != 0) {
        (void) weir_waf_add(tx, WEIR_WAF_VAR_MULTIPART_NAME, flags->name, flags->name);
    }
    if (flags->filename.len != 0) {
        (void) weir_waf_add(tx, WEIR_WAF_VAR_MULTIPART_FILENAME, flags->name, flags->filename);
    }
}

static void set_report(weir_waf_transaction *tx, weir_waf_body_kind kind,
                       const weir_waf_body_report *report)
{
    if (report->failed) {
        weir_waf_body_is_wrong(tx, report->message);
    }
    if (report->urlencoded_error) {
        (void) weir_waf_set(tx, WEIR_WAF_VAR_URLENCODED_ERROR, WEIR_STR("1"));
    }
    if (kind == WEIR_WAF_MULTIPART) {
        set_flags(tx, &report->multipart);
        (void) weir_waf_set_number(tx, WEIR_WAF_VAR_FILES_COMBINED_SIZE, (int64_t) tx->files_bytes);
    }
}

/* Before and, for multipart, whose files do not count, after it is parsed. */
static bool is_over_limit(const weir_waf_transaction *tx)
{
    return tx->request_body.len - tx->files_bytes > tx->settings->request_body_no_files_limit;
}

static void say_over_limit(weir_waf_transaction *tx)
{
    weir_waf_body_is_wrong(
        tx, WEIR_STR("Request body excluding files is bigger than the maximum expected."));
}

void weir_waf_parse_begin(weir_waf_transaction *tx)
{
    const weir_waf_body_sink sink = {
        .argument = take_argument,
        .file = take_file,
        .part_header = take_part_header,
        .attribute = take_attribute,
        .character_data = tx->xml_arguments == WEIR_WAF_XML_IN_ARGS ? NULL : take_character_data,
    };
    weir_waf_body_limits limits = {
        .pool = tx->pool,
        .arguments_max = tx->settings->arguments_limit,
        .depth_max = tx->settings->json_depth_limit,
        .files_max = tx->settings->upload_file_limit,
        .separator = tx->settings->argument_separator,
        .xml_arguments = tx->xml_arguments != WEIR_WAF_XML_IN_XML,
    };
    weir_str processor = weir_waf_scalar(tx, WEIR_WAF_VAR_REQBODY_PROCESSOR);
    weir_waf_body_kind kind;

    if (processor.len == 0 || !weir_waf_body_kind_find(processor, &kind)) {
        return;
    }
    if (kind != WEIR_WAF_MULTIPART && is_over_limit(tx)) {
        say_over_limit(tx);
        return;
    }
    tx->parses_json = kind == WEIR_WAF_JSON;
    tx->parsed_bytes = 0;
    tx->parsed_kind = kind;
    tx->parsed_body = weir_waf_body_new(kind, &limits, &sink, tx, tx->content_type);
    if (tx->parsed_body == NULL) {
        weir_waf_exhausted(tx, "memory");
    }
}

weir_result weir_waf_parse(weir_waf_transaction *tx)
{
    weir_waf_body *body = tx->parsed_body;

    while (body != NULL && tx->parsed_bytes < tx->request_body.len && !tx->is_exhausted) {
        const weir_waf_body_report *report = weir_waf_body_report_of(body);
        uint64_t work = report->work;
        size_t bytes =
            weir_waf_body_feed_some(body, weir_str_from(tx->request_body, tx->parsed_bytes));

        tx->parsed_bytes += bytes;
        tx->work += bytes * 8 + report->work - work;
        if (weir_waf_turn_is_over(tx)) {
            return WEIR_WAIT;
        }
    }
    if (body == NULL) {
        return WEIR_OK;
    }
    tx->parsed_body = NULL;
    weir_waf_body_end(body);
    set_report(tx, tx->parsed_kind, weir_waf_body_report_of(body));
    if (tx->parsed_kind == WEIR_WAF_MULTIPART && is_over_limit(tx)) {
        say_over_limit(tx);
    }
    return WEIR_OK;
}
