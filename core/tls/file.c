/* Small files, read whole: certificates, keys, revocation lists. */

#include "core/tls/tls_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/mem.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool path_z(weir_str path, char z[static PATH_MAX])
{
    if (path.len >= PATH_MAX || memchr(path.data, '\0', path.len) != NULL) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(z, path.data, path.len);
    z[path.len] = '\0';
    return true;
}

bool weir_tls_name_is_data(weir_str name)
{
    return weir_str_starts(name, WEIR_STR("data:"));
}

bool weir_tls_name_is_file(weir_str name)
{
    return name.len != 0 && !weir_tls_name_is_data(name);
}

bool weir_tls_file_is_unchanged(weir_str name, const weir_file_stamp *stamp)
{
    char z[PATH_MAX];
    weir_file_stamp now;

    if (!weir_tls_name_is_file(name)) {
        return true;
    }
    if (!path_z(name, z)) {
        return false;
    }
    now = weir_file_stamp_at(z);
    return weir_file_stamp_eq(&now, stamp);
}

static bool read_all(int fd, char *buffer, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t got = read(fd, buffer + at, len - at);

        if (got == -1 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got == 0 ? EIO : errno; /* it shrank: it is being written */
            return false;
        }
        at += (size_t) got;
    }
    return true;
}

static bool read_open(int fd, size_t max_bytes, weir_str *text, weir_file_stamp *stamp)
{
    struct stat status;
    char *buffer;

    if (fstat(fd, &status) == -1) {
        return false;
    }
    if (!S_ISREG(status.st_mode)) {
        errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        return false;
    }
    if ((uint64_t) status.st_size > max_bytes) {
        errno = ERANGE;
        return false;
    }
    buffer = malloc((size_t) status.st_size + 1);
    if (buffer == NULL) {
        return false;
    }
    *text = weir_str_of(buffer, (size_t) status.st_size);
    if (!read_all(fd, buffer, text->len)) {
        weir_tls_file_free(*text);
        return false;
    }
    buffer[text->len] = '\0';
    *stamp = weir_file_stamp_of(&status);
    return true;
}

bool weir_tls_file_read(weir_str path, size_t max_bytes, weir_str *text, weir_file_stamp *stamp)
{
    char z[PATH_MAX];
    int fd, error;
    bool done;

    if (!path_z(path, z)) {
        return false;
    }
    fd = open(z, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd == -1) {
        return false;
    }
    done = read_open(fd, max_bytes, text, stamp);
    error = errno;
    close(fd);
    errno = error;
    return done;
}

BIO *weir_tls_pem_open(weir_str pem)
{
    const weir_str byte_order_mark = WEIR_STR("\xef\xbb\xbf");

    if (weir_str_starts(pem, byte_order_mark)) {
        pem = weir_str_from(pem, byte_order_mark.len);
    }
    return BIO_new_mem_buf(pem.data, (int) pem.len);
}

void weir_tls_file_free(weir_str text)
{
    if (text.data != NULL) {
        OPENSSL_cleanse((char *) (uintptr_t) text.data, text.len);
        free((char *) (uintptr_t) text.data);
    }
}
