#ifndef WEIR_COMMON_ACCESS_LIST_H
#define WEIR_COMMON_ACCESS_LIST_H

#include "core/conf/conf.h"
#include "core/net/addr.h"

/*
 * allow ADDRESS | CIDR | unix: | all, and deny: rules in the order in which they stand, of which the first that matches
 * decides.
 */
typedef struct {
    weir_network network;
    bool is_for_all;
    bool denies;
} weir_access_rule;

typedef enum {
    WEIR_ACCESS_NO_RULE,
    WEIR_ACCESS_ALLOWED,
    WEIR_ACCESS_DENIED,
} weir_access_decision;

/* Adds what a statement of allow or deny says; `*rules` (of weir_access_rule) is made at first use. */
bool weir_access_list_call(weir_conf *conf, weir_array **rules, const weir_statement *statement);
weir_access_decision weir_access_list_decide(const weir_array *rules, const weir_addr *addr);

#endif
