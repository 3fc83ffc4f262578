#ifndef WEIR_CONTROL_CONTROL_H
#define WEIR_CONTROL_CONTROL_H

#include "core/base/str.h"
#include "core/conf/module.h"

/*
 * What goes over the control socket, one call a connection.  Asked: "VERB\nPATH\nFORMAT\n" and the
 * body, up to the end of data; FORMAT is "json" or "text".  Answered: "STATUS\n" and the text.
 */
#define WEIR_CONTROL_CALL_MAX ((size_t) 64 * 1024)

/* Where the configuration has the socket; empty: nowhere. */
typedef struct {
    weir_str path;
} weir_control_conf;

extern const weir_module weir_control;
extern const weir_tool weir_control_tools[]; /* ctl.c: the other end */

#endif
