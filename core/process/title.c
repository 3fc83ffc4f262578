#include "core/process/title.h"
#include "core/process/title_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/builder.h"

/* The kernel's: the arguments and, right behind, the environment. */
static struct {
    char *begin;
    size_t bytes;
} title_room;

/* What was in it, for as long as the process lives. */
static char **title_arguments, **title_environment;

/* In one piece: what unsetenv() takes out of the array is not lost. */
static char **title_copy(char **strings, size_t count)
{
    size_t bytes = (count + 1) * sizeof(char *);
    char **copy;
    weir_builder text;

    for (size_t i = 0; i < count; i++) {
        bytes += strlen(strings[i]) + 1;
    }

    copy = calloc(1, bytes);
    if (copy == NULL) {
        return NULL;
    }

    weir_builder_over(&text, (char *) copy, bytes);
    weir_builder_advance(&text, (count + 1) * sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        copy[i] = weir_builder_room(&text, strlen(strings[i]) + 1);
        weir_builder_add(&text, weir_str_from_z(strings[i]));
        weir_builder_add_byte(&text, '\0');
    }

    return copy;
}

/* How far the strings lie behind `end` without a gap. */
static const char *title_extend(const char *end, char **strings)
{
    for (; *strings != NULL; strings++) {
        if (*strings == end) {
            end = *strings + strlen(*strings) + 1;
        }
    }

    return end;
}

char **weir_title_init(int argc, char **argv)
{
    size_t environ_count = 0;
    const char *end;

    while (environ[environ_count] != NULL) {
        environ_count++;
    }

    title_arguments = title_copy(argv, (size_t) argc);
    title_environment = title_copy(environ, environ_count);
    if (title_arguments == NULL || title_environment == NULL || argc == 0) {
        return NULL;
    }

    end = title_extend(title_extend(argv[0], argv), environ);
    title_room.begin = argv[0];
    title_room.bytes = (size_t) (end - argv[0]);
    argv[1] = NULL;
    environ = title_environment;

    return title_arguments;
}

static void title_write(weir_builder *title)
{
    size_t len = weir_builder_cut(title).len;

    /* What is left of the old text would show. */
    memset(title_room.begin + len, 0, title_room.bytes - len);
}

void weir_title_set(const char *what)
{
    weir_builder title;

    if (title_room.bytes == 0) {
        return;
    }

    weir_builder_over(&title, title_room.begin, title_room.bytes - 1);
    weir_builder_printf(&title, "weir: %s", what);
    title_write(&title);
}

void weir_title_set_master(char *const *argv)
{
    weir_builder title;

    if (title_room.bytes == 0) {
        return;
    }

    weir_builder_over(&title, title_room.begin, title_room.bytes - 1);
    weir_builder_add(&title, WEIR_STR("weir: master process"));
    for (; *argv != NULL; argv++) {
        weir_builder_add_byte(&title, ' ');
        weir_builder_add(&title, weir_str_from_z(*argv));
    }
    title_write(&title);
}
