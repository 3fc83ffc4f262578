/* The hosts file: an address, then the names it has, a line each. */

#include "core/net/hosts.h"

#include <stdio.h>

#define HOSTS_LINE_MAX 1024

bool weir_hosts_next_word(weir_str *line, weir_str *word)
{
    size_t begin = 0, end;

    while (begin < line->len && strchr(" \t\r\n", line->data[begin]) != NULL) {
        begin++;
    }
    for (end = begin; end < line->len && strchr(" \t\r\n#", line->data[end]) == NULL; end++) {
    }
    *word = weir_str_slice(*line, begin, end);
    *line = weir_str_from(*line, end);
    return word->len != 0;
}

static bool hosts_line_has(weir_str line, weir_str host, weir_addr *addr)
{
    weir_str word;

    if (!weir_hosts_next_word(&line, &word) || !weir_addr_parse_ip(word, addr)) {
        return false;
    }
    while (weir_hosts_next_word(&line, &word)) {
        if (weir_str_eq_nocase(word, host)) {
            return true;
        }
    }
    return false;
}

size_t weir_hosts_find(const char *path, weir_str host, weir_addr *addrs, size_t room)
{
    FILE *file = fopen(path, "re");
    char line[HOSTS_LINE_MAX];
    size_t count = 0;

    while (file != NULL && count < room && fgets(line, sizeof(line), file) != NULL) {
        if (hosts_line_has(weir_str_from_z(line), host, &addrs[count])) {
            count++;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return count;
}
