#ifndef WEIR_HTTP_WIRE_HEAD_RULES_H
#define WEIR_HTTP_WIRE_HEAD_RULES_H

#include "modules/http/engine/core_conf.h"

/* What is the same for heads of requests in any version. */

/* What a head may take in all, whether it comes at once or in parts; in bytes. */
size_t weir_http_head_limit(const weir_http_core_conf *core);
/* And what one line may take, with its end: that of the larger kind of buffer. */
size_t weir_http_line_limit(const weir_http_core_conf *core);

#endif
