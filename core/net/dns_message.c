/* Messages of the DNS (RFC 1035, 4; RFC 2782 for SRV; RFC 2181, 8 for times to live). */

#include "core/net/dns_message.h"

#include "core/base/random.h"

#define DNS_HEADER_BYTES 12
#define DNS_LABEL_MAX 63
#define DNS_CLASS_IN 1
/* More of them say nothing that one needs, and reading them costs. */
#define DNS_RECORDS_MAX 1024

enum {
    DNS_IS_RESPONSE = 0x8000,
    DNS_OPCODE = 0x7800,
    DNS_IS_TRUNCATED = 0x0200,
    DNS_WANTS_RECURSION = 0x0100,
    DNS_CODE = 0x000f,
};

/* ---- names */

static bool dns_byte_is_strange(char byte)
{
    unsigned char c = (unsigned char) byte;

    return c <= ' ' || c >= 0x7f || c == '.' || c == '/' || c == '\\';
}

bool weir_dns_name_of(weir_str text, weir_dns_name *name)
{
    size_t label = 0;

    if (text.len != 0 && text.data[text.len - 1] == '.') {
        text.len--;
    }
    if (text.len == 0 || text.len > WEIR_DNS_NAME_MAX) {
        return false;
    }

    name->len = text.len;
    name->is_strange = false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '.') {
            if (label == 0) {
                return false;
            }
            label = 0;
        } else if (dns_byte_is_strange(text.data[i]) || ++label > DNS_LABEL_MAX) {
            return false;
        }
        name->text[i] = weir_byte_lower(text.data[i]);
    }
    return label != 0;
}

static bool dns_name_eq(const weir_dns_name *a, const weir_dns_name *b)
{
    return !a->is_strange && !b->is_strange
           && weir_str_eq(weir_dns_name_text(a), weir_dns_name_text(b));
}

static bool dns_name_add_label(weir_dns_name *name, weir_str label)
{
    if (name->len != 0) {
        if (name->len == WEIR_DNS_NAME_MAX) {
            return false;
        }
        name->text[name->len++] = '.';
    }
    if (label.len > WEIR_DNS_NAME_MAX - name->len) {
        return false;
    }
    for (size_t i = 0; i < label.len; i++) {
        name->is_strange = name->is_strange || dns_byte_is_strange(label.data[i]);
        name->text[name->len++] = weir_byte_lower(label.data[i]);
    }
    return true;
}

/*
 * The name at `*at`, which then is behind it.  Pointers lead to earlier places only, each before where
 * the last one led: so it ends, whatever the bytes.
 */
static bool dns_name_take(weir_str message, size_t *at, weir_dns_name *name)
{
    size_t place = *at, earliest = *at;
    bool has_jumped = false;

    name->len = 0;
    name->is_strange = false;
    for (;;) {
        weir_cursor cursor = weir_cursor_of(weir_str_from(message, place));
        uint8_t kind, low;
        weir_str label;

        if (place >= message.len || !weir_cursor_take_u8(&cursor, &kind)) {
            return false;
        }
        if (kind >= 0xc0) {
            if (!weir_cursor_take_u8(&cursor, &low)) {
                return false;
            }
            if (!has_jumped) {
                *at = place + 2;
                has_jumped = true;
            }
            place = (size_t) (kind & 0x3f) << 8 | low;
            if (place >= earliest) {
                return false;
            }
            earliest = place;
            continue;
        }
        if (kind > DNS_LABEL_MAX || !weir_cursor_take(&cursor, kind, &label)) {
            return false;
        }
        place += 1 + (size_t) kind;
        if (kind == 0) {
            break;
        }
        if (!dns_name_add_label(name, label)) {
            return false;
        }
    }

    if (!has_jumped) {
        *at = place;
    }
    return true;
}

/* ---- queries */

static void dns_add_u16(weir_builder *message, unsigned number)
{
    weir_builder_add_byte(message, (char) (number >> 8 & 0xff));
    weir_builder_add_byte(message, (char) (number & 0xff));
}

static char dns_mix(char byte, const uint8_t *chance, size_t i)
{
    bool is_letter = byte >= 'a' && byte <= 'z';

    return is_letter && (chance[i / 8] >> i % 8 & 1) ? (char) (byte ^ 0x20) : byte;
}

