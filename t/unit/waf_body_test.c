#include "modules/waf/body.h"

#include <stdio.h>

#include "core/base/builder.h"
#include "t/unit/waf_unit.h"

#define CT "multipart/form-data; boundary=b"

/* What a body told, as lines; the report after it. */
typedef struct {
    weir_pool *pool;
    weir_builder told;
    size_t refuse_after;
} told;

static bool tell(told *t, const char *kind, weir_str a, weir_str b)
{
    weir_builder_add(&t->told, weir_str_from_z(kind));
    weir_builder_add(&t->told, a);
    weir_builder_add(&t->told, WEIR_STR("="));
    weir_builder_add(&t->told, b);
    weir_builder_add(&t->told, WEIR_STR("\n"));
    return t->refuse_after == 0 || --t->refuse_after > 0;
}

static bool tell_argument(void *owner, weir_str name, weir_str value)
{
    return tell(owner, "", name, value);
}

static bool tell_file(void *owner, const weir_waf_file *file)
{
    char size[32];
    weir_builder number;

    weir_builder_over(&number, size, sizeof(size));
    weir_builder_add_uint(&number, file->size);
    (void) tell(owner, "file ", file->field, file->filename);
    return tell(owner, "size ", weir_builder_text(&number), WEIR_STR_EMPTY);
}

static bool tell_header(void *owner, weir_str part, weir_str line)
{
    return tell(owner, "header ", part, line);
}

static bool tell_attribute(void *owner, weir_str value)
{
    return tell(owner, "attribute ", WEIR_STR_EMPTY, value);
}

static bool tell_text(void *owner, weir_str text)
{
    return tell(owner, "text ", WEIR_STR_EMPTY, text);
}

static const weir_waf_body_sink sink = {
    .argument = tell_argument,
    .file = tell_file,
    .part_header = tell_header,
    .attribute = tell_attribute,
    .character_data = tell_text,
};

/* Fed in pieces of `step` bytes; 0: at once. */
static const weir_waf_body_report *parsed(weir_pool *pool, weir_waf_body_kind kind, weir_str text,
                                          size_t step, const char *content_type,
                                          weir_waf_body_limits limits, weir_str *lines)
{
    told *t = weir_pool_zalloc(pool, sizeof(*t));
    weir_waf_body *body;

    assert_non_null(t);
    weir_builder_open(&t->told, pool, 1 << 20);
    limits.pool = pool;
    body = weir_waf_body_new(kind, &limits, &sink, t, weir_str_from_z(content_type));
    assert_non_null(body);
    for (size_t i = 0; i < text.len; i += step == 0 ? text.len : step) {
        weir_waf_body_feed(body, weir_str_slice(text, i, step == 0 ? text.len : i + step));
    }
    weir_waf_body_end(body);
    *lines = weir_builder_text(&t->told);
    return weir_waf_body_report_of(body);
}

/* However it is cut, the same is told. */
static const weir_waf_body_report *tells_as(weir_pool *pool, weir_waf_body_kind kind,
                                            const char *content_type, weir_str text,
                                            const char *expected)
{
    const weir_waf_body_report *report = NULL;
    weir_str lines;

    for (size_t step = 0; step < 8; step++) {
        report = parsed(pool, kind, text, step, content_type, (weir_waf_body_limits){0}, &lines);
        assert_text(lines, weir_str_from_z(expected));
    }
    return report;
}

static void succeeds(weir_pool *pool, weir_waf_body_kind kind, const char *content_type,
                     weir_str text, const char *expected)
{
    const weir_waf_body_report *report = tells_as(pool, kind, content_type, text, expected);

    assert_text(report->message, WEIR_STR_EMPTY);
    assert_false(report->failed);
}

static void fails(weir_pool *pool, weir_waf_body_kind kind, const char *content_type, weir_str text,
                  const char *expected, const char *message)
{
    const weir_waf_body_report *report = tells_as(pool, kind, content_type, text, expected);

    assert_true(report->failed);
    assert_text(report->message, weir_str_from_z(message));
    assert_true(kind != WEIR_WAF_MULTIPART || report->multipart.strict_error);
}

/* ---- URLENCODED */

static void a_form_is_split(void **state)
{
    succeeds(*state, WEIR_WAF_URLENCODED, "", WEIR_STR("a=1+2&b%5B=%41x&c&&=d&a=b=c&"),
             "a=1 2\nb[=Ax\nc=\n=d\na=b=c\n");
    succeeds(*state, WEIR_WAF_URLENCODED, "", WEIR_STR(""), "");
}

