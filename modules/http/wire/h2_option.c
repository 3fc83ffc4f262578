#include "modules/http/wire/h2_option.h"

#include <stdint.h>

#include "weir_auto_config.h"

/*
 * h2_guard bounds them, by what they cost and by their bytes.  nghttp2 takes 8, and Debian's counts one again with each piece of
 * its head that comes: what is taken would hang on how the bytes were cut.
 */
#if WEIR_HAVE_NGHTTP2_MAX_CONTINUATIONS
static void leave_continuations_to_guard(nghttp2_option *option)
{
    nghttp2_option_set_max_continuations(option, SIZE_MAX);
}
#else
static void leave_continuations_to_guard(nghttp2_option *option)
{
    (void) option;
}
#endif

nghttp2_option *h2_option_new(void)
{
    nghttp2_option *option;

    if (nghttp2_option_new(&option) != 0) {
        return NULL;
    }
    /* Windows open as bodies are taken, not as they come. */
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    leave_continuations_to_guard(option);
    return option;
}
