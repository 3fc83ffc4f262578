#ifndef WEIR_CORE_BASE_FOLDERS_H
#define WEIR_CORE_BASE_FOLDERS_H

#include <stdbool.h>
#include <sys/types.h>

/* Makes the folders on the way to `path`, those that are not there yet, but not `path` itself.  false: errno. */
bool weir_folders_make(const char *path, mode_t mode);

#endif