static void an_escape_that_is_none_stays_and_is_told(void **state)
{
    assert_true(
        tells_as(*state, WEIR_WAF_URLENCODED, "", WEIR_STR("a=%4&b=%zz%41"), "a=%4\nb=%zzA\n")
            ->urlencoded_error);
    assert_false(
        tells_as(*state, WEIR_WAF_URLENCODED, "", WEIR_STR("a=%41"), "a=A\n")->urlencoded_error);
}

static void arguments_beyond_the_limit_are_counted_and_dropped(void **state)
{
    weir_str lines;
    const weir_waf_body_report *report =
        parsed(*state, WEIR_WAF_URLENCODED, WEIR_STR("a=1;b=2;c=3"), 0, "",
               (weir_waf_body_limits){.arguments_max = 2, .separator = ';'}, &lines);

    assert_text(lines, WEIR_STR("a=1\nb=2\n"));
    assert_int_equal(report->argument_count, 3);
    assert_false(report->failed);
}

static void memory_is_bounded(void **state)
{
    weir_str lines;
    char text[4096];
    const weir_waf_body_report *report;

    memset(text, 'x', sizeof(text));
    report = parsed(*state, WEIR_WAF_URLENCODED, weir_str_of(text, sizeof(text)), 100, "",
                    (weir_waf_body_limits){.memory_max = 2048}, &lines);
    assert_true(report->failed);
    assert_text(report->message,
                WEIR_STR("URLENCODED parsing error: more than 2048 bytes of memory"));
}

/* ---- JSON */

static void scalars_are_named_by_their_path(void **state)
{
    succeeds(
        *state, WEIR_WAF_JSON, "",
        WEIR_STR("\xef\xbb\xbf {\"a\":[1,\"x\\u0041\\n\",{\"b\" : null}],\"c\":{},\"e\":[], "
                 "\"d\":true,\"\":-1.5e+3}\n"),
        "json.a.array_0=1\njson.a.array_1=xA\n\njson.a.array_2.b=\njson.d=true\njson.=-1.5e+3\n");
    succeeds(*state, WEIR_WAF_JSON, "", WEIR_STR("[[1,2],{\"x\":3}]"),
             "json.array_0.array_0=1\njson.array_0.array_1=2\njson.array_1.x=3\n");
    succeeds(*state, WEIR_WAF_JSON, "", WEIR_STR("12"), "json=12\n");
    succeeds(*state, WEIR_WAF_JSON, "", WEIR_STR(""), "");
    succeeds(*state, WEIR_WAF_JSON, "", WEIR_STR("\xef\xbb\xbf 12"), "json=12\n");
}

static void strings_become_utf8(void **state)
{
    succeeds(*state, WEIR_WAF_JSON, "",
             WEIR_STR("[\"\\u00e9\\u20ac\\ud83d\\ude00\",\"\\ud83dx\",\"\\ude00\",\"\\ud83d\"]"),
             "json.array_0=\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\njson.array_1=\xef\xbf\xbdx\n"
             "json.array_2=\xef\xbf\xbd\njson.array_3=\xef\xbf\xbd\n");
}

static void json_that_is_none_fails_and_keeps_what_was_found(void **state)
{
    static const struct {
        const char *text, *expected, *message;
    } samples[] = {
        {"{\"a\":1", "json.a=1\n", "it ends too early"},
        {"{\"a\":1}}", "json.a=1\n", "more after the value"},
        {"{\"a\":01}", "", "a number that is none"},
        {"{\"a\":1.}", "", "a number that is none"},
        {"[tru]", "", "a word that is none of true, false, null"},
        {"{a:1}", "", "no name where one must be"},
        {"{\"a\" 1}", "", "no colon after a name"},
        {"[1 2]", "json.array_0=1\n", "neither a comma nor the end of what is open"},
        {"[1,]", "json.array_0=1\n", "no value where one must be"},
        {"[\"\\x\"]", "", "an escape that is none"},
        {"[\"\\u00g0\"]", "", "an escape that is none"},
        {"[\"a\nb\"]", "", "a control byte in a string"},
        {"[1,\"\xff\"]", "json.array_0=1\n", "a string that is not UTF-8"},
        {"[\"\xc3\"]", "", "a string that is not UTF-8"},
        {"[\"\xe2\x82\\n\"]", "", "a string that is not UTF-8"},
        {"[\"\xa0\"]", "", "a string that is not UTF-8"},
        {"[1}", "json.array_0=1\n", "neither a comma nor the end of what is open"},
        {"\xef[1]", "", "a byte order mark that is cut"},
        {"\xef\xbb", "", "it ends too early"},
        {" \xef\xbb\xbf[1]", "", "no value where one must be"},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        char message[128];

        (void) snprintf(message, sizeof(message), "JSON parsing error: %s", samples[i].message);
        fails(*state, WEIR_WAF_JSON, "", weir_str_from_z(samples[i].text), samples[i].expected,
              message);
    }
}

