#ifndef WEIR_STREAM_ENGINE_MODULE_H
#define WEIR_STREAM_ENGINE_MODULE_H

#include "core/conf/module.h"
#include "modules/stream/engine/session.h"

/* Where stream directives may stand; http's contexts have the bits before. */
enum {
    WEIR_STREAM_MAIN = WEIR_FIRST_FAMILY_CONTEXT << 8,
    WEIR_STREAM_SERVER = WEIR_FIRST_FAMILY_CONTEXT << 9,
    WEIR_STREAM_UPSTREAM = WEIR_FIRST_FAMILY_CONTEXT << 10,
};
#define WEIR_STREAM_ANYWHERE (WEIR_STREAM_MAIN | WEIR_STREAM_SERVER)

/* A stream module: static and constant, one a file, named in auto/modules. */
struct weir_stream_module {
    union {
        weir_module base;
        struct {
            WEIR_MODULE_MEMBERS
        };
    };

    /* ---- judging sessions: all NULL or 0 when it does not */
    unsigned phases; /* 1u << WEIR_STREAM_PHASE_... of each it runs in */
    /* `server` are its settings there.  In LOG the verdict is not looked at. */
    weir_stream_verdict (*judge)(weir_stream_session *session, const void *server);
    /* At load: whether these settings give `judge` anything to do.  NULL: always. */
    bool (*applies)(const void *server);
    /* Clients may be trusted to speak first where this judges them: so the kernel may wait for that. */
    bool waits_for_client;

    /* NULL, or the variables it defines; ends with a NULL name. */
    const weir_variable *variables;
};

/* The stream module of an entry of family "stream". */
static inline const weir_stream_module *weir_stream_module_of(const weir_module *module)
{
    return (const weir_stream_module *) (const void *) module;
}

#endif