void weir_dns_write(weir_builder *query, uint16_t id, const weir_dns_name *name, weir_dns_type type,
                    bool mixed)
{
    uint8_t chance[(WEIR_DNS_NAME_MAX + 7) / 8] = {0};
    weir_str rest = weir_dns_name_text(name), label;

    if (mixed) {
        weir_random_bytes(chance, sizeof(chance));
    }

    dns_add_u16(query, id);
    dns_add_u16(query, DNS_WANTS_RECURSION);
    dns_add_u16(query, 1);
    dns_add_u16(query, 0);
    dns_add_u16(query, 0);
    dns_add_u16(query, 0);
    while (weir_str_split(&rest, '.', &label)) {
        size_t from = (size_t) (label.data - name->text);

        weir_builder_add_byte(query, (char) label.len);
        for (size_t i = 0; i < label.len; i++) {
            weir_builder_add_byte(query, dns_mix(label.data[i], chance, from + i));
        }
    }
    weir_builder_add_byte(query, 0);
    dns_add_u16(query, type);
    dns_add_u16(query, DNS_CLASS_IN);
}

/* ---- answers */

typedef struct {
    weir_dns_name owner;
    uint16_t type, class;
    uint32_t ttl_s;
    size_t data; /* where it is in the message */
    size_t data_bytes;
} dns_raw_record;

static bool dns_record_take(weir_str message, size_t *at, dns_raw_record *record)
{
    weir_cursor cursor;
    uint16_t data_bytes;
    weir_str data;

    if (!dns_name_take(message, at, &record->owner)) {
        return false;
    }
    cursor = weir_cursor_of(weir_str_from(message, *at));
    if (!weir_cursor_take_u16(&cursor, &record->type)
        || !weir_cursor_take_u16(&cursor, &record->class)
        || !weir_cursor_take_u32(&cursor, &record->ttl_s)
        || !weir_cursor_take_u16(&cursor, &data_bytes)
        || !weir_cursor_take(&cursor, data_bytes, &data)) {
        return false;
    }
    if (record->ttl_s > INT32_MAX) {
        record->ttl_s = 0;
    }
    record->data = (size_t) (data.data - message.data);
    record->data_bytes = data.len;
    *at = record->data + data.len;
    return true;
}

static bool dns_record_is(const dns_raw_record *record, const weir_dns_name *owner, unsigned type)
{
    return record->type == type && record->class == DNS_CLASS_IN
           && dns_name_eq(&record->owner, owner);
}

/* A name that fills the rest of the record's data, from `skip` on. */
static bool dns_record_name(weir_str message, const dns_raw_record *record, size_t skip,
                            weir_dns_name *name)
{
    size_t at = record->data + skip, end = record->data + record->data_bytes;

    return at < end && dns_name_take(weir_str_slice(message, 0, end), &at, name) && at == end;
}

static bool dns_record_read(weir_str message, const dns_raw_record *raw, weir_dns_record *record)
{
    const char *data = message.data + raw->data;
    weir_cursor cursor = weir_cursor_of(weir_str_of(data, raw->data_bytes));

    memset(&record->addr, 0, sizeof(record->addr));
    switch (raw->type) {
    case WEIR_DNS_A:
        record->addr.len = sizeof(record->addr.in);
        record->addr.in.sin_family = AF_INET;
        if (raw->data_bytes != sizeof(record->addr.in.sin_addr)) {
            return false;
        }
        memcpy(&record->addr.in.sin_addr, data, raw->data_bytes);
        return true;

    case WEIR_DNS_AAAA:
        record->addr.len = sizeof(record->addr.in6);
        record->addr.in6.sin6_family = AF_INET6;
        if (raw->data_bytes != sizeof(record->addr.in6.sin6_addr)) {
            return false;
        }
        memcpy(&record->addr.in6.sin6_addr, data, raw->data_bytes);
        return true;

    default:
        return weir_cursor_take_u16(&cursor, &record->priority)
               && weir_cursor_take_u16(&cursor, &record->weight)
               && weir_cursor_take_u16(&cursor, &record->port)
               && dns_record_name(message, raw, 6, &record->target) && !record->target.is_strange;
    }
}

/* The alias that `answer->name` stands for, if a record says so. */
typedef enum {
    DNS_LINK_NONE,
    DNS_LINK_FOLLOWED,
    DNS_LINK_BROKEN,
} dns_link;

static dns_link dns_follow(weir_dns_answer *answer)
{
    size_t at = answer->at;

    for (size_t i = 0; i < answer->records_left; i++) {
        dns_raw_record record;

        if (!dns_record_take(answer->message, &at, &record)) {
            return DNS_LINK_BROKEN;
        }
        if (!dns_record_is(&record, &answer->name, WEIR_DNS_CNAME)) {
            continue;
        }
        if (!dns_record_name(answer->message, &record, 0, &answer->name) || answer->name.is_strange
            || answer->name.len == 0 || ++answer->links > WEIR_DNS_LINKS_MAX) {
            return DNS_LINK_BROKEN;
        }
        answer->ttl_s = record.ttl_s < answer->ttl_s ? record.ttl_s : answer->ttl_s;
        return DNS_LINK_FOLLOWED;
    }
    return DNS_LINK_NONE;
}