static void depth_is_bounded(void **state)
{
    weir_str lines;

    assert_false(parsed(*state, WEIR_WAF_JSON, WEIR_STR("[[[1]]]"), 0, "",
                        (weir_waf_body_limits){.depth_max = 3}, &lines)
                     ->failed);
    assert_text(parsed(*state, WEIR_WAF_JSON, WEIR_STR("[[[[1]]]]"), 0, "",
                       (weir_waf_body_limits){.depth_max = 3}, &lines)
                    ->message,
                WEIR_STR("JSON depth limit exceeded"));
    assert_true(parsed(*state, WEIR_WAF_XML, WEIR_STR("<a><a><a><a/></a></a></a>"), 0, "",
                       (weir_waf_body_limits){.depth_max = 3}, &lines)
                    ->failed);
}

/* ---- XML */

static void text_and_attributes_of_xml_are_told(void **state)
{
    succeeds(*state, WEIR_WAF_XML, "",
             WEIR_STR("<?xml version=\"1.0\"?><!--no--><a x=\"1&amp;2\">t<b y='&#65;'> u&lt; </b>"
                      "<![CDATA[<c>]]></a>"),
             "attribute =1&2\nattribute =A\ntext =t u< <c>\n");
    succeeds(*state, WEIR_WAF_XML, "", WEIR_STR(""), "");
}

static void elements_of_xml_may_be_arguments(void **state)
{
    const weir_waf_body_limits limits = {.xml_arguments = true};
    const struct {
        const char *text, *told;
    } cases[] = {
        {"<root>\n <a>foo</a>\n <a>bar</a><b/></root>",
         "xml.root.a=foo\nxml.root.a=bar\nxml.root.b=\ntext =\n foo\n bar\n"},
        {"<r>x<n:a y='1' xmlns:n='u'>&lt;<![CDATA[>]]></n:a>y</r>",
         "attribute =1\nxml.r.a=<>\nxml.r=xy\ntext =x<>y\n"},
        {"<a><b><c><d>deep</d></c></b></a>", "xml.a.b.c.d=deep\ntext =deep\n"},
    };
    weir_str lines;

    for (size_t i = 0; i < WEIR_COUNT(cases); i++) {
        for (size_t step = 0; step < 8; step++) {
            assert_false(parsed(*state, WEIR_WAF_XML, weir_str_from_z(cases[i].text), step, "",
                                limits, &lines)
                             ->failed);
            assert_text(lines, weir_str_from_z(cases[i].told));
        }
    }

    /* What was complete is told. */
    assert_true(
        parsed(*state, WEIR_WAF_XML, WEIR_STR("<a><b>x</b><c>"), 0, "", limits, &lines)->failed);
    assert_text(lines, WEIR_STR("xml.a.b=x\ntext =x\n"));
}

static void the_encoding_of_xml_is_told_by_its_first_bytes(void **state)
{
    weir_str lines;

    succeeds(*state, WEIR_WAF_XML, "", WEIR_STR("\xff\xfe<\0a\0>\0x\0<\0/\0a\0>\0"), "text =x\n");
    fails(*state, WEIR_WAF_XML, "", WEIR_STR("<a"), "",
          "XML parsing error: Extra content at the end of the document");
    assert_true(parsed(*state, WEIR_WAF_XML, WEIR_STR("\0\0\0<a 0?>"), 0, "",
                       (weir_waf_body_limits){0}, &lines)
                    ->failed);
}

