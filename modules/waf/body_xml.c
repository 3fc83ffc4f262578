/*
 * XML, by libxml2's push parser: all character data below the root as one text, and each attribute's value; where it is
 * asked for, the text of each element that has some, by its path, as an argument.
 *
 * Nothing is fetched, and a document that declares entities, or attributes' defaults, is refused: there is nothing to
 * expand but character references and the five names of the standard.
 */

#include "modules/waf/body_internal.h"

#include <limits.h>

#include <libxml/parser.h>
#include <libxml/xmlerror.h>

/*
 * libxml2 compares each attribute of a tag with all before it, and each namespace, once it has the whole tag.  So no more
 * "=" may be in a tag that is not whole yet, and a piece of the document has no more, nor, unless as much waits for its end
 * already, more bytes.  It looks for the namespace of each element, and of each attribute with a prefix, among all that are
 * declared around it: so those are few, and it looks at no more than COMPARED_MAX names in all.
 */
#define TAG_EQUALS_MAX 4096
#define PIECE_EQUALS_MAX 1024
#define PIECE_BYTES ((size_t) 16 * 1024)
#define SEARCHED_MAX ((size_t) 64 * 1024 * 1024)
#define NAMESPACES_MAX 512
#define COMPARED_MAX UINT64_C(64000000)
#define COMPARED_TURN 500000 /* in a turn */
#define COMPARED_WORK 2
#define PIECE_MAX ((size_t) 1 << 20) /* libxml2 counts in int */
#define START_BYTES 4 /* libxml2 tells the encoding by as many, if it sees them at once */

/* An element that is open. */
typedef struct {
    size_t path_len; /* of its parent's name */
    size_t own_len;  /* of the texts of those around it */
    bool has_children;
} xml_level;

typedef struct {
    xmlParserCtxtPtr parser;
    xmlSAXHandler handler;
    char start[START_BYTES];
    size_t start_len;
    weir_waf_gathered text;
    size_t depth;
    size_t tags;            /* that were whole */
    size_t counted, equals; /* bytes of the tag that is not whole yet, and "=" among them */
    size_t searched;        /* bytes of other things, for their ends, again and again */
    uint64_t compared;      /* names of attributes and namespaces, with others */
    bool is_undecodable;

    /* With xml_arguments alone. */
    xml_level *levels;
    size_t levels_size;
    weir_waf_gathered path, own; /* `own`: the texts of the open elements, the outermost's first */
} xml;

/* Failures of ours: libxml2 must read no further. */
static void xml_stop(weir_waf_body *body)
{
    xml *x = body->state;

    xmlStopParser(x->parser);
}

static void xml_characters(void *subject, const xmlChar *text, int len)
{
    weir_waf_body *body = subject;
    xml *x = body->state;
    weir_str piece = weir_str_of((const char *) text, (size_t) len);

    if (!body->report.failed
        && !((body->sink.character_data == NULL || weir_waf_gather(body, &x->text, piece))
             && (!body->limits.xml_arguments || weir_waf_gather(body, &x->own, piece)))) {
        xml_stop(body);
    }
}

/* ---- elements as arguments */

static bool level_begin(weir_waf_body *body, xml *x, const xmlChar *name)
{
    xml_level *levels =
        weir_waf_body_room(body, x->levels, x->depth - 1, &x->levels_size, sizeof(*levels));

    if (levels == NULL) {
        return false;
    }
    x->levels = levels;
    if (x->depth > 1) {
        x->levels[x->depth - 2].has_children = true;
    }
    x->levels[x->depth - 1] = (xml_level){.path_len = x->path.len, .own_len = x->own.len};
    return weir_waf_gather(body, &x->path, x->depth == 1 ? WEIR_STR("xml.") : WEIR_STR("."))
           && weir_waf_gather(body, &x->path, weir_str_from_z((const char *) name));
}

