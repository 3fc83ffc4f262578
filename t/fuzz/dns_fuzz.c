/*
 * Answers of DNS servers: whatever the bytes behind a fitting header and question, reading them ends, what is found is
 * within its bounds, and reading them again finds the same.  Bytes without that are no answer.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/net/dns_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static const char *const names[] = {"a.example", "www.example.com", "_http._tcp.example.com", "x"};
static const weir_dns_type types[] = {WEIR_DNS_A, WEIR_DNS_AAAA, WEIR_DNS_SRV};

static void check_name(const weir_dns_name *name)
{
    check(name->len <= WEIR_DNS_NAME_MAX);
}

static void check_records(weir_dns_answer *answer, weir_dns_type type)
{
    weir_dns_record record;
    size_t count = 0;

    check_name(&answer->name);
    check(answer->links <= WEIR_DNS_LINKS_MAX);
    check(answer->ttl_s <= INT32_MAX);
    while (weir_dns_next(answer, &record)) {
        check(++count <= 1024);
        if (type == WEIR_DNS_SRV) {
            check_name(&record.target);
            check(!record.target.is_strange);
        } else {
            check(record.addr.sa.sa_family == (type == WEIR_DNS_A ? AF_INET : AF_INET6));
        }
    }
}

/* The input without its first byte, with the query's id and question where an answer has them. */
static size_t make_message(const uint8_t *data, size_t size, weir_str query, char *message)
{
    size_t question = query.len - 12;

    memset(message, 0, 12);
    memcpy(message, data, size < 12 ? size : 12);
    memcpy(message, query.data, 2);
    message[2] = (char) (message[2] | 0x80);
    message[4] = 0;
    message[5] = 1;
    memcpy(message + 12, query.data + 12, question);
    if (size <= 12) {
        return query.len;
    }
    memcpy(message + query.len, data + 12, size - 12);
    return query.len + size - 12;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char buffer[WEIR_DNS_QUERY_MAX];
    weir_dns_answer answer, again;
    weir_dns_verdict verdict;
    weir_dns_name name;
    weir_dns_type type;
    weir_builder builder;
    weir_str query;
    char *message;
    size_t len;
    unsigned how;

    if (size == 0 || size > 65536) {
        return 0;
    }
    how = data[0] & 3u;
    type = types[(data[0] >> 2) % 3];
    check(weir_dns_name_of(weir_str_from_z(names[data[0] >> 6]), &name));
    weir_builder_over(&builder, buffer, sizeof(buffer));
    weir_dns_write(&builder, 0x1234, &name, type, false);
    check(weir_builder_close(&builder, &query));

    (void) weir_dns_read(query, weir_str_of((const char *) data, size), how, &answer);

    message = malloc(query.len + size);
    check(message != NULL);
    len = make_message(data + 1, size - 1, query, message);
    verdict = weir_dns_read(query, weir_str_of(message, len), how, &answer);
    check(weir_dns_read(query, weir_str_of(message, len), how, &again) == verdict);
    if (verdict == WEIR_DNS_ANSWERED) {
        check_records(&answer, type);
    }
    free(message);
    return 0;
}
