/*
 * autoindex: lists what is in a folder.
 *
 *     autoindex on;
 *     autoindex_format json;
 *
 * With "jsonp" it is JSON, in a call of the function that the argument "callback" names, if there is one.
 */

#include "modules/http/engine/core_conf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/json.h"

/* Names longer than this are cut in the page, as nginx cuts them. */
#define NAME_SHOWN 50

/* A folder with more is refused: a page of it would be of no use, and cost much. */
#define ENTRIES_MAX 100000

enum { FORMAT_HTML, FORMAT_JSON, FORMAT_JSONP, FORMAT_XML };

typedef struct {
    bool is_on, exact_size, local_time;
    unsigned format;
} autoindex_conf;

typedef struct {
    weir_str name;
    bool is_folder, is_file;
    int64_t modified_s;
    uint64_t bytes;
} entry;

static const weir_choice format_choices[] = {
    {"html", FORMAT_HTML},
    {"json", FORMAT_JSON},
    {"jsonp", FORMAT_JSONP},
    {"xml", FORMAT_XML},
    {NULL, 0},
};

#define ROW(name_, slot_, preset_, doc_)                                                           \
    {                                                                                              \
        .name = name_, .where = WEIR_HTTP_ANYWHERE, .slot = slot_, .preset = preset_, .doc = doc_  \
    }

static const weir_directive autoindex_directives[] = {
    ROW("autoindex", WEIR_SLOT_FLAG(autoindex_conf, is_on), "off", "Lists folders."),
    ROW("autoindex_exact_size", WEIR_SLOT_FLAG(autoindex_conf, exact_size), "on",
        "Shows sizes in bytes, not rounded."),
    ROW("autoindex_localtime", WEIR_SLOT_FLAG(autoindex_conf, local_time), "off",
        "Shows local times, not UTC."),
    ROW("autoindex_format", WEIR_SLOT_ENUM(autoindex_conf, format, format_choices), "html",
        "What a list is written as."),
    {0},
};

/* ---- reading a folder */

static int entry_order(const void *a, const void *b)
{
    const entry *first = a;
    const entry *second = b;

    if (first->is_folder != second->is_folder) {
        return first->is_folder ? -1 : 1;
    }
    return weir_str_compare(first->name, second->name);
}

static bool entry_add(weir_http_exchange *ex, weir_array *entries, int folder, const char *name)
{
    struct stat found;
    entry *added;

    /* A link that leads nowhere is still a name. */
    if (fstatat(folder, name, &found, 0) != 0
        && fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) != 0) {
        return true;
    }
    added = entries->count == ENTRIES_MAX ? NULL : weir_array_push(entries);
    if (added == NULL || !weir_str_copy(ex->pool, weir_str_from_z(name), &added->name)) {
        return false;
    }
    added->is_folder = S_ISDIR(found.st_mode);
    added->is_file = S_ISREG(found.st_mode);
    added->modified_s = found.st_mtime;
    added->bytes = (uint64_t) found.st_size;
    return true;
}

static bool entries_read(weir_http_exchange *ex, DIR *folder, weir_array *entries)
{
    const struct dirent *item;

    weir_array_init(entries, ex->pool, sizeof(entry), 40);
    while ((item = readdir(folder)) != NULL) {
        if (item->d_name[0] != '.' && !entry_add(ex, entries, dirfd(folder), item->d_name)) {
            return false;
        }
    }
    if (entries->count != 0) {
        qsort(entries->items, entries->count, sizeof(entry), entry_order);
    }
    return true;
}

/* ---- writing */

static void add_html(weir_builder *builder, weir_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.data[i]) {
        case '&':
            weir_builder_add(builder, WEIR_STR("&amp;"));
            break;
        case '<':
            weir_builder_add(builder, WEIR_STR("&lt;"));
            break;
        case '>':
            weir_builder_add(builder, WEIR_STR("&gt;"));
            break;
        case '"':
            weir_builder_add(builder, WEIR_STR("&quot;"));
            break;
        default:
            weir_builder_add_byte(builder, text.data[i]);
            break;
        }
    }
}

/* In a link ":" would make a scheme of what stands before it, and "&" begin an entity. */
static void add_link(weir_builder *builder, weir_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == ':') {
            weir_builder_add(builder, WEIR_STR("%3A"));
        } else if (name.data[i] == '&') {
            weir_builder_add(builder, WEIR_STR("%26"));
        } else {
            (void) weir_http_escape_path(builder, weir_str_slice(name, i, i + 1));
        }
    }
}

static void add_size(weir_builder *builder, const autoindex_conf *autoindex, const entry *item)
{
    uint64_t size = item->bytes;
    unsigned shift = size < (1 << 20) ? 10 : size < (1 << 30) ? 20 : 30;

    if (item->is_folder) {
        weir_builder_printf(builder, "%*s", autoindex->exact_size ? 20 : 8, "-");
        return;
    }
    if (autoindex->exact_size) {
        weir_builder_printf(builder, "%20llu", (unsigned long long) size);
        return;
    }
    if (size < 10000) {
        weir_builder_printf(builder, "%8llu", (unsigned long long) size);
        return;
    }
    /* Rounded, half of a unit up. */
    size = (size >> shift) + (size >> (shift - 1) & 1);
    weir_builder_printf(builder, "%7llu%c", (unsigned long long) size, "KMG"[shift / 10 - 1]);
}

