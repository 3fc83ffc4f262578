/*
 * multipart/form-data, by lines: what a lenient reader might take for something else sets a flag, and what nobody
 * should send is a failure.
 */

#include "modules/waf/body_internal.h"
#include "modules/waf/transform_internal.h"

#define LINE_MAX_BYTES 4096 /* of a header line; a longer line of data comes in pieces */
#define HEADERS_MAX 32      /* of a part */

typedef enum {
    PART_PREAMBLE, /* before the first boundary */
    PART_HEADERS,
    PART_DATA,
    PART_EPILOGUE, /* after the last one */
} multipart_state;

typedef struct {
    multipart_state state;
    weir_str boundary;      /* with "--" in front */
    weir_waf_gathered line; /* up to its end, or LINE_MAX_BYTES of it */
    bool in_line;           /* `line` goes on with what came before */
    bool saw_crlf, saw_lf;
    size_t file_count;

    /* Of the part. */
    weir_waf_gathered
        headers[HEADERS_MAX]; /* "Name: value", unfolded; their memory is kept for the next part */
    size_t header_count;
    weir_waf_disposition disposition;
    bool has_disposition;
    weir_waf_gathered data;
    uint64_t size;
    unsigned held_end; /* bytes of a line's end that belong to the data unless a boundary follows */
    bool held_crlf;
} multipart;

static bool multipart_bad(weir_waf_body *body, const char *what)
{
    return weir_waf_body_fail(body, "Multipart parsing error: Multipart: %s", what);
}

/* ---- headers */

static weir_str header_name(weir_str line)
{
    weir_str name;

    return weir_str_split(&line, ':', &name) ? name : WEIR_STR_EMPTY;
}

static weir_str header_value(weir_str line)
{
    weir_str name = header_name(line);

    return weir_str_trim(weir_str_from(line, name.len + 1));
}

static bool header_name_is_valid(weir_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if ((uint8_t) name.data[i] < 33 || (uint8_t) name.data[i] > 126) {
            return false;
        }
    }

    return true;
}

static bool header_fold(weir_waf_body *body, multipart *m, weir_str line)
{
    size_t blanks = 0;

    body->report.multipart.header_folding = true;
    if (line.data[0] != ' ' && line.data[0] != '\t') {
        body->report.multipart.invalid_header_folding = true;
    }
    if (m->header_count == 0) {
        return multipart_bad(body, "Invalid part header (folding error).");
    }

    while (blanks < line.len && weir_waf_is_space((uint8_t) line.data[blanks])) {
        blanks++;
    }
    return weir_waf_gather(body, &m->headers[m->header_count - 1], WEIR_STR(" "))
           && weir_waf_gather(body, &m->headers[m->header_count - 1], weir_str_from(line, blanks));
}

static bool header_add(weir_waf_body *body, multipart *m, weir_str line)
{
    weir_str name;

    if (weir_str_find_byte(line, '\0') != NULL) {
        return multipart_bad(body, "Nul byte in part headers.");
    }
    if (weir_waf_is_space((uint8_t) line.data[0])) {
        return header_fold(body, m, line);
    }
    if (weir_str_find_byte(line, ':') == NULL) {
        return multipart_bad(body, "Invalid part header (colon missing).");
    }

    name = header_name(line);
    if (weir_str_is_empty(name)) {
        return multipart_bad(body, "Invalid part header (header name missing).");
    }
    if (!header_name_is_valid(name)) {
        return multipart_bad(body, "Invalid part header (contains invalid character).");
    }
    for (size_t i = 0; i < m->header_count; i++) {
        if (weir_str_eq_nocase(header_name(weir_waf_gathered_text(&m->headers[i])), name)) {
            return weir_waf_body_fail(
                body, "Multipart parsing error: Multipart: Duplicate part header: %.*s.",
                WEIR_STR_ARG(name));
        }
    }
    if (m->header_count == HEADERS_MAX) {
        return multipart_bad(body, "Too many part headers.");
    }

    m->headers[m->header_count].len = 0;
    return weir_waf_gather(body, &m->headers[m->header_count++], line);
}

