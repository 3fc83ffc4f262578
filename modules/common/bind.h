#ifndef WEIR_COMMON_BIND_H
#define WEIR_COMMON_BIND_H

#include "core/conf/conf.h"
#include "core/net/connection.h"
#include "core/script/script.h"

/* proxy_bind ADDRESS [transparent] | off: where connections to origins come from. */
typedef struct {
    const weir_template *addr; /* NULL: off */
    bool is_transparent;       /* it need not be an address of this machine */
} weir_bind;

/* Sets `bind`; variables are those of `space` ("http").  False: refused, logged. */
bool weir_bind_call(weir_conf *conf, weir_bind *bind, const char *space,
                    const weir_statement *statement) WEIR_MUST_USE;
/*
 * Puts what the address's text is now into the options.  Empty, the kernel chooses; so it does, as in nginx, for what
 * is no address, which is logged.
 */
void weir_bind_apply(const weir_bind *bind, weir_str text, weir_connect_options *options,
                     const weir_log *log);

#endif
