#include "modules/waf/operator_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/builder.h"

#define FILE_BYTES_MAX (64 * 1024 * 1024)

static bool read_all(int fd, char *bytes, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t got = read(fd, bytes + done, len - done);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        done += (size_t) got;
    }

    return true;
}

/* The open file's text into the pool; `*why` says what failed. */
static bool file_text(weir_pool *pool, int fd, weir_str *text, const char **why)
{
    struct stat stat;
    char *bytes;

    if (fstat(fd, &stat) != 0) {
        *why = strerror(errno);
        return false;
    }
    if (!S_ISREG(stat.st_mode) || stat.st_size > FILE_BYTES_MAX) {
        *why = "not a file of up to 64 MiB";
        return false;
    }

    bytes = weir_pool_bytes(pool, (size_t) stat.st_size + 1);
    if (bytes == NULL || !read_all(fd, bytes, (size_t) stat.st_size)) {
        *why = bytes == NULL ? "no memory" : "it could not be read";
        return false;
    }

    *text = weir_str_of(bytes, (size_t) stat.st_size);
    return true;
}

bool weir_waf_operator_file(weir_waf_operator_build *build, weir_str name, size_t at,
                            weir_str *text)
{
    weir_builder path;
    weir_str joined;
    const char *z, *why = NULL;
    bool is_read;
    int fd;

    weir_builder_open(&path, build->pool, 4096);
    if (!weir_str_starts(name, WEIR_STR("/"))) {
        weir_builder_add(&path, build->folder);
    }
    weir_builder_add(&path, name);
    if (!weir_builder_close(&path, &joined) || (z = weir_str_z(build->pool, joined)) == NULL) {
        return weir_waf_operator_refuse(build, at, "\"%.*s\" is no file name", WEIR_STR_ARG(name));
    }

    fd = open(z, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return weir_waf_operator_refuse(build, at, "cannot open \"%s\": %s", z, strerror(errno));
    }

    is_read = file_text(build->pool, fd, text, &why);
    (void) close(fd);
    return is_read || weir_waf_operator_refuse(build, at, "cannot read \"%s\": %s", z, why);
}