static void xml_with_bytes_that_its_encoding_has_not_fails(void **state)
{
    weir_str declared = WEIR_STR("<?xml version=\"1.0\" encoding=\"EUC-JP\"?><a>\xff\xff</a>");

    fails(*state, WEIR_WAF_XML, "", declared, "",
          "XML parsing error: bytes that are not of its encoding");
}

static void xml_that_is_none_fails(void **state)
{
    weir_str lines;
    const weir_waf_body_report *report = parsed(*state, WEIR_WAF_XML, WEIR_STR("<a>x</b>"), 0, "",
                                                (weir_waf_body_limits){0}, &lines);

    assert_true(report->failed);
    assert_true(weir_str_starts(report->message, WEIR_STR("XML parsing error: ")));
    assert_text(lines, WEIR_STR("text =x\n"));
    assert_true(
        parsed(*state, WEIR_WAF_XML, WEIR_STR("<a>"), 0, "", (weir_waf_body_limits){0}, &lines)
            ->failed);
}

static void declared_entities_are_refused(void **state)
{
    weir_str lines;

    assert_text(
        parsed(*state, WEIR_WAF_XML,
               WEIR_STR("<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><a>&e;</a>"), 0,
               "", (weir_waf_body_limits){0}, &lines)
            ->message,
        WEIR_STR("XML parsing error: the document declares an entity"));
    assert_text(lines, WEIR_STR_EMPTY);
    assert_false(parsed(*state, WEIR_WAF_XML, WEIR_STR("<!DOCTYPE a SYSTEM \"a.dtd\"><a>x</a>"), 0,
                        "", (weir_waf_body_limits){0}, &lines)
                     ->failed);
    assert_text(lines, WEIR_STR("text =x\n"));
}

/* ---- MULTIPART */

static void parts_are_arguments_and_files(void **state)
{
    const weir_waf_body_report *report = tells_as(
        *state, WEIR_WAF_MULTIPART, CT,
        WEIR_STR("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\nx\r\n\r\n--b\r\n"
                 "Content-Disposition: form-data; name=\"f\"; filename=\"x\\\"y'z\"\r\n"
                 "Content-Type: text/plain\r\n\r\n123\r\n4\r\n--b--\r\n"),
        "header a=Content-Disposition: form-data; name=\"a\"\na=1\nx\r\n\n"
        "header f=Content-Disposition: form-data; name=\"f\"; filename=\"x\\\"y'z\"\n"
        "header f=Content-Type: text/plain\nfile f=x\"y'z\nsize 6=\n");

    assert_text(report->message, WEIR_STR_EMPTY);
    assert_false(report->multipart.strict_error);
    assert_int_equal(report->multipart.unmatched_boundary, 2);
    assert_text(report->multipart.name, WEIR_STR("f"));
    assert_text(report->multipart.filename, WEIR_STR("x\"y'z"));
}

/* Not every origin takes it for a file: what it holds is looked at. */
static void a_part_with_an_empty_file_name_is_an_argument(void **state)
{
    const weir_waf_body_report *report =
        tells_as(*state, WEIR_WAF_MULTIPART, CT,
                 WEIR_STR("--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"\"\r\n\r\n"
                          "1\r\n--b--\r\n"),
                 "header a=Content-Disposition: form-data; name=\"a\"; filename=\"\"\na=1\n");

    assert_text(report->message, WEIR_STR_EMPTY);
}

typedef struct {
    const char *content_type, *text, *flag;
} flagged;

#define HEAD "Content-Disposition: form-data; name=\"a\"\r\n"
#define PART "--b\r\n" HEAD "\r\n1\r\n--b--\r\n"

