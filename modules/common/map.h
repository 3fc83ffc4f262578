#ifndef WEIR_COMMON_MAP_H
#define WEIR_COMMON_MAP_H

#include "core/script/script.h"

/*
 * map STRING $NAME { KEY VALUE; ... }: a variable whose value depends on a text.
 *
 * Keys are compared without regard to case, then, with `hostnames`, as "*.example.org" and "mail.*", the
 * longest first; then regexes ("~", "~*") in order; then `default`.  A key with a "\" before it is none of the words
 * with a meaning of their own.  Values may have variables, and captures of the regex.
 */
bool weir_map_block_call(weir_conf *conf, weir_space *space, const weir_statement *statement);

#endif
