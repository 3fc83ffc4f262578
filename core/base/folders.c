#include "core/base/folders.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

bool weir_folders_make(const char *path, mode_t mode)
{
    char folder[PATH_MAX];

    for (size_t i = 0; path[i] != '\0'; i++) {
        if (i == sizeof(folder)) {
            errno = ENAMETOOLONG;
            return false;
        }
        /* What slashes alone follow is the last name. */
        if (path[i] == '/' && i != 0 && path[i + strspn(path + i, "/")] != '\0') {
            folder[i] = '\0';
            if (mkdir(folder, mode) != 0 && errno != EEXIST) {
                return false;
            }
        }
        folder[i] = path[i];
    }
    return true;
}