/* How many records answer; false: one is broken. `*end` is behind the last. */
static bool dns_count(weir_dns_answer *answer, size_t *count, size_t *end)
{
    *count = 0;
    *end = answer->at;
    for (size_t i = 0; i < answer->records_left; i++) {
        dns_raw_record raw;
        weir_dns_record record;

        if (!dns_record_take(answer->message, end, &raw)) {
            return false;
        }
        if (!dns_record_is(&raw, &answer->name, answer->type)) {
            continue;
        }
        if (!dns_record_read(answer->message, &raw, &record)) {
            return false;
        }
        answer->ttl_s = raw.ttl_s < answer->ttl_s ? raw.ttl_s : answer->ttl_s;
        ++*count;
    }
    return true;
}

/* A start of authority beside an empty answer: the server has looked, and there is nothing (RFC 2308, 2.2). */
static bool dns_says_nothing_is_there(weir_str message, size_t at, size_t records)
{
    dns_raw_record record;

    return records != 0 && dns_record_take(message, &at, &record) && record.type == WEIR_DNS_SOA;
}

static weir_dns_verdict dns_read_records(weir_dns_answer *answer, size_t authorities)
{
    dns_link link;
    size_t count, end;

    do {
        link = dns_follow(answer);
    } while (link == DNS_LINK_FOLLOWED);

    if (link == DNS_LINK_BROKEN || !dns_count(answer, &count, &end)) {
        return WEIR_DNS_BROKEN;
    }
    if (count == 0 && answer->links != 0
        && !dns_says_nothing_is_there(answer->message, end, authorities)) {
        return WEIR_DNS_ELSEWHERE;
    }
    return WEIR_DNS_ANSWERED;
}

weir_dns_verdict weir_dns_read(weir_str query, weir_str message, unsigned how,
                               weir_dns_answer *answer)
{
    weir_str asked = weir_str_from(query, DNS_HEADER_BYTES), said;
    weir_cursor cursor = weir_cursor_of(message);
    uint16_t id, flags, questions, answers, authorities, others, type;
    weir_cursor tail = weir_cursor_of(weir_str_from(query, query.len - 4));
    size_t at = DNS_HEADER_BYTES;

    memset(answer, 0, sizeof(*answer));
    if (!weir_cursor_take_u16(&cursor, &id) || !weir_cursor_take_u16(&cursor, &flags)
        || !weir_cursor_take_u16(&cursor, &questions) || !weir_cursor_take_u16(&cursor, &answers)
        || !weir_cursor_take_u16(&cursor, &authorities) || !weir_cursor_take_u16(&cursor, &others)
        || !weir_cursor_take(&cursor, asked.len, &said) || !weir_cursor_take_u16(&tail, &type)
        || memcmp(query.data, message.data, sizeof(id)) != 0
        || (flags & (DNS_IS_RESPONSE | DNS_OPCODE)) != DNS_IS_RESPONSE || questions != 1
        || !weir_str_eq_nocase(asked, said) || !dns_name_take(query, &at, &answer->name)) {
        return WEIR_DNS_NOT_OURS;
    }
    if (!(how & WEIR_DNS_ANY_CASE) && !weir_str_eq(asked, said)) {
        return WEIR_DNS_OTHER_CASE;
    }

    answer->code = flags & DNS_CODE;
    if (answer->code != WEIR_DNS_NO_ERROR) {
        return WEIR_DNS_REFUSED;
    }
    if ((flags & DNS_IS_TRUNCATED) && !(how & WEIR_DNS_BY_TCP)) {
        return WEIR_DNS_TRUNCATED;
    }

    answer->ttl_s = INT32_MAX;
    answer->message = message;
    answer->type = (weir_dns_type) type;
    answer->at = DNS_HEADER_BYTES + asked.len;
    answer->records_left = answers < DNS_RECORDS_MAX ? answers : DNS_RECORDS_MAX;
    return dns_read_records(answer, answers <= DNS_RECORDS_MAX ? authorities : 0);
}

bool weir_dns_next(weir_dns_answer *answer, weir_dns_record *record)
{
    dns_raw_record raw;

    while (answer->records_left != 0) {
        answer->records_left--;
        if (!dns_record_take(answer->message, &answer->at, &raw)) {
            break;
        }
        if (dns_record_is(&raw, &answer->name, answer->type)) {
            return dns_record_read(answer->message, &raw, record);
        }
    }
    return false;
}
