/* Zones: shared memory that is kept over reloads and binary upgrades. */

#include "core/process/zone_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/number.h"

#define ZONE_MAGIC 0x31656e6f7a726577 /* "werzone1" */
#define ZONE_NAME_MAX 256
#define ZONE_LAYOUT_MAX 64
#define ZONE_HEADER_BYTES 512 /* zones' own memory begins here, aligned for anything */

/* At the beginning of the memory: what a later generation, or binary, goes by. */
typedef struct {
    uint64_t magic; /* written last: without it the rest means nothing */
    uint64_t bytes; /* of the zone's own memory */
    uint32_t name_len;
    char name[ZONE_NAME_MAX];
    char layout[ZONE_LAYOUT_MAX]; /* ends with a NUL */
} zone_header;

_Static_assert(sizeof(zone_header) <= ZONE_HEADER_BYTES, "a zone's header must fit");

/* Cycles that have the same zone share its mapping in the master. */
typedef struct {
    unsigned references;
    int fd;
    size_t mapped; /* with the header */
    zone_header *header;
} zone_memory;

struct weir_zone {
    struct weir_zone *next;
    weir_str name;
    size_t bytes; /* 0: another mention says */
    const char *layout;
    bool (*opened)(weir_zone *zone, bool is_new, void *subject);
    void *subject;
    zone_memory *memory; /* NULL before it is opened */
    bool is_new;
};

struct weir_zones {
    weir_pool *pool;
    weir_zone *first;
};

/* ---- memory */

static void zone_memory_unref(zone_memory *memory)
{
    if (memory == NULL || --memory->references != 0) {
        return;
    }

    munmap(memory->header, memory->mapped);
    close(memory->fd);
    free(memory);
}

/* Takes the descriptor; NULL, errno set, and the descriptor closed, when it cannot be mapped. */
static zone_memory *zone_memory_map(int fd, size_t mapped)
{
    zone_memory *memory = malloc(sizeof(*memory));
    void *at = MAP_FAILED;

    if (memory != NULL) {
        at = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }

    if (at == MAP_FAILED) {
        int error = errno;

        free(memory);
        close(fd);
        errno = error;
        return NULL;
    }

    *memory = (zone_memory){.references = 1, .fd = fd, .mapped = mapped, .header = at};
    return memory;
}

/* The size is sealed: nobody who has the descriptor can shrink it under the others. */
static zone_memory *zone_memory_new(size_t mapped)
{
    int fd = memfd_create("weir zone", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd == -1) {
        return NULL;
    }

    if (ftruncate(fd, (off_t) mapped) == -1
        || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == -1) {
        int error = errno;

        close(fd);
        errno = error;
        return NULL;
    }

    return zone_memory_map(fd, mapped);
}

static weir_str zone_memory_name(const zone_memory *memory)
{
    return weir_str_of(memory->header->name, memory->header->name_len);
}

/* ---- declaring */

static void zones_clean(void *subject)
{
    weir_zones *zones = subject;

    for (weir_zone *zone = zones->first; zone != NULL; zone = zone->next) {
        zone_memory_unref(zone->memory);
        zone->memory = NULL;
    }
}

weir_zones *weir_zones_new(weir_pool *pool)
{
    weir_zones *zones = WEIR_NEW(pool, weir_zones);

    if (zones == NULL || weir_pool_on_free(pool, zones_clean, zones) == NULL) {
        return NULL;
    }

    zones->pool = pool;
    return zones;
}

static weir_zone *zones_find(const weir_zones *zones, weir_str name)
{
    weir_zone *zone = zones->first;

    while (zone != NULL && !weir_str_eq(zone->name, name)) {
        zone = zone->next;
    }

    return zone;
}

static weir_zone *zones_insert(weir_zones *zones, weir_str name)
{
    weir_zone *zone = WEIR_NEW(zones->pool, weir_zone);

    if (zone == NULL || !weir_str_copy(zones->pool, name, &zone->name)) {
        return NULL;
    }

    zone->next = zones->first;
    zones->first = zone;
    return zone;
}

