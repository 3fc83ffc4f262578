#ifndef WEIR_PROCESS_BUILT_IN_INTERNAL_H
#define WEIR_PROCESS_BUILT_IN_INTERNAL_H

#include "core/conf/conf.h"

/*
 * Whether load_module names a file of nginx's, which packages for nginx ask for and weir cannot
 * load.  It is said in the log what stands for it, or that nothing does; the directives of a module that
 * is not there are refused where they are used.
 */
bool weir_built_in_stands_for(weir_conf *conf, weir_str path);

#endif
