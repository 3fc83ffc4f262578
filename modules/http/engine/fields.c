#include "modules/http/engine/fields.h"

#include "core/base/builder.h"

/* What most heads have; more doubles it. */
#define FIELDS_FIRST 16

void weir_http_fields_init(weir_http_fields *fields, weir_pool *pool, uint16_t limit)
{
    memset(fields, 0, sizeof(*fields));
    fields->pool = pool;
    fields->limit = limit;
}

static bool fields_grow(weir_http_fields *fields)
{
    unsigned capacity = fields->capacity == 0 ? FIELDS_FIRST : fields->capacity * 2u;

    if (capacity > UINT16_MAX) {
        return false;
    }

    weir_http_field *items = weir_pool_alloc(fields->pool, capacity * sizeof(*items));

    if (items == NULL) {
        return false;
    }
    if (fields->items != NULL) {
        memcpy(items, fields->items, fields->count * sizeof(*items));
    }
    fields->items = items;
    fields->capacity = (uint16_t) capacity;
    return true;
}

/* Puts the line at 1-based `place` behind those of its name, whose first is at `*first`. */
static void fields_link(weir_http_field *items, uint16_t *first, uint16_t place)
{
    uint16_t *link = first;

    while (*link != 0) {
        link = &items[*link - 1].next_same;
    }
    *link = place;
}

bool weir_http_fields_add_parsed(weir_http_fields *fields, weir_http_name name, weir_str text,
                                 weir_str value)
{
    if (fields->count >= fields->limit
        || ((fields->items == NULL || fields->count == fields->capacity) && !fields_grow(fields))) {
        return false;
    }

    weir_http_field *items = fields->items;

    items[fields->count++] = (weir_http_field){.name = name, .text = text, .value = value};
    if (name != WEIR_HTTP_OTHER) {
        fields_link(items, &fields->first[name], fields->count);
    }
    return true;
}

bool weir_http_fields_add(weir_http_fields *fields, weir_http_name name, weir_str value)
{
    return weir_http_is_field_value(value)
           && weir_http_fields_add_parsed(fields, name, weir_http_name_text(name), value);
}

bool weir_http_fields_add_text(weir_http_fields *fields, weir_str name, weir_str value)
{
    return weir_http_is_token(name) && weir_http_is_field_value(value)
           && weir_http_fields_add_parsed(fields, weir_http_name_find(name), name, value);
}

bool weir_http_fields_set(weir_http_fields *fields, weir_http_name name, weir_str value)
{
    if (!weir_http_is_field_value(value)) {
        return false;
    }

    weir_http_field *field = weir_http_fields_find(fields, name);

    if (field == NULL) {
        return weir_http_fields_add(fields, name, value);
    }

    uint16_t rest = field->next_same;

    field->value = value;
    field->next_same = 0;
    while (rest != 0) {
        weir_http_field *later = &fields->items[rest - 1];

        later->is_removed = true;
        rest = later->next_same;
    }
    return true;
}

void weir_http_fields_move(weir_http_fields *fields, const char *from, size_t len, const char *to)
{
    for (size_t i = 0; i < fields->count; i++) {
        weir_str_move(&fields->items[i].text, from, len, to);
        weir_str_move(&fields->items[i].value, from, len, to);
    }
}

void weir_http_fields_remove(weir_http_fields *fields, weir_http_name name)
{
    for (uint16_t place = fields->first[name]; place != 0;) {
        weir_http_field *field = &fields->items[place - 1];

        field->is_removed = true;
        place = field->next_same;
    }
    fields->first[name] = 0;
}

void weir_http_fields_remove_text(weir_http_fields *fields, weir_str name)
{
    weir_http_name known = weir_http_name_find(name);

    if (known != WEIR_HTTP_OTHER) {
        weir_http_fields_remove(fields, known);
        return;
    }

    for (uint16_t i = 0; i < fields->count; i++) {
        if (fields->items[i].name == WEIR_HTTP_OTHER
            && weir_str_eq_nocase(fields->items[i].text, name)) {
            fields->items[i].is_removed = true;
        }
    }
}

void weir_http_fields_remove_all(weir_http_fields *fields)
{
    memset(fields->first, 0, sizeof(fields->first));
    fields->count = 0;
}

weir_http_field *weir_http_fields_find(const weir_http_fields *fields, weir_http_name name)
{
    uint16_t place = fields->first[name];

    return place == 0 ? NULL : &fields->items[place - 1];
}

static weir_http_field *find_other(const weir_http_fields *fields, size_t from, weir_str name)
{
    for (size_t i = from; i < fields->count; i++) {
        weir_http_field *field = &fields->items[i];

        if (field->name == WEIR_HTTP_OTHER && !field->is_removed
            && weir_str_eq_nocase(field->text, name)) {
            return field;
        }
    }
    return NULL;
}

weir_http_field *weir_http_fields_find_text(const weir_http_fields *fields, weir_str name)
{
    weir_http_name known = weir_http_name_find(name);

    return known != WEIR_HTTP_OTHER ? weir_http_fields_find(fields, known)
                                    : find_other(fields, 0, name);
}

weir_http_field *weir_http_fields_next(const weir_http_fields *fields, const weir_http_field *field)
{
    if (field->name == WEIR_HTTP_OTHER) {
        return find_other(fields, (size_t) (field - fields->items) + 1, field->text);
    }
    return field->next_same == 0 ? NULL : &fields->items[field->next_same - 1];
}

weir_str weir_http_fields_value(const weir_http_fields *fields, weir_http_name name)
{
    const weir_http_field *field = weir_http_fields_find(fields, name);

    return field == NULL ? WEIR_STR_EMPTY : field->value;
}

bool weir_http_has_token(weir_str list, weir_str token)
{
    weir_str part;

    while (weir_str_split(&list, ',', &part)) {
        if (weir_str_eq_nocase(weir_str_trim(part), token)) {
            return true;
        }
    }
    return false;
}

bool weir_http_fields_have_token(const weir_http_fields *fields, weir_http_name name,
                                 weir_str token)
{
    for (const weir_http_field *field = weir_http_fields_find(fields, name); field != NULL;
         field = weir_http_fields_next(fields, field)) {
        if (weir_http_has_token(field->value, token)) {
            return true;
        }
    }
    return false;
}

bool weir_http_fields_join(const weir_http_fields *fields, weir_http_name name, weir_str text,
                           weir_str separator, weir_pool *pool, weir_str *joined)
{
    const weir_http_field *field = name != WEIR_HTTP_OTHER
                                       ? weir_http_fields_find(fields, name)
                                       : weir_http_fields_find_text(fields, text);

    if (field == NULL) {
        *joined = WEIR_STR_EMPTY;
        return true;
    }
    if (weir_http_fields_next(fields, field) == NULL) {
        *joined = field->value;
        return true;
    }

    weir_builder builder;

    weir_builder_open(&builder, pool, SIZE_MAX);
    for (bool is_first = true; field != NULL; field = weir_http_fields_next(fields, field)) {
        if (!is_first) {
            weir_builder_add(&builder, separator);
        }
        weir_builder_add(&builder, field->value);
        is_first = false;
    }
    return weir_builder_close(&builder, joined);
}