/* The blank line has come: what is the part? */
static bool headers_end(weir_waf_body *body, multipart *m)
{
    m->state = PART_DATA;
    for (size_t i = 0; i < m->header_count; i++) {
        weir_str line = weir_waf_gathered_text(&m->headers[i]);

        if (weir_str_eq_nocase(header_name(line), WEIR_STR("content-disposition"))) {
            m->has_disposition = true;
            if (!weir_waf_multipart_disposition(body, header_value(line), &m->disposition)) {
                return false;
            }
        }
    }

    if (!m->has_disposition) {
        return multipart_bad(body, "Part missing Content-Disposition header.");
    }
    body->report.multipart.invalid_part =
        body->report.multipart.invalid_part || m->disposition.name.len == 0;
    body->report.multipart.name = m->disposition.name;
    if (m->disposition.has_filename) {
        body->report.multipart.filename = m->disposition.filename;
    }

    for (size_t i = 0; i < m->header_count; i++) {
        weir_str line;

        if (!weir_waf_body_keep(body, weir_waf_gathered_text(&m->headers[i]), &line)) {
            return false;
        }
        if (body->sink.part_header != NULL
            && !body->sink.part_header(body->owner, m->disposition.name, line)) {
            return multipart_bad(body, "A part header could not be kept.");
        }
    }
    return true;
}

/* ---- parts */

static void part_begin(multipart *m)
{
    m->state = PART_HEADERS;
    m->header_count = 0;
    m->has_disposition = false;
    m->data.len = 0;
    m->size = 0;
    m->held_end = 0;
}

/* With an empty name it is a value, as in ModSecurity: not every origin takes it for a file. */
static bool is_file(const multipart *m)
{
    return m->disposition.has_filename && m->disposition.filename.len != 0;
}

static bool part_file(weir_waf_body *body, multipart *m)
{
    weir_waf_file file = {
        .field = m->disposition.name, .filename = m->disposition.filename, .size = m->size};

    if (m->file_count == body->limits.files_max) {
        body->report.multipart.file_limit_exceeded = true;
        return true;
    }

    m->file_count++;
    return body->sink.file == NULL || body->sink.file(body->owner, &file)
           || multipart_bad(body, "A file could not be kept.");
}

static bool part_end(weir_waf_body *body, multipart *m)
{
    weir_str value;

    if (m->state == PART_HEADERS) {
        body->report.multipart.invalid_part = true;
        return true;
    }
    if (m->state != PART_DATA) {
        return true;
    }

    if (is_file(m)) {
        return part_file(body, m);
    }
    return weir_waf_body_keep(body, weir_waf_gathered_text(&m->data), &value)
           && weir_waf_body_argument(body, m->disposition.name, value);
}

/* Of a file only the size counts. */
static bool data_add(weir_waf_body *body, multipart *m, weir_str text)
{
    m->size += text.len;
    return is_file(m) || weir_waf_gather(body, &m->data, text);
}

static bool data_line(weir_waf_body *body, multipart *m, weir_str text, unsigned end_len,
                      bool is_crlf)
{
    weir_str held = m->held_crlf ? WEIR_STR("\r\n") : WEIR_STR("\n");

    if (m->held_end > 0 && !data_add(body, m, held)) {
        return false;
    }
    m->held_end = end_len;
    m->held_crlf = is_crlf;
    return data_add(body, m, text);
}

/* ---- lines */

static void note_line_end(weir_waf_body *body, multipart *m, unsigned end_len, bool is_crlf)
{
    if (end_len == 0) {
        return;
    }

    m->saw_crlf = m->saw_crlf || is_crlf;
    m->saw_lf = m->saw_lf || !is_crlf;
    body->report.multipart.lf_line = m->saw_lf;
    body->report.multipart.crlf_lf_lines = m->saw_lf && m->saw_crlf;
}

/* "--boundary" or, the last one, "--boundary--". */
static bool boundary_line(weir_waf_body *body, multipart *m, bool is_last)
{
    bool is_first = m->state == PART_PREAMBLE;

    if (m->state == PART_EPILOGUE) {
        body->report.multipart.data_after = true;
        return true;
    }
    if (!part_end(body, m)) {
        return false;
    }

    if (!is_first) {
        body->report.multipart.unmatched_boundary = 2;
    }
    part_begin(m);
    if (is_last) {
        m->state = PART_EPILOGUE;
    }
    return true;
}

