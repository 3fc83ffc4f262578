#ifndef WEIR_HTTP_ENGINE_FILES_H
#define WEIR_HTTP_ENGINE_FILES_H

#include "modules/http/engine/exchange.h"

/*
 * Files that answer requests: found, opened and remembered as open_file_cache, disable_symlinks and directio say.
 */
typedef struct {
    int fd; /* -1: it was not to be opened, or is a folder */
    bool is_folder, is_regular;
    bool is_direct; /* opened for reading past the page cache */
    uint64_t size;
    int64_t modified_s;
    uint64_t device, inode;
    const char *failed; /* the call that failed, for the log: "open()" */
} weir_http_file;

/* What disable_symlinks says. */
typedef enum {
    WEIR_HTTP_SYMLINKS_TAKEN,
    WEIR_HTTP_SYMLINKS_REFUSED,
    WEIR_HTTP_SYMLINKS_OF_OTHERS_REFUSED, /* whose owner is not that of what they lead to */
} weir_http_symlinks;

/* Descriptors and what is known of files, of one open_file_cache, in each worker. */
typedef struct weir_http_file_cache weir_http_file_cache;

/* NULL: refused. */
weir_http_file_cache *weir_http_file_cache_new(weir_conf *conf, uint64_t max, uint64_t inactive_ms);

/*
 * Whether weir_http_file_path() was led out of the folders of root or alias, by a ".." that came
 * with a variable, a capture or a rewritten path.
 */
bool weir_http_path_climbs(const weir_http_exchange *ex, weir_str path);

/*
 * What the path names, which a NUL follows: opened for reading if that is wanted and it is no folder, until the
 * exchange ends.  0, or an error's number: ENOENT, also of a path
 * that climbs, ELOOP where links are refused, ...
 */
int weir_http_file_find(weir_http_exchange *ex, weir_str path, bool is_to_be_opened,
                        weir_http_file *file) WEIR_MUST_USE;

/* As the response's body, with its length and Last-Modified, and ETag where that is on.  False: no memory. */
bool weir_http_file_answer(weir_http_exchange *ex, const weir_http_file *file) WEIR_MUST_USE;

/* The answer to what could not be opened, logged: 404, 403 or 500. */
weir_http_verdict weir_http_file_refuse(weir_http_exchange *ex, weir_str path,
                                        const weir_http_file *file, int error);

#endif
