#include "core/process/built_in_internal.h"

#include "core/conf/module.h"
#include "core/process/cycle.h"

typedef struct {
    const char *file;
    const char *family;
    const char *module; /* NULL: any of the family */
} built_in;

/* nginx's dynamic modules that are part of weir, in builds which did not leave them out. */
static const built_in built_in_modules[] = {
    {"ngx_stream_module.so", "stream", NULL},
    {"ngx_stream_geoip2_module.so", "stream", "geoip2"},
    {"ngx_http_geoip2_module.so", "http", "geoip2"},
    {"ngx_http_modsecurity_module.so", "http", "modsecurity"},
    {"ngx_http_headers_more_filter_module.so", "http", "headers_more"},
    {"ngx_http_subs_filter_module.so", "http", "subs_filter"},
    {"ngx_http_image_filter_module.so", "http", "image_filter"},
    {"ngx_http_brotli_filter_module.so", "http", "brotli"},
};

static weir_str built_in_file_name(weir_str path)
{
    size_t begin = path.len;

    while (begin > 0 && path.data[begin - 1] != '/') {
        begin--;
    }

    return weir_str_from(path, begin);
}

static bool built_in_is_there(const weir_modules *modules, const built_in *row)
{
    const weir_module *module;

    for (size_t i = 0; (module = weir_modules_at(modules, row->family, i)) != NULL; i++) {
        if (row->module == NULL || strcmp(module->name, row->module) == 0) {
            return true;
        }
    }

    return false;
}

bool weir_built_in_stands_for(weir_conf *conf, weir_str path)
{
    const weir_modules *modules = weir_conf_cycle(conf)->modules;
    weir_str file = built_in_file_name(path);

    if (!weir_str_starts(file, WEIR_STR("ngx_")) || !weir_str_ends(file, WEIR_STR(".so"))) {
        return false;
    }

    for (size_t i = 0; i < WEIR_COUNT(built_in_modules); i++) {
        const built_in *row = &built_in_modules[i];

        if (weir_str_eq(file, weir_str_from_z(row->file)) && built_in_is_there(modules, row)) {
            weir_conf_notice(conf, "module \"%.*s\" is built in", WEIR_STR_ARG(file));
            return true;
        }
    }

    weir_conf_warn(conf,
                   "module \"%.*s\" is nginx's and not a part of this weir, ignored: its "
                   "directives are refused where they are used",
                   WEIR_STR_ARG(file));
    return true;
}
