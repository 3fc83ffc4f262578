/*
 * referer: whether a request came by a link from a place that may make links here.
 *
 *     valid_referers none blocked server_names *.example.org www.example.com/pages/ ~\.search\.;
 *     if ($invalid_referer) { return 403; }
 *
 * A Referer is what a client likes to say: this keeps pages from using others' pictures, and is no access control.
 */

#include "modules/http/engine/core_conf.h"

/* One place: a name with wildcards as of server_name, and the beginning of a path; or a regex over both. */
typedef struct {
    weir_str host;           /* lower case */
    weir_str path;           /* empty: any */
    const weir_regex *regex; /* NULL: none */
} referer_place;

typedef struct {
    weir_array *places; /* referer_place; NULL: nothing was said, and all are valid */
    bool may_be_missing, may_be_blocked, may_be_us;
} referer_list;

typedef struct {
    referer_list valid;
} referer_conf;

extern const weir_http_module weir_http_referer;

/* ---- reading */

/* "~REGEX", or a name with or without the beginning of a path.  False: refused. */
static bool place_read(weir_conf *conf, weir_str word, referer_place *place)
{
    const char *slash = weir_str_find_byte(word, '/');

    *place = (referer_place){.host = word};
    if (weir_str_starts(word, WEIR_STR("~"))) {
        if (word.len == 1) {
            return weir_conf_refuse(conf, "empty regex in \"~\" of \"valid_referers\"");
        }
        place->regex =
            weir_regex_new(conf, weir_space_of(conf, "http"), weir_str_from(word, 1), true);
        return place->regex != NULL;
    }
    if (slash != NULL) {
        place->path = weir_str_from(word, (size_t) (slash - word.data));
        word = weir_str_slice(word, 0, (size_t) (slash - word.data));
    }
    return weir_str_lower(weir_conf_pool(conf), word, &place->host)
           || weir_conf_refuse(conf, "no memory for \"valid_referers\"");
}

static bool place_add(weir_conf *conf, referer_list *list, weir_str word)
{
    referer_place read;
    referer_place *place;

    if (!place_read(conf, word, &read)) {
        return false;
    }
    if (read.regex == NULL && (read.host.len == 0 || weir_str_starts(read.path, WEIR_STR("//")))) {
        weir_conf_warn(conf, "\"%.*s\" allows no referer: it is to be a name, without a scheme",
                       WEIR_STR_ARG(word));
        return true;
    }
    place = weir_array_push(list->places);
    if (place == NULL) {
        return weir_conf_refuse(conf, "no memory for \"valid_referers\"");
    }
    *place = read;
    return true;
}

/* valid_referers none | blocked | server_names | STRING ... */
static bool valid_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    referer_list *list = &((referer_conf *) settings)->valid;

    /* A level's own list takes the place of the outer one's, and its directives add up. */
    if (!weir_level_has_set(weir_conf_level(conf), &weir_http_referer.base,
                            offsetof(referer_conf, valid))) {
        *list = (referer_list){.places = WEIR_NEW(weir_conf_pool(conf), weir_array)};
        if (list->places == NULL) {
            return weir_conf_refuse(conf, "no memory for \"valid_referers\"");
        }
        weir_array_init(list->places, weir_conf_pool(conf), sizeof(referer_place), 4);
    }
    for (size_t i = 1; i < statement->count; i++) {
        weir_str word = statement->args[i];

        if (weir_str_eq(word, WEIR_STR("none"))) {
            list->may_be_missing = true;
        } else if (weir_str_eq(word, WEIR_STR("blocked"))) {
            list->may_be_blocked = true;
        } else if (weir_str_eq(word, WEIR_STR("server_names"))) {
            list->may_be_us = true;
        } else if (!place_add(conf, list, word)) {
            return false;
        }
    }
    return true;
}

static const weir_directive referer_directives[] = {
    {
        .name = "valid_referers",
        .where = WEIR_HTTP_SERVER | WEIR_HTTP_LOCATION,
        .takes = WEIR_TAKES_SOME,
        .slot = WEIR_SLOT_CALL(referer_conf, valid, valid_call),
        .repeatable = true,
        .syntax = "none | blocked | server_names | string ...",
        .doc = "Which values of Referer leave $invalid_referer empty.",
    },
    {.name = "referer_hash_max_size",
     .where = WEIR_HTTP_SERVER | WEIR_HTTP_LOCATION,
     .doc = "Accepted: there are no tables to be sized."},
    {.name = "referer_hash_bucket_size",
     .where = WEIR_HTTP_SERVER | WEIR_HTTP_LOCATION,
     .doc = "Accepted: there are no tables to be sized."},
    {0},
};