static struct tm entry_time(const autoindex_conf *autoindex, const entry *item)
{
    time_t seconds = (time_t) item->modified_s;
    struct tm time = {0};

    if (autoindex->local_time) {
        (void) localtime_r(&seconds, &time);
    } else {
        (void) gmtime_r(&seconds, &time);
    }
    return time;
}

/* Characters, not bytes, are what a name is cut by. */
static size_t shown_length(weir_str name, size_t most, size_t *characters)
{
    size_t len = 0;

    *characters = 0;
    while (len < name.len && *characters < most) {
        len++;
        while (len < name.len && ((unsigned char) name.data[len] & 0xc0) == 0x80) {
            len++;
        }
        (*characters)++;
    }
    return len;
}

static void add_row(weir_builder *builder, const autoindex_conf *autoindex, const entry *item)
{
    char text[32];
    struct tm time = entry_time(autoindex, item);
    size_t most = NAME_SHOWN - (item->is_folder ? 1u : 0u);
    size_t shown;
    size_t len = shown_length(item->name, most, &shown);
    bool is_cut = len < item->name.len;

    if (is_cut) {
        len = shown_length(item->name, NAME_SHOWN - 3, &shown);
    }
    weir_builder_add(builder, WEIR_STR("<a href=\""));
    add_link(builder, item->name);
    weir_builder_add(builder, item->is_folder ? WEIR_STR("/\">") : WEIR_STR("\">"));
    add_html(builder, weir_str_slice(item->name, 0, len));
    if (is_cut) {
        weir_builder_add(builder, WEIR_STR("..&gt;"));
        shown += 3;
    } else if (item->is_folder) {
        weir_builder_add_byte(builder, '/');
        shown++;
    }
    weir_builder_add(builder, WEIR_STR("</a>"));
    weir_builder_printf(builder, "%*s", (int) (NAME_SHOWN - shown + 1), "");
    text[strftime(text, sizeof(text), "%d-%b-%Y %H:%M", &time)] = '\0';
    weir_builder_add(builder, weir_str_from_z(text));
    add_size(builder, autoindex, item);
    weir_builder_add(builder, WEIR_STR("\r\n"));
}

static void write_html(weir_builder *builder, const autoindex_conf *autoindex, weir_str path,
                       const weir_array *entries)
{
    weir_builder_add(builder, WEIR_STR("<html>\r\n<head><title>Index of "));
    add_html(builder, path);
    weir_builder_add(builder, WEIR_STR("</title></head>\r\n<body>\r\n<h1>Index of "));
    add_html(builder, path);
    weir_builder_add(builder, WEIR_STR("</h1><hr><pre><a href=\"../\">../</a>\r\n"));
    for (WEIR_ARRAY_EACH(entries, const entry, item)) {
        add_row(builder, autoindex, item);
    }
    weir_builder_add(builder, WEIR_STR("</pre><hr></body>\r\n</html>\r\n"));
}

static weir_str entry_kind(const entry *item)
{
    return item->is_folder ? WEIR_STR("directory")
           : item->is_file ? WEIR_STR("file")
                           : WEIR_STR("other");
}

static void write_json(weir_builder *builder, const autoindex_conf *autoindex,
                       const weir_array *entries)
{
    bool is_first = true;

    weir_builder_add_byte(builder, '[');
    for (WEIR_ARRAY_EACH(entries, const entry, item)) {
        char text[40];
        struct tm time = entry_time(autoindex, item);

        text[strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &time)] = '\0';
        weir_builder_add(builder,
                         is_first ? WEIR_STR("\r\n{ \"name\":") : WEIR_STR(",\r\n{ \"name\":"));
        is_first = false;
        weir_json_write_string(builder, item->name);
        weir_builder_printf(builder, ", \"type\":\"%.*s\", \"mtime\":\"%s\"",
                            WEIR_STR_ARG(entry_kind(item)), text);
        if (item->is_file) {
            weir_builder_printf(builder, ", \"size\":%llu", (unsigned long long) item->bytes);
        }
        weir_builder_add(builder, WEIR_STR(" }"));
    }
    weir_builder_add(builder, WEIR_STR("\r\n]"));
}