static bool multipart_text(weir_waf_body *body, multipart *m, weir_str text, unsigned end_len,
                           bool is_crlf)
{
    switch (m->state) {
    case PART_PREAMBLE:
        body->report.multipart.data_before = true;
        return true;
    case PART_HEADERS:
        note_line_end(body, m, end_len, is_crlf);
        if (end_len == 0 && text.len >= LINE_MAX_BYTES) {
            return multipart_bad(body, "Part header line over 4096 bytes long.");
        }
        return weir_str_is_empty(text) ? headers_end(body, m) : header_add(body, m, text);
    case PART_DATA:
        return data_line(body, m, text, end_len, is_crlf);
    case PART_EPILOGUE:
        body->report.multipart.data_after = true;
        return true;
    }

    return false; /* not reached: all states are above */
}

/* A line, or a piece of one that is too long to be held. */
static bool multipart_line(weir_waf_body *body, multipart *m, bool is_whole)
{
    weir_str text = weir_waf_gathered_text(&m->line), rest;
    bool begins_line = !m->in_line, is_crlf;
    unsigned end_len;

    is_crlf = weir_str_ends(text, WEIR_STR("\r\n"));
    end_len = is_crlf ? 2 : weir_str_ends(text, WEIR_STR("\n")) ? 1 : 0;
    text.len -= end_len;
    m->in_line = !is_whole;
    m->line.len = 0;

    if (begins_line && weir_str_starts(text, m->boundary)) {
        rest = weir_str_from(text, m->boundary.len);
        if (weir_str_is_empty(rest) || weir_str_eq(rest, WEIR_STR("--"))) {
            /* The end of the line before it is of the boundary (RFC 2046, 5.1.1). */
            note_line_end(body, m, m->state == PART_DATA ? m->held_end : 0, m->held_crlf);
            note_line_end(body, m, end_len, is_crlf);
            return boundary_line(body, m, !weir_str_is_empty(rest));
        }
        /* Blanks behind it, or more: to some readers a boundary, to others data. */
        body->report.multipart.invalid_part = true;
    }

    if ((begins_line && weir_str_starts(text, WEIR_STR("--")))
        || weir_str_find(text, m->boundary) != NULL) {
        body->report.multipart.unmatched_boundary = 1;
    }
    return multipart_text(body, m, text, end_len, is_crlf);
}

static bool multipart_begin(weir_waf_body *body, weir_str content_type)
{
    multipart *m = weir_waf_body_memory(body, sizeof(*m));
    weir_waf_gathered marked = {0};
    weir_str boundary;

    if (m == NULL || !weir_waf_multipart_boundary(body, content_type, &boundary)
        || !weir_waf_gather(body, &marked, WEIR_STR("--"))
        || !weir_waf_gather(body, &marked, boundary)) {
        return false;
    }

    m->boundary = weir_waf_gathered_text(&marked);
    body->state = m;
    return true;
}

static bool multipart_feed(weir_waf_body *body, weir_str piece)
{
    multipart *m = body->state;

    while (piece.len > 0) {
        /* No further than is taken: what has no line's end would be searched to its own each time. */
        weir_str near = weir_str_slice(piece, 0, LINE_MAX_BYTES - m->line.len);
        const char *end = weir_str_find_byte(near, '\n');
        size_t len = end == NULL ? near.len : (size_t) (end - near.data) + 1;
        bool is_whole = end != NULL;

        if (!weir_waf_gather(body, &m->line, weir_str_slice(piece, 0, len))
            || ((is_whole || m->line.len == LINE_MAX_BYTES)
                && !multipart_line(body, m, is_whole))) {
            return false;
        }
        piece = weir_str_from(piece, len);
    }

    return true;
}

static bool multipart_end(weir_waf_body *body)
{
    multipart *m = body->state;

    if (m == NULL || body->report.failed) {
        return false;
    }
    if (m->line.len > 0 && !multipart_line(body, m, true)) {
        return false;
    }

    if (m->state == PART_EPILOGUE) {
        return true;
    }
    if (m->state == PART_PREAMBLE && !body->report.multipart.data_before) {
        return true; /* nothing came at all */
    }
    /* What there is of the last part is looked at, whatever the origin makes of it. */
    return part_end(body, m) && multipart_bad(body, "Final boundary missing.");
}

const weir_waf_body_type weir_waf_body_multipart = {
    .name = WEIR_STR_INIT("MULTIPART"),
    .turn_bytes = (size_t) 64 * 1024,
    .begin = multipart_begin,
    .feed = multipart_feed,
    .end = multipart_end,
};
