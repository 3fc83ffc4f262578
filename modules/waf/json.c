#include "modules/waf/json.h"

/* Writes JSON. */

/* The bytes of a well-formed character that is not ASCII (RFC 3629, 4); 0: it is none. */
static size_t utf8_len(weir_str text, size_t at)
{
    unsigned char first = (unsigned char) text.data[at];
    size_t len = first >= 0xc2 && first <= 0xdf   ? 2
                 : first >= 0xe0 && first <= 0xef ? 3
                 : first >= 0xf0 && first <= 0xf4 ? 4
                                                  : 0;

    if (len == 0 || text.len - at < len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char) text.data[at + i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    unsigned char second = (unsigned char) text.data[at + 1];

    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)
        || (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
        return 0;
    }
    return len;
}

/* \uHHLL */
static void add_code(weir_builder *to, const char *high, unsigned low)
{
    static const char hex[] = "0123456789abcdef";
    const char code[] = {'\\', 'u', high[0], high[1], hex[low >> 4 & 15], hex[low & 15]};

    weir_builder_add(to, weir_str_of(code, sizeof(code)));
}

static void add_text(weir_builder *to, weir_str text)
{
    weir_builder_add_byte(to, '"');
    /* What is full takes nothing of it, and would take long to. */
    for (size_t i = 0; i < text.len && !to->failed; i++) {
        unsigned char c = (unsigned char) text.data[i];
        size_t len = c >= 0x80 ? utf8_len(text, i) : 0;

        if (len == 2 && c == 0xc2 && (unsigned char) text.data[i + 1] < 0xa0) {
            /* U+0080 to U+009F: terminals obey some of them. */
            i++;
            add_code(to, "00", (unsigned char) text.data[i]);
        } else if (len == 3 && weir_str_eq(weir_str_slice(text, i, i + 2), WEIR_STR("\xe2\x80"))
                   && ((unsigned char) text.data[i + 2] & 0xfe) == 0xa8) {
            /* U+2028 and U+2029 end lines, for some. */
            add_code(to, "20", (unsigned char) text.data[i + 2] - 0x80);
            i += 2;
        } else if (len != 0) {
            weir_builder_add(to, weir_str_of(text.data + i, len));
            i += len - 1;
        } else if (c == '"' || c == '\\') {
            weir_builder_add_byte(to, '\\');
            weir_builder_add_byte(to, (char) c);
        } else if (c < ' ' || c >= 0x7f) {
            add_code(to, "00", c);
        } else {
            weir_builder_add_byte(to, (char) c);
        }
    }
    weir_builder_add_byte(to, '"');
}

static void begin(weir_waf_json *json, const char *name)
{
    if (json->needs_comma) {
        weir_builder_add_byte(json->to, ',');
    }
    if (name != NULL) {
        add_text(json->to, weir_str_from_z(name));
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
    add_text(json->to, text);
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
    add_text(json->to, name);
    weir_builder_add_byte(json->to, ':');
    add_text(json->to, text);
}
