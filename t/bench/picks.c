/*
 * What a pick costs, by method and number of peers: nanoseconds of processor time for choosing one and giving it back.
 *
 *     make bench-picks
 *
 * Alone, and beside three other processes that do the same in the same shared memory.  Those count in one row of the
 * ledger, where workers have one each, so the second figure is an upper bound.  Then alone again, with max_conns=1, and all
 * but one in a hundred (but ten) full.
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

static void config_write(const char *path, const char *method, unsigned peers, const char *more)
{
    FILE *file = fopen(path, "w");

    if (file == NULL) {
        exit(EXIT_FAILURE);
    }
    fprintf(file, "error_log stderr error; events {} http { access_log off; upstream back { %s\n",
            method);
    for (unsigned i = 0; i < peers; i++) {
        fprintf(file, "server 10.%u.%u.%u:80 weight=%u %s;\n", i >> 16, i >> 8 & 255, i & 255,
                i % 5 + 1, more);
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

static double picks_time(weir_balance_group *group, weir_pool *pool, unsigned picks)
{
    weir_script script = {.pool = pool};
    weir_addr client;
    double from_ns = processor_ns();

    if (!weir_addr_parse(WEIR_STR("192.0.2.1"), 1, &client)) {
        exit(EXIT_FAILURE);
    }
    for (unsigned i = 0; i < picks; i++) {
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
    return (processor_ns() - from_ns) / picks;
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
            double ns = picks_time(group, pool, PICKS);

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

static weir_cycle *group_load(const char *method, unsigned peers, const char *more,
                              weir_balance_group **group)
{
    char path[96], prefix[80];
    weir_conf_options options = {.make_template = weir_template_make};
    weir_cycle *cycle;

    snprintf(path, sizeof(path), "%s/weir.conf", folder);
    snprintf(prefix, sizeof(prefix), "%s/", folder);
    config_write(path, method, peers, more);
    options.prefix = weir_str_from_z(prefix);
    options.conf_file = weir_str_from_z(path);
    cycle = weir_cycle_load(&options, NULL);
    if (cycle == NULL) {
        exit(EXIT_FAILURE);
    }
    *group = weir_balance_group_of_cycle(cycle, &family, WEIR_STR("back"));
    (void) remove(path);
    return cycle;
}

/* So many are gone to and stay busy. */
static weir_balance_pick *peers_fill(weir_balance_group *group, weir_pool *pool, unsigned count)
{
    weir_script script = {.pool = pool};
    weir_addr client = {0};
    weir_balance_pick *held = calloc(count, sizeof(*held));

    client.len = sizeof(client.in);
    client.in.sin_family = AF_INET;
    for (unsigned i = 0; held != NULL && i < count; i++) {
        const weir_balance_subject subject = {
            .pool = pool, .script = &script, .client_addr = &client};

        client.in.sin_addr.s_addr = i * 2654435761u;
        if (!weir_balance_begin(&held[i], group, &subject)
            || weir_balance_next(&held[i], NULL) != WEIR_OK) {
            fprintf(stderr, "no peer\n");
            exit(EXIT_FAILURE);
        }
    }
    return held;
}

static double picks_time_full(const char *method, unsigned peers)
{
    weir_balance_group *group;
    weir_cycle *cycle = group_load(method, peers, "max_conns=1", &group);
    unsigned free_count = peers / 100 > 10 ? peers / 100 : peers > 10 ? 10 : 1;
    weir_balance_pick *held = peers_fill(group, cycle->pool, peers - free_count);
    double ns;

    (void) picks_time(group, cycle->pool, PICKS / 100);
    ns = picks_time(group, cycle->pool, PICKS / 10);
    for (unsigned i = 0; i < peers - free_count; i++) {
        weir_balance_done(&held[i], WEIR_BALANCE_ABANDONED, NULL);
    }
    free(held);
    weir_cycle_free(cycle);
    return ns;
}

static void measure(const char *method, const char *shown)
{
    static const unsigned counts[] = {10, 100, 1000, 10000};

    printf("%-16s", shown);
    for (size_t i = 0; i < WEIR_COUNT(counts); i++) {
        weir_balance_group *group;
        weir_cycle *cycle = group_load(method, counts[i], "", &group);

        (void) picks_time(group, cycle->pool, PICKS);
        printf(" %5.0f %5.0f", picks_time(group, cycle->pool, PICKS),
               picks_time_together(group, cycle->pool));
        weir_cycle_free(cycle);
        printf(" %6.0f", picks_time_full(method, counts[i]));
        fflush(stdout);
    }
    printf("\n");
}

int main(void)
{
    if (mkdtemp(folder) == NULL) {
        return EXIT_FAILURE;
    }
    weir_clock_update();
    printf("ns a pick: alone, with 3 others, and where nearly all are full\n%-16s %18s %18s %18s "
           "%18s\n",
           "peers", "10", "100", "1,000", "10,000");
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