/* Why a zone cannot be declared so, in `why`; false when it can. */
static bool zone_conflicts(const weir_zone *zone, weir_str name, size_t bytes, const char *layout,
                           const void *subject, char why[static 512])
{
    weir_builder text;

    weir_builder_over(&text, why, 511);

    if (name.len == 0 || name.len > ZONE_NAME_MAX) {
        weir_builder_printf(&text, "invalid name of a shared memory zone \"%.*s\"",
                            WEIR_STR_ARG(name));
    } else if (zone != NULL && zone->layout != NULL
               && (strcmp(zone->layout, layout) != 0 || zone->subject != subject)) {
        weir_builder_printf(&text,
                            "the shared memory zone \"%.*s\" is already declared for a different "
                            "use",
                            WEIR_STR_ARG(name));
    } else if (zone != NULL && bytes != 0 && zone->bytes != 0 && bytes != zone->bytes) {
        weir_builder_printf(&text,
                            "the size %zu of shared memory zone \"%.*s\" conflicts with already "
                            "declared size %zu",
                            bytes, WEIR_STR_ARG(name), zone->bytes);
    }

    why[weir_builder_cut(&text).len] = '\0';
    return why[0] != '\0';
}

/* NULL: no memory. There is no conflict. */
static weir_zone *zones_declare(weir_zones *zones, weir_zone *zone, weir_str name, size_t bytes,
                                const char *layout,
                                bool (*opened)(weir_zone *zone, bool is_new, void *subject),
                                void *subject)
{
    if (zone == NULL) {
        zone = zones_insert(zones, name);
    }

    if (zone == NULL) {
        return NULL;
    }

    zone->layout = layout;
    if (bytes != 0) {
        zone->bytes = bytes;
    }
    if (zone->opened == NULL) {
        zone->opened = opened;
        zone->subject = subject;
    }

    return zone;
}

weir_zone *weir_zones_add(weir_zones *zones, weir_str name, size_t bytes, const char *layout,
                          bool (*opened)(weir_zone *zone, bool is_new, void *subject),
                          void *subject, const weir_log *log)
{
    weir_zone *zone = zones_find(zones, name);
    char why[512];

    if (zone_conflicts(zone, name, bytes, layout, subject, why)) {
        weir_log_line(log, WEIR_LOG_EMERG, 0, "%s", why);
        return NULL;
    }

    return zones_declare(zones, zone, name, bytes, layout, opened, subject);
}

weir_zone *weir_zone_new(weir_conf *conf, weir_str name, size_t bytes, const char *layout,
                         bool (*opened)(weir_zone *zone, bool is_new, void *subject), void *subject)
{
    weir_zones *zones = weir_conf_cycle(conf)->zones;
    weir_zone *zone = zones_find(zones, name);
    char why[512];

    if (zone_conflicts(zone, name, bytes, layout, subject, why)) {
        weir_conf_refuse(conf, "%s", why);
        return NULL;
    }

    zone = zones_declare(zones, zone, name, bytes, layout, opened, subject);
    if (zone == NULL) {
        weir_conf_refuse(conf, "no memory for a zone");
    }

    return zone;
}

void *weir_zone_memory(const weir_zone *zone)
{
    return zone->memory == NULL ? NULL : (char *) zone->memory->header + ZONE_HEADER_BYTES;
}

size_t weir_zone_bytes(const weir_zone *zone)
{
    return zone->bytes;
}

weir_str weir_zone_name(const weir_zone *zone)
{
    return zone->name;
}

int weir_zone_fd(const weir_zone *zone)
{
    return zone->memory == NULL ? -1 : zone->memory->fd;
}

/* ---- opening */

bool weir_zones_check(const weir_zones *zones, const weir_log *log)
{
    for (const weir_zone *zone = zones->first; zone != NULL; zone = zone->next) {
        if (zone->bytes == 0) {
            weir_log_line(log, WEIR_LOG_EMERG, 0, "zero size shared memory zone \"%.*s\"",
                          WEIR_STR_ARG(zone->name));
            return false;
        }
    }

    return true;
}

/* Whether `memory` is what the zone wants; says why not. */
static bool zone_fits(const weir_zone *zone, const zone_memory *memory, const weir_log *log)
{
    const zone_header *header = memory->header;

    if (strncmp(header->layout, zone->layout, sizeof(header->layout)) != 0) {
        weir_log_line(log, WEIR_LOG_NOTICE, 0,
                      "shared memory zone \"%.*s\" begins empty: its layout was \"%.*s\" and is "
                      "\"%s\"",
                      WEIR_STR_ARG(zone->name), (int) sizeof(header->layout), header->layout,
                      zone->layout);
        return false;
    }

    if (header->bytes != zone->bytes) {
        weir_log_line(log, WEIR_LOG_NOTICE, 0,
                      "shared memory zone \"%.*s\" begins empty: its size was %llu and is %zu",
                      WEIR_STR_ARG(zone->name), (unsigned long long) header->bytes, zone->bytes);
        return false;
    }

    return true;
}

