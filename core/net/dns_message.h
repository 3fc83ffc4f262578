#ifndef WEIR_NET_DNS_MESSAGE_H
#define WEIR_NET_DNS_MESSAGE_H

#include "core/base/builder.h"
#include "core/base/cursor.h"
#include "core/net/addr.h"

/* Messages of the DNS (RFC 1035, 4): a question that goes out, and what comes back.  Knows no sockets. */

#define WEIR_DNS_NAME_MAX 253 /* bytes of text */
#define WEIR_DNS_QUERY_MAX (12 + WEIR_DNS_NAME_MAX + 2 + 4)
#define WEIR_DNS_LINKS_MAX 16 /* aliases of aliases (CNAME) that are followed */

typedef enum {
    WEIR_DNS_A = 1,
    WEIR_DNS_CNAME = 5,
    WEIR_DNS_SOA = 6,
    WEIR_DNS_AAAA = 28,
    WEIR_DNS_SRV = 33,
} weir_dns_type;

/* What a server says of a question (RFC 1035, 4.1.1). */
enum {
    WEIR_DNS_NO_ERROR = 0,
    WEIR_DNS_FORMAT_ERROR = 1,
    WEIR_DNS_SERVER_FAILURE = 2,
    WEIR_DNS_NO_SUCH_NAME = 3,
};

/* In lower case, with dots between the labels, and none at the end. */
typedef struct {
    size_t len;
    bool is_strange; /* holds bytes that no host name has: equal to none */
    char text[WEIR_DNS_NAME_MAX];
} weir_dns_name;

/* False: the text is no name that one could ask for. */
bool weir_dns_name_of(weir_str text, weir_dns_name *name) WEIR_MUST_USE;
static inline weir_str weir_dns_name_text(const weir_dns_name *name)
{
    return weir_str_of(name->text, name->len);
}

/*
 * A query for recursion.  With `mixed`, the letters are in upper or lower case by chance, which an answer has to
 * repeat: that much harder to guess.
 */
void weir_dns_write(weir_builder *query, uint16_t id, const weir_dns_name *name, weir_dns_type type,
                    bool mixed);

typedef enum {
    WEIR_DNS_NOT_OURS,   /* no answer to this query: to be ignored */
    WEIR_DNS_OTHER_CASE, /* an answer to it, but for the case of letters */
    WEIR_DNS_TRUNCATED,  /* to be asked for by TCP */
    WEIR_DNS_REFUSED,    /* `code` says why, and is not 0 */
    WEIR_DNS_BROKEN,     /* an answer to it that contradicts itself */
    WEIR_DNS_ELSEWHERE,  /* the name is an alias of `name`, of which nothing is said */
    WEIR_DNS_ANSWERED,   /* weir_dns_next() gives the records, of which there may be none */
} weir_dns_verdict;

typedef struct {
    unsigned code;
    weir_dns_name name; /* at the end of the aliases */
    unsigned links;     /* how many there were */
    uint32_t ttl_s;     /* the least of aliases and records */

    /* private */
    weir_str message;
    weir_dns_type type;
    size_t at, records_left;
} weir_dns_answer;

typedef struct {
    weir_addr addr;                  /* A, AAAA; the port is 0 */
    uint16_t priority, weight, port; /* SRV */
    weir_dns_name target;
} weir_dns_record;

enum {
    WEIR_DNS_BY_TCP = 1,   /* nothing is truncated */
    WEIR_DNS_ANY_CASE = 2, /* the server is known not to repeat it */
};

/* Whatever the bytes.  Both are borrowed as long as the answer is read. */
weir_dns_verdict weir_dns_read(weir_str query, weir_str message, unsigned how,
                               weir_dns_answer *answer);
/* The records of the type that was asked for, of the name at the end of the aliases.  False: no more. */
bool weir_dns_next(weir_dns_answer *answer, weir_dns_record *record);

#endif
