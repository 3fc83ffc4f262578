#include "core/base/file_stamp.h"

weir_file_stamp weir_file_stamp_of(const struct stat *status)
{
    return (weir_file_stamp){
        .device = (uint64_t) status->st_dev,
        .inode = (uint64_t) status->st_ino,
        .size = (uint64_t) status->st_size,
        .modified_ns = status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec,
        .changed_ns = status->st_ctim.tv_sec * 1000000000 + status->st_ctim.tv_nsec,
    };
}

weir_file_stamp weir_file_stamp_at(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? weir_file_stamp_of(&status) : (weir_file_stamp){0};
}

bool weir_file_stamp_eq(const weir_file_stamp *a, const weir_file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size
           && a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns;
}
