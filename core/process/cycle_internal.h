#ifndef WEIR_PROCESS_CYCLE_INTERNAL_H
#define WEIR_PROCESS_CYCLE_INTERNAL_H

#include "core/process/cycle.h"

/* What the binary before this one handed over at USR2; NULL: nothing. */
typedef struct {
    const weir_zones *zones;
    weir_listeners *listeners;
} weir_inheritance;

/* As weir_cycle_load(); the first cycle takes over from `inherited` what later ones take from `previous`. */
weir_cycle *weir_cycle_load_inheriting(const weir_conf_options *options, weir_cycle *previous,
                                       const weir_inheritance *inherited);

#endif
