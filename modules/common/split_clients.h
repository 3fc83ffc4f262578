#ifndef WEIR_COMMON_SPLIT_CLIENTS_H
#define WEIR_COMMON_SPLIT_CLIENTS_H

#include "core/script/script.h"

/*
 * split_clients STRING $NAME { 0.5% one; * rest; }: a variable that takes its values by shares of the texts that there
 * are.  The hash is nginx's (MurmurHash2): who moves from nginx keeps each client in its share.
 */
bool weir_split_clients_call(weir_conf *conf, weir_space *space, const weir_statement *statement);

#endif
