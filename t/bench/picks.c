/*
 * What a pick costs, by method and number of peers: nanoseconds of processor time for choosing one and giving it back.
 *
 *     make bench-picks
 *
 * Alone, and beside three other processes that do the same in the same shared memory.  Those count in one row of the
 * ledger, where workers have one each, so the second figure is an upper bound.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/process/cycle.h"
#include "core/script/script.h"
#include "modules/balance/balance.h"

#define PICKS 200000
#define PROCESSES 4

static const weir_balance_family family = {.name = "http", .default_port = 80};
static char folder[64] = "/tmp/weir-picks-XXXXXX";

static void config_write(const char *path, const char *method, unsigned peers)
{
    FILE *file = fopen(path, "w");

    if (file == NULL) {
        exit(EXIT_FAILURE);
    }
    fprintf(file, "error_log stderr error; events {} http { access_log off; upstream back { %s\n",
            method);
    for (unsigned i = 0; i < peers; i++) {
        fprintf(file, "server 10.%u.%u.%u:80 weight=%u;\n", i >> 16, i >> 8 & 255, i & 255,
                i % 5 + 1);
    }
    fprintf(file, "} }\n");
    fclose(file);
}

/* Of this process: other work on the machine does not count. */
static double processor_ns(void)
{
    struct timespec now;

    (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

static double picks_time(weir_balance_group *group, weir_pool *pool)
{
    weir_script script = {.pool = pool};
    weir_addr client;
    double from_ns = processor_ns();

    if (!weir_addr_parse(WEIR_STR("192.0.2.1"), 1, &client)) {
        exit(EXIT_FAILURE);
    }
    for (unsigned i = 0; i < PICKS; i++) {
        const weir_balance_subject subject = {
            .pool = pool, .script = &script, .client_addr = &client};
        weir_balance_pick pick;

        client.in.sin_addr.s_addr = i * 2654435761u;
        if (!weir_balance_begin(&pick, group, &subject)
            || weir_balance_next(&pick, NULL) != WEIR_OK) {
            fprintf(stderr, "no peer\n");
            exit(EXIT_FAILURE);
        }
        weir_balance_done(&pick, WEIR_BALANCE_SUCCEEDED, NULL);
    }
    return (processor_ns() - from_ns) / PICKS;
}

/* The mean of some processes at once. */
static double picks_time_together(weir_balance_group *group, weir_pool *pool)
{
    double sum = 0;
    int ends[2];

    if (pipe(ends) == -1) {
        exit(EXIT_FAILURE);
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            double ns = picks_time(group, pool);

            _exit(write(ends[1], &ns, sizeof(ns)) == sizeof(ns) ? 0 : 1);
        }
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        double ns;

        if (read(ends[0], &ns, sizeof(ns)) != sizeof(ns)) {
            exit(EXIT_FAILURE);
        }
        sum += ns;
        wait(NULL);
    }
    close(ends[0]);
    close(ends[1]);
    return sum / PROCESSES;
}

static void measure(const char *method, const char *shown)
{
    static const unsigned counts[] = {10, 100, 1000, 10000};

    printf("%-18s", shown);
    for (size_t i = 0; i < WEIR_COUNT(counts); i++) {
        char path[96], prefix[80];
        weir_conf_options options = {.make_template = weir_template_make};
        weir_cycle *cycle;
        weir_balance_group *group;

        snprintf(path, sizeof(path), "%s/weir.conf", folder);
        snprintf(prefix, sizeof(prefix), "%s/", folder);
        config_write(path, method, counts[i]);
        options.prefix = weir_str_from_z(prefix);
        options.conf_file = weir_str_from_z(path);
        cycle = weir_cycle_load(&options, NULL);
        if (cycle == NULL) {
            exit(EXIT_FAILURE);
        }
        group = weir_balance_group_of_cycle(cycle, &family, WEIR_STR("back"));
        (void) picks_time(group, cycle->pool);
        printf(" %7.0f %7.0f", picks_time(group, cycle->pool),
               picks_time_together(group, cycle->pool));
        fflush(stdout);
        weir_cycle_free(cycle);
        (void) remove(path);
    }
    printf("\n");
}

int main(void)
{
    if (mkdtemp(folder) == NULL) {
        return EXIT_FAILURE;
    }
    weir_clock_update();
    printf("ns a pick, alone and with 3 others\n%-18s %15s %15s %15s %15s\n", "peers", "10", "100",
           "1,000", "10,000");
    fflush(stdout);
    measure("", "round robin");
    measure("least_conn;", "least_conn");
    measure("least_time header;", "least_time");
    measure("random;", "random");
    measure("random two;", "random two");
    measure("ip_hash;", "ip_hash");
    measure("hash key;", "hash");
    measure("hash key consistent;", "hash consistent");
    (void) execlp("rm", "rm", "-rf", folder, (char *) NULL);
    return EXIT_FAILURE;
}