static bool is_blank(weir_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (weir_str_find_byte(WEIR_STR(" \t\r\n"), text.data[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* What stands around children is layout, most of the time, and else looked at, too. */
static bool level_end(weir_waf_body *body, xml *x)
{
    const xml_level level = x->levels[x->depth - 1];
    weir_str text = weir_str_from(weir_waf_gathered_text(&x->own), level.own_len);
    weir_str name, value;
    bool goes_on =
        (level.has_children && is_blank(text))
        || (weir_waf_body_keep(body, weir_waf_gathered_text(&x->path), &name)
            && weir_waf_body_keep(body, text, &value) && weir_waf_body_argument(body, name, value));

    x->own.len = level.own_len;
    x->path.len = level.path_len;
    return goes_on;
}

/* How many names libxml2 has looked at for a tag, at most.  Five pointers for each attribute: name, prefix, URI, and the value's first byte and end. */
static bool count_names(weir_waf_body *body, const xmlChar **attributes, int attribute_count,
                        int namespace_count)
{
    xml *x = body->state;
    uint64_t in_scope = (uint64_t) x->parser->nsNr / 2, own = (uint64_t) attribute_count;
    uint64_t declared = (uint64_t) namespace_count, looked_for = 1;
    uint64_t compared;

    for (int i = 0; i < attribute_count; i++) {
        looked_for += attributes[5 * i + 1] != NULL;
    }
    compared = looked_for * in_scope + (own * own + declared * declared) / 2;
    x->compared += compared;
    body->report.work += compared * COMPARED_WORK;
    if (in_scope > declared + NAMESPACES_MAX) {
        return weir_waf_body_fail(body, "XML parsing error: more than %d namespaces in scope",
                                  NAMESPACES_MAX);
    }
    return x->compared <= COMPARED_MAX
           || weir_waf_body_fail(body, "XML parsing error: too many names to compare");
}

static void xml_start(void *subject, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                      int namespace_count, const xmlChar **namespaces, int attribute_count,
                      int defaulted_count, const xmlChar **attributes)
{
    weir_waf_body *body = subject;
    xml *x = body->state;
    bool goes_on = !body->report.failed;

    (void) prefix;
    (void) uri;
    (void) namespaces;
    (void) defaulted_count;

    x->tags++;
    goes_on = goes_on && count_names(body, attributes, attribute_count, namespace_count);
    if (goes_on && ++x->depth > body->limits.depth_max) {
        goes_on = weir_waf_body_fail(body, "XML parsing error: elements too deep");
    }
    goes_on = goes_on && (!body->limits.xml_arguments || level_begin(body, x, name));

    for (int i = 0; goes_on && i < attribute_count; i++) {
        const xmlChar *from = attributes[5 * i + 3], *to = attributes[5 * i + 4];
        weir_str value = weir_str_of((const char *) from, (size_t) (to - from));

        goes_on =
            weir_waf_body_keep(body, value, &value)
            && (body->sink.attribute == NULL || body->sink.attribute(body->owner, value)
                || weir_waf_body_fail(body, "XML parsing error: an attribute could not be kept"));
    }

    if (!goes_on) {
        xml_stop(body);
    }
}

static void xml_end_element(void *subject, const xmlChar *name, const xmlChar *prefix,
                            const xmlChar *uri)
{
    weir_waf_body *body = subject;
    xml *x = body->state;

    (void) name;
    (void) prefix;
    (void) uri;
    if (x->depth == 0) {
        return;
    }
    if (body->limits.xml_arguments && !body->report.failed && !level_end(body, x)) {
        xml_stop(body);
    }
    x->depth--;
}

static void xml_entity(void *subject, const xmlChar *name, int type, const xmlChar *public_id,
                       const xmlChar *system_id, xmlChar *content)
{
    (void) name;
    (void) type;
    (void) public_id;
    (void) system_id;
    (void) content;
    (void) weir_waf_body_fail(subject, "XML parsing error: the document declares an entity");
    xml_stop(subject);
}

static void xml_attribute_declaration(void *subject, const xmlChar *element, const xmlChar *name,
                                      int type, int kind, const xmlChar *preset,
                                      xmlEnumerationPtr tree)
{
    (void) element;
    (void) name;
    (void) type;
    (void) kind;
    (void) preset;
    xmlFreeEnumeration(tree);
    (void) weir_waf_body_fail(subject, "XML parsing error: the document declares attributes");
    xml_stop(subject);
}

static void xml_free(void *subject)
{
    xml *x = subject;

    if (x->parser != NULL) {
        if (x->parser->myDoc != NULL) {
            xmlFreeDoc(x->parser->myDoc);
        }
        xmlFreeParserCtxt(x->parser);
        x->parser = NULL;
    }
}

static bool xml_begin(weir_waf_body *body, weir_str content_type)
{
    xml *x = weir_waf_body_memory(body, sizeof(*x));

    (void) content_type;
    if (x == NULL) {
        return false;
    }

    x->handler.initialized = XML_SAX2_MAGIC;
    x->handler.startElementNs = xml_start;
    x->handler.endElementNs = xml_end_element;
    x->handler.characters = xml_characters;
    x->handler.ignorableWhitespace = xml_characters;
    x->handler.cdataBlock = xml_characters;
    x->handler.entityDecl = xml_entity;
    x->handler.attributeDecl = xml_attribute_declaration;
    body->state = x;
    return true;
}

/* With the first bytes: an empty body is no document, and no failure. */
static bool xml_open(weir_waf_body *body, xml *x)
{
    x->parser = xmlCreatePushParserCtxt(&x->handler, body, NULL, 0, NULL);
    if (x->parser == NULL || weir_pool_on_free(body->limits.pool, xml_free, x) == NULL) {
        xml_free(x);
        return weir_waf_body_fail(body, "XML parsing error: no memory");
    }

    /* References in attributes are resolved; as nothing can be declared, that is all there is to replace. */
    (void) xmlCtxtUseOptions(x->parser, XML_PARSE_NONET | XML_PARSE_NOENT | XML_PARSE_NOERROR
                                            | XML_PARSE_NOWARNING);
    return true;
}

/* Where bytes cannot be decoded, libxml2 may skip them, by how they were cut, without calling the document ill-formed. */
static void xml_complain(void *subject, xmlErrorPtr error)
{
    xml *x = subject;

    x->is_undecodable =
        x->is_undecodable || error->domain == XML_FROM_I18N || error->domain == XML_FROM_IO;
}

/* What libxml2 would print. */
static void xml_print(void *subject, const char *format, ...)
{
    (void) subject;
    (void) format;
}

static bool xml_parse(weir_waf_body *body, const char *bytes, size_t len, bool is_last)
{
    xml *x = body->state;
    int error;

    xmlSetGenericErrorFunc(NULL, xml_print);
    xmlSetStructuredErrorFunc(x, xml_complain);
    error = xmlParseChunk(x->parser, bytes, (int) len, is_last ? 1 : 0);
    xmlSetStructuredErrorFunc(NULL, NULL);
    xmlSetGenericErrorFunc(NULL, NULL);

    if (x->is_undecodable) {
        return weir_waf_body_fail(body, "XML parsing error: bytes that are not of its encoding");
    }
    if (error < 0 || (error != XML_ERR_OK && x->parser->wellFormed == 0)) {
        const xmlError *last = xmlCtxtGetLastError(x->parser);
        weir_str message = weir_str_trim(weir_str_from_z(
            last == NULL || last->message == NULL ? "not well-formed" : last->message));

        while (weir_str_ends(message, WEIR_STR("\n"))) {
            message.len--;
        }
        return weir_waf_body_fail(body, "XML parsing error: %.*s", WEIR_STR_ARG(message));
    }

    return !body->report.failed;
}

/* Keeps what is too short to begin with; `*piece` is what comes after it. */
static bool xml_start_with(weir_waf_body *body, xml *x, weir_str *piece)
{
    size_t len = START_BYTES - x->start_len;

    len = len < piece->len ? len : piece->len;
    memcpy(x->start + x->start_len, piece->data, len);
    x->start_len += len;
    *piece = weir_str_from(*piece, len);
    return x->start_len < START_BYTES
           || (xml_open(body, x) && xml_parse(body, x->start, x->start_len, false));
}

static size_t bytes_waiting(const xml *x)
{
    return (size_t) (x->parser->input->end - x->parser->input->cur);
}

/* What waits for its end is searched for it again with each piece: long pieces make that few times. */
static weir_str next_piece(const xml *x, weir_str rest)
{
    /* The "=" below are those of the document only where it is not converted. */
    const xmlParserInputBuffer *buffer = x->parser->input->buf;
    bool may_be_long = buffer != NULL && buffer->encoder == NULL;
    size_t waits = may_be_long ? bytes_waiting(x) : 0;
    weir_str piece = weir_str_slice(rest, 0, waits < PIECE_BYTES ? PIECE_BYTES : waits);
    size_t equals = 0;

    piece = weir_str_slice(piece, 0, PIECE_MAX);
    for (size_t i = 0; i < piece.len; i++) {
        if (piece.data[i] == '=' && ++equals == PIECE_EQUALS_MAX) {
            return weir_str_slice(piece, 0, i + 1);
        }
    }
    return piece;
}

/* Those "=" of the tag that is not whole yet which have come since it was asked last. */
static void count_equals(xml *x, size_t tags_before)
{
    size_t waits = bytes_waiting(x);

    if (x->parser->instate != XML_PARSER_START_TAG || x->tags != tags_before) {
        x->counted = x->equals = 0;
    }
    if (x->parser->instate == XML_PARSER_START_TAG) {
        for (; x->counted < waits; x->counted++) {
            x->equals += x->parser->input->cur[x->counted] == '=';
        }
    } else {
        x->searched += waits;
    }
}

static bool xml_feed(weir_waf_body *body, weir_str rest)
{
    xml *x = body->state;
    uint64_t compared;

    if (x->start_len < START_BYTES && !xml_start_with(body, x, &rest)) {
        return false;
    }

    if (x->parser == NULL) {
        return true; /* too short to begin with */
    }
    compared = x->compared;
    while (rest.len > 0 && x->compared - compared <= COMPARED_TURN) {
        weir_str piece = next_piece(x, rest);
        size_t tags = x->tags;

        if (!xml_parse(body, piece.data, piece.len, false)) {
            return false;
        }
        count_equals(x, tags);
        if (x->equals > TAG_EQUALS_MAX) {
            return weir_waf_body_fail(body, "XML parsing error: more than %d attributes",
                                      TAG_EQUALS_MAX);
        }
        if (x->searched > SEARCHED_MAX) {
            return weir_waf_body_fail(body, "XML parsing error: too much without an end");
        }
        rest = weir_str_from(rest, piece.len);
    }

    body->left = rest.len;
    return true;
}

static bool xml_end(weir_waf_body *body)
{
    xml *x = body->state;
    bool is_complete;

    if (x == NULL || x->start_len == 0) {
        return !body->report.failed;
    }
    if (x->start_len < START_BYTES
        && !(xml_open(body, x) && xml_parse(body, x->start, x->start_len, false))) {
        return false;
    }

    is_complete = !body->report.failed && xml_parse(body, NULL, 0, true);
    if (x->text.len > 0
        && !body->sink.character_data(body->owner, weir_waf_gathered_text(&x->text))) {
        is_complete = weir_waf_body_fail(body, "XML parsing error: the text could not be kept");
    }
    xml_free(x);
    return is_complete;
}

const weir_waf_body_type weir_waf_body_xml = {
    .name = WEIR_STR_INIT("XML"),
    .turn_bytes = (size_t) 256 * 1024,
    .begin = xml_begin,
    .feed = xml_feed,
    .end = xml_end,
};