/* ---- judging */

/* "example.org", ".example.org" for it and all below it, "*.example.org", "example.*" */
static bool host_matches(weir_str host, weir_str name)
{
    if (weir_str_starts(name, WEIR_STR("*."))) {
        return host.len >= name.len && weir_str_ends(host, weir_str_from(name, 1));
    }
    if (name.data[0] == '.') {
        return weir_str_eq(host, weir_str_from(name, 1))
               || (host.len > name.len && weir_str_ends(host, name));
    }
    if (weir_str_ends(name, WEIR_STR(".*"))) {
        return host.len >= name.len && weir_str_starts(host, weir_str_slice(name, 0, name.len - 1));
    }
    return weir_str_eq(host, name);
}

static bool is_of_server(const weir_server *server, weir_str host, const weir_log *log)
{
    for (WEIR_ARRAY_EACH(&server->names, const weir_server_name, name)) {
        if (name->regex != NULL ? weir_regex_test(name->regex, host, log) == WEIR_REGEX_MATCH
                                : name->text.len != 0 && host_matches(host, name->text)) {
            return true;
        }
    }
    return false;
}

/* "host[:port][/path]", what stands behind the scheme. */
static bool is_listed(const weir_http_exchange *ex, const referer_list *list, weir_str rest)
{
    size_t end = 0;
    weir_str host, path;

    while (end < rest.len && rest.data[end] != '/' && rest.data[end] != ':') {
        end++;
    }
    if (!weir_str_lower(ex->pool, weir_str_slice(rest, 0, end), &host)) {
        return false;
    }
    path = weir_str_from(rest, end);
    if (path.len != 0 && path.data[0] == ':') {
        const char *slash = weir_str_find_byte(path, '/');

        path = slash == NULL ? WEIR_STR_EMPTY : weir_str_from(path, (size_t) (slash - path.data));
    }

    if (list->may_be_us && is_of_server(&ex->server->base, host, &ex->log)) {
        return true;
    }
    for (WEIR_ARRAY_EACH(list->places, const referer_place, place)) {
        if (place->regex != NULL
                ? weir_regex_test(place->regex, rest, &ex->log) == WEIR_REGEX_MATCH
                : host_matches(host, place->host) && weir_str_starts(path, place->path)) {
            return true;
        }
    }
    return false;
}

static bool is_valid(const weir_http_exchange *ex, const referer_list *list)
{
    weir_str referer = weir_http_fields_value(&ex->request.fields, WEIR_HTTP_REFERER);
    weir_str http = WEIR_STR("http://");
    weir_str https = WEIR_STR("https://");

    if (list->places == NULL) {
        return true;
    }
    if (weir_http_fields_find(&ex->request.fields, WEIR_HTTP_REFERER) == NULL) {
        return list->may_be_missing;
    }
    if (weir_str_starts_nocase(referer, http) && referer.len > http.len) {
        return is_listed(ex, list, weir_str_from(referer, http.len));
    }
    if (weir_str_starts_nocase(referer, https) && referer.len > https.len) {
        return is_listed(ex, list, weir_str_from(referer, https.len));
    }
    /* No URL, or none that leads anywhere: something on the way has taken it out. */
    return list->may_be_blocked;
}

static bool get_invalid(weir_script *script, uintptr_t arg, weir_value *value)
{
    const weir_http_exchange *ex = script->subject;
    const referer_conf *referer = weir_http_settings(ex, &weir_http_referer);

    (void) arg;
    value->found = true;
    value->text = is_valid(ex, &referer->valid) ? WEIR_STR_EMPTY : WEIR_STR("1");
    return true;
}

static const weir_variable referer_variables[] = {
    {.name = "invalid_referer", .get = get_invalid, .is_volatile = true},
    {0},
};

const weir_http_module weir_http_referer = {
    .name = "http_referer",
    .directives = referer_directives,
    .conf_size = sizeof(referer_conf),
    .variables = referer_variables,
};
