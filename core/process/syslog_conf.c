/* Where a directive logs to: its receiver, whose name is looked up. */

#include "core/process/syslog_conf.h"

#include "core/net/addr.h"

weir_syslog *weir_syslog_open(weir_conf *conf, weir_str parameters)
{
    const char *why = "";
    weir_syslog *syslog = weir_syslog_new(weir_conf_pool(conf), parameters, &why);
    weir_addr *found;
    weir_str host;

    if (syslog == NULL) {
        (void) weir_conf_refuse(conf, "%s", why);
        return NULL;
    }

    host = weir_syslog_host(syslog);
    if (host.len == 0) {
        return syslog;
    }

    if (!weir_lookup_takes(host, &why)) {
        (void) weir_conf_refuse(conf, "%s in syslog server \"%.*s\"", why, WEIR_STR_ARG(host));
        return NULL;
    }

    if (weir_lookup(weir_conf_temp_pool(conf), host, WEIR_SYSLOG_PORT, &found, &why) == 0) {
        weir_conf_warn(conf, "%s in syslog server \"%.*s\": what is logged there is lost", why,
                       WEIR_STR_ARG(host));
    } else {
        weir_syslog_set_server(syslog, &found->sa, found->len);
    }
    return syslog;
}
