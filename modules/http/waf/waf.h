#ifndef WEIR_HTTP_WAF_H
#define WEIR_HTTP_WAF_H

#include "modules/http/engine/module.h"

/* modsecurity on|off|detection and its kin: SecLang rules look at requests and responses. */
extern const weir_http_module weir_http_waf;
/* Behind it: ends what "weir waf explain" replays; does nothing else. */
extern const weir_http_module weir_http_waf_stop;
/* Phase 2, before access control shows the request to others (auth_request). */
extern const weir_http_module weir_http_waf_early;

#endif