static void doubtful_forms_set_their_flag(void **state)
{
    static const flagged samples[] = {
        {"multipart/form-data; boundary=\"b\"", PART, "BQ"},
        {"multipart/form-data; boundary = b", PART, "BW"},
        {"multipart/form-data boundary=b", PART, "SM"},
        {CT, "x\r\n" PART, "DB"},
        {CT, "\r\n" PART, "DB"},
        {CT, PART "x", "DA"},
        {CT, PART "\r\n", "DA"},
        {CT, "--b\r\nContent-Disposition: form-data;\r\n\tname=\"x\"\r\n\r\n1\r\n--b--\r\n", "HF"},
        {CT, "--b\r\n" HEAD "X: y\r\n\vz\r\n\r\n1\r\n--b--\r\n", "HF IH"},
        {CT, "--b\nContent-Disposition: form-data; name=\"a\"\n\n1\n--b--\n", "LF"},
        {CT, "--b\nContent-Disposition: form-data; name=\"a\"\r\n\n1\n--b--\n", "LF CL"},
        {CT, "--b\r\nContent-Disposition: form-data; name='a'\r\n\r\n1\r\n--b--\r\n", "IQ"},
        {CT, "--b\r\nContent-Disposition: form-data; name=a'b\r\n\r\n1\r\n--b--\r\n", "IQ"},
        {CT,
         "--b\r\nContent-Disposition: form-data; name=a; filename=b; "
         "filename*=utf-8''%c3%a4.txt\r\n\r\n1\r\n--b--\r\n",
         ""},
        {CT, "--b\r\nContent-Disposition: form-data; filename=\"b\"\r\n\r\n1\r\n--b--\r\n", "IP"},
        {CT, "--b\r\n" HEAD PART, "IP"},
        {CT, "--b\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n1\r\n--b--\r\n", "IP"},
        {CT, "--b\r\n" HEAD "\r\n--b \r\n1\r\n--b--\r\n", "IP"},
        {CT, "--b\r\n" HEAD "\r\n1\r\n--bc\r\n--b--\r\n", "IP"},
        {CT, "--b\r\n" HEAD "\r\n1\n--b--\r\n", "LF CL"},
        {CT, "--b\r\n" HEAD "\r\n1\n2\r\n--b--\r\n", ""},
        {CT, "--b\r\n" HEAD "\r\n--c\r\n--b--\r\n", ""},
        {CT, PART, ""},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        weir_str lines;
        const weir_waf_body_report *report =
            parsed(*state, WEIR_WAF_MULTIPART, weir_str_from_z(samples[i].text), 1,
                   samples[i].content_type, (weir_waf_body_limits){0}, &lines);
        const weir_waf_multipart *m = &report->multipart;
        const struct {
            const char *name;
            bool is_set;
        } flags[] = {
            {"BQ", m->boundary_quoted},   {"BW", m->boundary_whitespace},
            {"SM", m->missing_semicolon}, {"DB", m->data_before},
            {"DA", m->data_after},        {"HF", m->header_folding},
            {"LF", m->lf_line},           {"IH", m->invalid_header_folding},
            {"CL", m->crlf_lf_lines},     {"IQ", m->invalid_quoting},
            {"IP", m->invalid_part},      {"FL", m->file_limit_exceeded},
        };

        for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++) {
            print_message("%zu %s\n", i, flags[f].name);
            assert_int_equal(flags[f].is_set, strstr(samples[i].flag, flags[f].name) != NULL);
        }
        assert_text(report->message, WEIR_STR_EMPTY);
        assert_int_equal(m->strict_error, samples[i].flag[0] != '\0');
    }
}

static void what_looks_like_a_boundary_is_told(void **state)
{
    static const char *const texts[] = {
        "--b\r\n" HEAD "\r\n--c\r\n1",
        "--b\r\n" HEAD "\r\nx--b\r\n1",
        "--b\r\n" HEAD "\r\n--bc\r\n1",
    };
    weir_str lines;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(parsed(*state, WEIR_WAF_MULTIPART, weir_str_from_z(texts[i]), 0, CT,
                                (weir_waf_body_limits){0}, &lines)
                             ->multipart.unmatched_boundary,
                         1);
    }
}