static bool zone_make(weir_zone *zone, const weir_log *log)
{
    zone_header *header;
    size_t mapped;

    if (!weir_add_size(zone->bytes, ZONE_HEADER_BYTES, &mapped)
        || (zone->memory = zone_memory_new(mapped)) == NULL) {
        weir_log_line(log, WEIR_LOG_EMERG, errno, "no memory for shared memory zone \"%.*s\"",
                      WEIR_STR_ARG(zone->name));
        return false;
    }

    header = zone->memory->header;
    header->bytes = zone->bytes;
    header->name_len = (uint32_t) zone->name.len;
    memcpy(header->name, zone->name.data, zone->name.len);
    memcpy(header->layout, zone->layout, strnlen(zone->layout, sizeof(header->layout) - 1));
    header->magic = ZONE_MAGIC;
    return true;
}

static bool zone_open(weir_zone *zone, const weir_zones *old, const weir_log *log)
{
    const weir_zone *kept = old == NULL ? NULL : zones_find(old, zone->name);
    bool is_new = kept == NULL || kept->memory == NULL || !zone_fits(zone, kept->memory, log);

    if (is_new) {
        if (!zone_make(zone, log)) {
            return false;
        }
    } else {
        zone->memory = kept->memory;
        zone->memory->references++;
    }

    zone->is_new = is_new;
    return true;
}

bool weir_zones_open(weir_zones *zones, const weir_zones *old, const weir_log *log)
{
    if (!weir_zones_check(zones, log)) {
        return false;
    }

    for (weir_zone *zone = zones->first; zone != NULL; zone = zone->next) {
        if (!zone_open(zone, old, log)) {
            return false;
        }
    }

    return true;
}

bool weir_zones_settle(weir_zones *zones)
{
    for (weir_zone *zone = zones->first; zone != NULL; zone = zone->next) {
        if (zone->opened != NULL && !zone->opened(zone, zone->is_new, zone->subject)) {
            return false;
        }
    }

    return true;
}

/* ---- handing over */

bool weir_zones_export(const weir_zones *zones, weir_builder *text)
{
    for (const weir_zone *zone = zones->first; zone != NULL; zone = zone->next) {
        if (fcntl(zone->memory->fd, F_SETFD, 0) == -1) {
            return false;
        }

        weir_builder_add_int(text, zone->memory->fd);
        weir_builder_add_byte(text, ';');
    }

    return true;
}

static bool zone_header_is_good(const zone_memory *memory)
{
    const zone_header *header = memory->header;

    return header->magic == ZONE_MAGIC && header->name_len <= sizeof(header->name)
           && header->bytes == memory->mapped - ZONE_HEADER_BYTES
           && memchr(header->layout, '\0', sizeof(header->layout)) != NULL;
}

/* NULL: that is no zone; the descriptor is closed. */
static zone_memory *zone_memory_adopt(int fd)
{
    struct stat stat;
    zone_memory *memory;

    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1 || fstat(fd, &stat) == -1) {
        return NULL;
    }

    if (stat.st_size <= ZONE_HEADER_BYTES) {
        close(fd);
        return NULL;
    }

    memory = zone_memory_map(fd, (size_t) stat.st_size);
    if (memory != NULL && !zone_header_is_good(memory)) {
        zone_memory_unref(memory);
        return NULL;
    }

    return memory;
}

static bool zones_adopt(weir_zones *zones, int fd, const weir_log *log)
{
    zone_memory *memory = zone_memory_adopt(fd);
    weir_zone *zone;

    if (memory == NULL) {
        weir_log_line(log, WEIR_LOG_WARN, 0, "inherited descriptor %d is no shared memory zone",
                      fd);
        return true;
    }

    zone = zones_insert(zones, zone_memory_name(memory));
    if (zone == NULL) {
        zone_memory_unref(memory);
        return false;
    }

    zone->bytes = memory->header->bytes;
    zone->layout = memory->header->layout;
    zone->memory = memory;
    return true;
}

weir_zones *weir_zones_inherit(weir_pool *pool, weir_str text, const weir_log *log)
{
    weir_zones *zones = weir_zones_new(pool);
    weir_str part;

    while (zones != NULL && weir_str_split(&text, ';', &part)) {
        uint64_t fd;

        if (part.len != 0 && weir_parse_uint(part, INT32_MAX, &fd)
            && !zones_adopt(zones, (int) fd, log)) {
            return NULL;
        }
    }

    return zones;
}
