#ifndef WEIR_API_INTERNAL_H
#define WEIR_API_INTERNAL_H

#include "core/base/builder.h"
#include "modules/api/call.h"

/* ---- call.c */

/* With what was built, from the call's pool; 500 if there was no memory for it. */
weir_api_step api_answer(weir_api_call *call, unsigned status, weir_builder *body);
/* 204 */
weir_api_step api_answer_empty(weir_api_call *call);
/* Of the names below a path, as JSON. */
weir_api_step api_answer_list(weir_api_call *call, const char *json);
weir_api_step api_refuse_path(weir_api_call *call);
/* `allowed`: the methods that the path takes of a caller who may write. */
weir_api_step api_refuse_verb(weir_api_call *call, const char *allowed);

/* Whether the member is wanted: of `fields`, "zone,peers"; NULL: all are.  If so, the separator is written. */
bool api_member_begin(weir_builder *body, const weir_str *fields, const char *name,
                      const char **separator);

/* ---- resolvers.c, upstreams.c: `rest` is the path behind "resolvers", or the family's name */

weir_api_step api_resolvers_route(weir_api_call *call, weir_str rest);
weir_api_step api_upstreams_route(weir_api_call *call, const weir_balance_family *family,
                                  weir_str rest);
/* The body that a route has asked for. */
weir_api_step api_upstreams_take_body(weir_api_call *call, weir_str body);

/* ---- upstreams_show.c: JSON, and lines of tables for people */

void api_show_group(weir_builder *body, weir_balance_group *group, const weir_str *fields);
/* An address of a server whose name is looked up, which is of the group. */
void api_show_address(weir_builder *body, const weir_balance_peer *peer);
void api_show_server(weir_builder *body, uint64_t id, const weir_balance_server *server);
void api_show_group_table(weir_builder *body, weir_balance_group *group);
void api_show_server_head(weir_builder *body);
void api_show_server_line(weir_builder *body, uint64_t id, const weir_balance_server *server);
void api_show_address_line(weir_builder *body, const weir_balance_peer *peer);

#endif