static void multipart_that_nobody_should_send_fails(void **state)
{
    static const struct {
        const char *content_type, *text, *message;
    } samples[] = {
        {"multipart/form-data", "", "Boundary not found in C-T."},
        {"multipart/form-data; Boundary=b", "", "Invalid boundary in C-T (case sensitivity)."},
        {"multipart/form-data; charset=x; boundary=b", "", "Invalid boundary in C-T (malformed)."},
        {"multipart/form-data; boundary=b@", "", "Invalid boundary in C-T (characters)."},
        {"multipart/form-data; boundary=\"b", "", "Invalid boundary in C-T (quote)."},
        {"multipart/form-data; boundary=", "", "Invalid boundary in C-T (empty)."},
        {"multipart/form-data; boundary=b; boundary=c", "", "Multiple boundary parameters in C-T."},
        {CT, "--b\r\nX\0: 1\r\n", "Nul byte in part headers."},
        {CT, "--b\r\nxyz\r\n", "Invalid part header (colon missing)."},
        {CT, "--b\r\n: 1\r\n", "Invalid part header (header name missing)."},
        {CT, "--b\r\nX y: 1\r\n", "Invalid part header (contains invalid character)."},
        {CT, "--b\r\nX: 1\r\nx: 2\r\n", "Duplicate part header: x."},
        {CT, "--b\r\nX: 1\r\n\r\n", "Part missing Content-Disposition header."},
        {CT, "--b\r\n\tx\r\n", "Invalid part header (folding error)."},
        {CT, "--b\r\n" HEAD "\r\n1\r\n--b", "Final boundary missing."},
        {CT, "--b\r\nContent-Disposition: attachment\r\n\r\n",
         "Invalid Content-Disposition header (not form-data): attachment."},
        {CT, "--b\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n",
         "Invalid Content-Disposition header (duplicate parameter): form-data; name=a; name=b."},
        {CT, "--b\r\nContent-Disposition: form-data; name=a; FileName=b\r\n\r\n",
         "Invalid Content-Disposition header (unknown parameter): form-data; name=a; FileName=b."},
        {CT, "--b\r\nContent-Disposition: form-data; name=a;\vfilename=b\r\n\r\n",
         "Invalid Content-Disposition header (parameter): form-data; name=a;\vfilename=b."},
        {CT, "--b\r\nContent-Disposition: form-data; name=a\f; filename=b\r\n\r\n",
         "Invalid Content-Disposition header (no semicolon): form-data; name=a\f; filename=b."},
        {CT, "--b\r\nContent-Disposition: form-data; name=a; filename =b\r\n\r\n",
         "Invalid Content-Disposition header (parameter): form-data; name=a; filename =b."},
        {CT, "--b\r\nContent-Disposition: form-data; name=\r\n\r\n",
         "Invalid Content-Disposition header (no value): form-data; name=."},
        {CT, "--b\r\nContent-Disposition: form-data; name=; filename=b\r\n\r\n",
         "Invalid Content-Disposition header (no value): form-data; name=; filename=b."},
        {CT, "--b\r\nContent-Disposition: form-data; name=a\"b\r\n\r\n",
         "Invalid Content-Disposition header (no semicolon): form-data; name=a\"b."},
        {CT, "--b\r\nContent-Disposition: form-data; name=a; filename=b/c\r\n\r\n",
         "Invalid Content-Disposition header (no semicolon): form-data; name=a; filename=b/c."},
        {CT, "--b\r\nContent-Disposition: form-data; name=a; filename=\303\244\r\n\r\n",
         "Invalid Content-Disposition header (no value): form-data; name=a; filename=\303\244."},
        {CT, "--b\r\nContent-Disposition: form-data; name=a; filename=b; filename*=b\r\n\r\n",
         "Invalid Content-Disposition header (filename*): form-data; name=a; filename=b; "
         "filename*=b."},
        {CT, "--b\r\nContent-Disposition: form-data; name=a; filename=b; filename*=''b\r\n\r\n",
         "Invalid Content-Disposition header (filename*): form-data; name=a; filename=b; "
         "filename*=''b."},
        {CT, "--b\r\nContent-Disposition: form-data; name=a; filename=b; filename*=utf-8'b\r\n\r\n",
         "Invalid Content-Disposition header (filename*): form-data; name=a; filename=b; "
         "filename*=utf-8'b."},
        {CT,
         "--b\r\nContent-Disposition: form-data; name=a; filename=b; filename*=utf-8''b'c\r\n\r\n",
         "Invalid Content-Disposition header (filename*): form-data; name=a; filename=b; "
         "filename*=utf-8''b'c."},
        {CT,
         "--b\r\nContent-Disposition: form-data; name=a; filename=b; filename*=utf-8''%4\r\n\r\n",
         "Invalid Content-Disposition header (filename*): form-data; name=a; filename=b; "
         "filename*=utf-8''%4."},
        {CT,
         "--b\r\nContent-Disposition: form-data; name=a; filename=b; "
         "filename*=\"utf-8''b\"\r\n\r\n",
         "Invalid Content-Disposition header (filename*): form-data; name=a; filename=b; "
         "filename*=\"utf-8''b\"."},
        {CT, "--b\r\nContent-Disposition: form-data; name=a; filename*=utf-8''b\r\n\r\n",
         "Invalid Content-Disposition header (filename* without filename): form-data; name=a; "
         "filename*=utf-8''b."},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        char message[256];
        weir_str lines;
        const weir_waf_body_report *report;
        /* One of them has a NUL. */
        size_t len = i == 7 ? sizeof("--b\r\nX\0: 1\r\n") - 1 : strlen(samples[i].text);

        (void) snprintf(message, sizeof(message), "Multipart parsing error: Multipart: %s",
                        samples[i].message);
        report = parsed(*state, WEIR_WAF_MULTIPART, weir_str_of(samples[i].text, len), 3,
                        samples[i].content_type, (weir_waf_body_limits){0}, &lines);
        assert_text(report->message, weir_str_from_z(message));
        assert_true(report->failed && report->multipart.strict_error);
    }
}

