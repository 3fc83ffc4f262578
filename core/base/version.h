#ifndef WEIR_BASE_VERSION_H
#define WEIR_BASE_VERSION_H

#include "weir_auto_config.h"

/* How weir names itself: in Server, on its pages, in logs. */
#define WEIR_PRODUCT "weir/" WEIR_VERSION
#define WEIR_PRODUCT_BUILD WEIR_PRODUCT

#endif
