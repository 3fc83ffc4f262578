#ifndef WEIR_PROCESS_TITLE_INTERNAL_H
#define WEIR_PROCESS_TITLE_INTERNAL_H

#include "core/base/result.h"

/* "weir: WHAT", as ps shows it; cut to the room there is, none before weir_title_init(). */
void weir_title_set(const char *what);
/* "weir: master process COMMAND-LINE" */
void weir_title_set_master(char *const *argv);

#endif
