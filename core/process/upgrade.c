/*
 * USR2: another binary, beside this one, on the same sockets and zones.
 *
 * The sockets are named as nginx names them, so that the binary before, or the one after, may be nginx: who moves puts
 * the one program in the other's place and sends USR2.
 */

#include "core/process/upgrade_internal.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/number.h"
#include "core/process/core_conf.h"
#include "core/process/privileges_internal.h"
#include "core/process/slots_internal.h"
#include "core/process/zone_internal.h"

#define UPGRADE_SOCKETS "NGINX" /* "fd;fd;" */
#define UPGRADE_ZONES "WEIR_ZONES"
#define UPGRADE_GENERATION "WEIR_GENERATION" /* what is in the zones says since which it is there */
#define UPGRADE_TEXT_MAX ((size_t) 1 << 20)

bool weir_upgrade_is_one(void)
{
    return getenv(UPGRADE_SOCKETS) != NULL;
}

uint64_t weir_upgrade_generation(void)
{
    const char *text = getenv(UPGRADE_GENERATION);
    uint64_t generation;

    return text != NULL && weir_upgrade_is_one()
                   && weir_parse_uint(weir_str_from_z(text), INT64_MAX, &generation)
               ? generation
               : 0;
}

weir_inheritance weir_upgrade_inherit(weir_pool *pool, const weir_log *log)
{
    const char *sockets = getenv(UPGRADE_SOCKETS);
    const char *zones = getenv(UPGRADE_ZONES);
    weir_inheritance inherited = {NULL, NULL};

    if (sockets != NULL) {
        inherited.listeners = weir_listeners_inherit(pool, weir_str_from_z(sockets), log);
        inherited.zones = weir_zones_inherit(pool, weir_str_from_z(zones), log);
        unsetenv(UPGRADE_SOCKETS);
        unsetenv(UPGRADE_ZONES);
        unsetenv(UPGRADE_GENERATION);
    }

    return inherited;
}

const char *weir_upgrade_program(weir_pool *pool, char *const *argv, const weir_log *log)
{
    char path[PATH_MAX];
    ssize_t len;

    /* By the name that was given it is found again after it was replaced. */
    if (strchr(argv[0], '/') != NULL) {
        return argv[0];
    }

    len = readlink("/proc/self/exe", path, sizeof(path));
    if (len == -1 || (size_t) len == sizeof(path)) {
        weir_log_line(log, WEIR_LOG_ERR, errno, "readlink() \"/proc/self/exe\" failed");
        return argv[0];
    }

    return weir_str_z(pool, weir_str_of(path, (size_t) len));
}

/* "NAME=value" */
static char *upgrade_variable(weir_pool *pool, const char *name, weir_str value)
{
    weir_builder text;
    weir_str variable;

    weir_builder_open(&text, pool, UPGRADE_TEXT_MAX);
    weir_builder_add(&text, weir_str_from_z(name));
    weir_builder_add_byte(&text, '=');
    weir_builder_add(&text, value);

    return weir_builder_close(&text, &variable) ? (char *) weir_str_z(pool, variable) : NULL;
}

/* In the child: its descriptors survive, the master's do not change.  NULL, logged. */
static char **upgrade_environment(const weir_cycle *cycle)
{
    weir_pool *pool = cycle->pool;
    weir_builder builder;
    weir_str sockets, zones, generation;
    char number[32];
    char *more[4] = {NULL, NULL, NULL, NULL};
    char **environment = NULL;

    weir_builder_over(&builder, number, sizeof(number));
    weir_builder_add_uint(&builder, weir_slots_generation(cycle));
    generation = weir_builder_cut(&builder);

    weir_builder_open(&builder, pool, UPGRADE_TEXT_MAX);

    if (weir_listeners_export(cycle->listeners, pool, &sockets)
        && weir_zones_export(cycle->zones, &builder) && weir_builder_close(&builder, &zones)) {
        more[0] = upgrade_variable(pool, UPGRADE_SOCKETS, sockets);
        more[1] = upgrade_variable(pool, UPGRADE_ZONES, zones);
        more[2] = upgrade_variable(pool, UPGRADE_GENERATION, generation);
    }

    if (more[0] != NULL && more[1] != NULL && more[2] != NULL) {
        environment = weir_privileges_environment(cycle->core, more);
    }

    if (environment == NULL) {
        weir_log_line(&cycle->log, WEIR_LOG_ALERT, errno,
                      "the new binary cannot be handed over to");
    }

    return environment;
}

static void upgrade_exec(const weir_cycle *cycle, const char *program, char *const *argv)
{
    char **environment = upgrade_environment(cycle);
    sigset_t none;

    if (environment == NULL) {
        return;
    }

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(program, argv, environment);
    weir_log_line(&cycle->log, WEIR_LOG_ALERT, errno, "execve() failed while executing \"%s\"",
                  program);
}

pid_t weir_upgrade_start(const weir_cycle *cycle, const char *program, char *const *argv,
                         void (*forked)(void *subject), void *subject)
{
    pid_t pid = fork();

    if (pid == 0) {
        forked(subject);
        upgrade_exec(cycle, program, argv);
        _exit(EXIT_FAILURE);
    }

    if (pid == -1) {
        weir_log_line(&cycle->log, WEIR_LOG_ALERT, errno, "fork() failed while spawning \"%s\"",
                      program);
    } else {
        weir_log_line(&cycle->log, WEIR_LOG_NOTICE, 0, "start new binary process %d", pid);
    }

    return pid;
}