static void a_part_header_line_has_a_limit(void **state)
{
    weir_builder text;
    weir_str lines;

    weir_builder_open(&text, *state, 100000);
    weir_builder_add(&text, WEIR_STR("--b\r\nX: "));
    for (size_t i = 0; i < 4200; i++) {
        weir_builder_add_byte(&text, 'x');
    }
    weir_builder_add(&text, WEIR_STR("\r\n" HEAD "\r\n1\r\n--b--\r\n"));
    assert_text(parsed(*state, WEIR_WAF_MULTIPART, weir_builder_text(&text), 0, CT,
                       (weir_waf_body_limits){0}, &lines)
                    ->message,
                WEIR_STR("Multipart parsing error: Multipart: Part header line over 4096 bytes "
                         "long."));
}

static void files_beyond_the_limit_set_a_flag(void **state)
{
    weir_str lines;
    const weir_waf_body_report *report = parsed(
        *state, WEIR_WAF_MULTIPART,
        WEIR_STR("--b\r\nContent-Disposition: form-data; name=a; filename=x\r\n\r\n1\r\n"
                 "--b\r\nContent-Disposition: form-data; name=a; filename=y\r\n\r\n1\r\n--b--\r\n"),
        0, CT, (weir_waf_body_limits){.files_max = 1}, &lines);

    assert_true(report->multipart.file_limit_exceeded && report->multipart.strict_error);
    assert_non_null(weir_str_find(lines, WEIR_STR("file a=x")));
    assert_null(weir_str_find(lines, WEIR_STR("file a=y")));
}

static void long_lines_of_data_are_taken(void **state)
{
    weir_builder text;
    weir_str lines;
    const weir_waf_body_report *report;

    weir_builder_open(&text, *state, 100000);
    weir_builder_add(&text, WEIR_STR("--b\r\n" HEAD "\r\n"));
    for (size_t i = 0; i < 30000; i++) {
        weir_builder_add_byte(&text, 'x');
    }
    weir_builder_add(&text, WEIR_STR("\r\n--b--\r\n"));
    report = parsed(*state, WEIR_WAF_MULTIPART, weir_builder_text(&text), 1000, CT,
                    (weir_waf_body_limits){0}, &lines);
    assert_false(report->failed);
    assert_true(lines.len > 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAF_TEST(a_form_is_split),
        WAF_TEST(an_escape_that_is_none_stays_and_is_told),
        WAF_TEST(arguments_beyond_the_limit_are_counted_and_dropped),
        WAF_TEST(memory_is_bounded),
        WAF_TEST(scalars_are_named_by_their_path),
        WAF_TEST(strings_become_utf8),
        WAF_TEST(json_that_is_none_fails_and_keeps_what_was_found),
        WAF_TEST(depth_is_bounded),
        WAF_TEST(text_and_attributes_of_xml_are_told),
        WAF_TEST(elements_of_xml_may_be_arguments),
        WAF_TEST(the_encoding_of_xml_is_told_by_its_first_bytes),
        WAF_TEST(xml_with_bytes_that_its_encoding_has_not_fails),
        WAF_TEST(xml_that_is_none_fails),
        WAF_TEST(declared_entities_are_refused),
        WAF_TEST(parts_are_arguments_and_files),
        WAF_TEST(a_part_with_an_empty_file_name_is_an_argument),
        WAF_TEST(doubtful_forms_set_their_flag),
        WAF_TEST(what_looks_like_a_boundary_is_told),
        WAF_TEST(multipart_that_nobody_should_send_fails),
        WAF_TEST(a_part_header_line_has_a_limit),
        WAF_TEST(files_beyond_the_limit_set_a_flag),
        WAF_TEST(long_lines_of_data_are_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