static void write_xml(weir_builder *builder, const autoindex_conf *autoindex,
                      const weir_array *entries)
{
    weir_builder_add(builder, WEIR_STR("<?xml version=\"1.0\"?>\r\n<list>\r\n"));
    for (WEIR_ARRAY_EACH(entries, const entry, item)) {
        char text[40];
        struct tm time = entry_time(autoindex, item);

        text[strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &time)] = '\0';
        weir_builder_printf(builder, "<%.*s mtime=\"%s\"", WEIR_STR_ARG(entry_kind(item)), text);
        if (item->is_file) {
            weir_builder_printf(builder, " size=\"%llu\"", (unsigned long long) item->bytes);
        }
        weir_builder_add_byte(builder, '>');
        add_html(builder, item->name);
        weir_builder_printf(builder, "</%.*s>\r\n", WEIR_STR_ARG(entry_kind(item)));
    }
    weir_builder_add(builder, WEIR_STR("</list>\r\n"));
}

/* What may be a name in a script, with its dots. */
static bool callback_is_name(weir_str callback)
{
    for (size_t i = 0; i < callback.len; i++) {
        char byte = callback.data[i];

        if (!((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z')
              || (byte >= '0' && byte <= '9') || byte == '_' || byte == '.')) {
            return false;
        }
    }
    return true;
}

static void write_jsonp(weir_builder *builder, const autoindex_conf *autoindex, weir_str callback,
                        const weir_array *entries)
{
    /* The comment: no caller may choose how the response begins. */
    weir_builder_add(builder, WEIR_STR("/* callback */\r\n"));
    weir_builder_add(builder, callback);
    weir_builder_add_byte(builder, '(');
    write_json(builder, autoindex, entries);
    weir_builder_add(builder, WEIR_STR(");"));
}

static weir_http_verdict answer_list(weir_http_exchange *ex, const autoindex_conf *autoindex,
                                     const weir_array *entries)
{
    weir_str type = WEIR_STR("text/html");
    weir_str callback = WEIR_STR_EMPTY;
    weir_builder builder;
    weir_str text;

    if (autoindex->format == FORMAT_JSONP) {
        (void) weir_http_arg_find(ex, WEIR_STR("callback"), &callback);
        if (!callback_is_name(callback)) {
            weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "client sent invalid callback name: \"%.*s\"",
                          WEIR_STR_ARG(callback));
            return weir_http_answer_because(ex, 400, "invalid callback name");
        }
    }
    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    switch (autoindex->format) {
    case FORMAT_JSONP:
        if (callback.len != 0) {
            type = WEIR_STR("application/javascript");
            write_jsonp(&builder, autoindex, callback, entries);
            break;
        }
        type = WEIR_STR("application/json");
        write_json(&builder, autoindex, entries);
        break;
    case FORMAT_JSON:
        type = WEIR_STR("application/json");
        write_json(&builder, autoindex, entries);
        break;
    case FORMAT_XML:
        type = WEIR_STR("text/xml; charset=utf-8");
        write_xml(&builder, autoindex, entries);
        break;
    default:
        write_html(&builder, autoindex, ex->request.path, entries);
        break;
    }
    return weir_builder_close(&builder, &text) ? weir_http_answer_text(ex, 200, type, text)
                                               : WEIR_HTTP_FAILED;
}

static weir_http_verdict refuse(weir_http_exchange *ex, weir_str path, int error)
{
    unsigned status = error == EACCES                                                ? 403
                      : error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG ? 404
                                                                                     : 500;

    if (status != 404 || ex->core->log_not_found) {
        weir_log_line(&ex->log, status == 500 ? WEIR_LOG_CRIT : WEIR_LOG_ERR, error,
                      "opendir() \"%.*s\" failed", WEIR_STR_ARG(path));
    }
    return weir_http_answer_because(ex, status, "folder cannot be opened");
}

static weir_http_verdict autoindex_judge(weir_http_exchange *ex, const void *location)
{
    weir_str uri = ex->request.path;
    weir_array entries;
    weir_str path;
    DIR *folder;
    bool is_read;

    if (uri.len == 0 || uri.data[uri.len - 1] != '/'
        || (ex->request.method != WEIR_HTTP_GET && ex->request.method != WEIR_HTTP_HEAD)) {
        return WEIR_HTTP_PASS;
    }
    if (!weir_http_file_path(ex, &path)) {
        return WEIR_HTTP_FAILED;
    }
    if (weir_http_path_climbs(ex, path)) {
        return refuse(ex, path, ENOENT);
    }
    folder = opendir(path.data);
    if (folder == NULL) {
        return refuse(ex, path, errno);
    }
    is_read = entries_read(ex, folder, &entries);
    (void) closedir(folder);
    if (!is_read) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "\"%.*s\" is too large to be listed",
                      WEIR_STR_ARG(path));
        return WEIR_HTTP_FAILED;
    }
    return answer_list(ex, location, &entries);
}

static bool autoindex_applies(const void *location)
{
    return ((const autoindex_conf *) location)->is_on;
}

const weir_http_module weir_http_autoindex = {
    .name = "http_autoindex",
    .directives = autoindex_directives,
    .conf_size = sizeof(autoindex_conf),
    .phases = 1u << WEIR_HTTP_PHASE_CONTENT,
    .judge = autoindex_judge,
    .applies = autoindex_applies,
};
