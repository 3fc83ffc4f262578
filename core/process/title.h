#ifndef WEIR_PROCESS_TITLE_H
#define WEIR_PROCESS_TITLE_H

#include "core/base/result.h"

/*
 * What ps shows is written over the arguments and the environment that the kernel laid out: moves both
 * elsewhere.  Call it first of all.  Returns the moved arguments; NULL without memory.
 */
char **weir_title_init(int argc, char **argv) WEIR_MUST_USE;

#endif
