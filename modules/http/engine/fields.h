#ifndef WEIR_HTTP_ENGINE_FIELDS_H
#define WEIR_HTTP_ENGINE_FIELDS_H

#include "core/base/pool.h"
#include "core/base/result.h"
#include "modules/http/engine/names.h"

/* A field line of a head or trailer section; text and value are slices into what was received. */
typedef struct {
    weir_http_name name;
    uint16_t next_same; /* 1-based place of the next line of the same known name; 0: none */
    bool is_removed;
    weir_str text;  /* the name as written */
    weir_str value; /* without OWS at its ends */
} weir_http_field;

/*
 * The fields of one section, in order.  Members are to be read through the
 * functions; `items` may be walked (skip those removed).
 */
typedef struct {
    weir_http_field *items;
    uint16_t count, capacity, limit;
    weir_pool *pool;
    uint16_t first[WEIR_HTTP_NAME_COUNT]; /* 1-based place of the first line of each known name */
} weir_http_fields;

/* `limit`: lines at most. */
void weir_http_fields_init(weir_http_fields *fields, weir_pool *pool, uint16_t limit);

/*
 * Adds a field after those present; equal names are kept (RFC 9110, 5.3).
 *
 * The value must be free of CR, LF and NUL; else nothing is added.  It is
 * borrowed: it must live as long as the exchange's pool.
 * Returns false, also, when the pool or the limit on fields is used up.
 */
bool weir_http_fields_add(weir_http_fields *fields, weir_http_name name,
                          weir_str value) WEIR_MUST_USE;
/* The same with a name as text, known or not; it must be a token. */
bool weir_http_fields_add_text(weir_http_fields *fields, weir_str name,
                               weir_str value) WEIR_MUST_USE;
/* For parsers, which have checked both: `name` is the text's. */
bool weir_http_fields_add_parsed(weir_http_fields *fields, weir_http_name name, weir_str text,
                                 weir_str value) WEIR_MUST_USE;
/* Replaces all of that name by one. */
bool weir_http_fields_set(weir_http_fields *fields, weir_http_name name,
                          weir_str value) WEIR_MUST_USE;

/* As weir_str_move(), for each text and value. */
void weir_http_fields_move(weir_http_fields *fields, const char *from, size_t len, const char *to);

void weir_http_fields_remove(weir_http_fields *fields, weir_http_name name);
void weir_http_fields_remove_text(weir_http_fields *fields, weir_str name);
void weir_http_fields_remove_all(weir_http_fields *fields);

/* The first of that name, or NULL. */
weir_http_field *weir_http_fields_find(const weir_http_fields *fields, weir_http_name name);
weir_http_field *weir_http_fields_find_text(const weir_http_fields *fields, weir_str name);
/* The next of the same name, or NULL. */
weir_http_field *weir_http_fields_next(const weir_http_fields *fields,
                                       const weir_http_field *field);
/* The first's value; empty when there is none. */
weir_str weir_http_fields_value(const weir_http_fields *fields, weir_http_name name);
/* Whether a comma-separated list (the value of Connection, of TE) has this token. */
bool weir_http_has_token(weir_str list, weir_str token);
/* The same of a field, in any of its lines. */
bool weir_http_fields_have_token(const weir_http_fields *fields, weir_http_name name,
                                 weir_str token);
/* All values of a name joined by `separator` ("; " for Cookie, ", " else). False without memory. */
bool weir_http_fields_join(const weir_http_fields *fields, weir_http_name name, weir_str text,
                           weir_str separator, weir_pool *pool, weir_str *joined) WEIR_MUST_USE;

#endif
