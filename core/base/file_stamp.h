#ifndef WEIR_CORE_BASE_FILE_STAMP_H
#define WEIR_CORE_BASE_FILE_STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* What tells a file from any that stood in its place before; all zero: there was none. */
typedef struct {
    uint64_t device, inode, size;
    int64_t modified_ns, changed_ns;
} weir_file_stamp;

weir_file_stamp weir_file_stamp_of(const struct stat *status);
/* Of the file that the path leads to now, symbolic links followed; zero if there is none, or it cannot be seen. */
weir_file_stamp weir_file_stamp_at(const char *path);
bool weir_file_stamp_eq(const weir_file_stamp *a, const weir_file_stamp *b);

#endif
