#include "modules/http/wire/h2_option.h"

#include <stdint.h>

#include "weir_auto_config.h"

/* Of a head that we send: whoever made it has bounded it, by proxy_buffer_size for one, beyond nghttp2's 64 KiB. */
#define HEAD_SENT_MAX ((size_t) 64 * 1024 * 1024)

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

/*
 * So are resets and frames that are odd but not forbidden, whatever the version: nghttp2's bounds are put behind the guard's,
 * in front of which its preset of 33 a second would be.  More at once, and in a second, than any credit lasts for:
 */
#define BURST 10000
#define PER_SECOND 1000

#if WEIR_HAVE_NGHTTP2_STREAM_RESET_RATE_LIMIT
static void leave_resets_to_guard(nghttp2_option *option)
{
    nghttp2_option_set_stream_reset_rate_limit(option, BURST, PER_SECOND);
}
#else
static void leave_resets_to_guard(nghttp2_option *option)
{
    (void) option;
}
#endif

#if WEIR_HAVE_NGHTTP2_GLITCH_RATE_LIMIT
static void leave_glitches_to_guard(nghttp2_option *option)
{
    nghttp2_option_set_glitch_rate_limit(option, BURST, PER_SECOND);
}
#else
static void leave_glitches_to_guard(nghttp2_option *option)
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
    nghttp2_option_set_max_send_header_block_length(option, HEAD_SENT_MAX);
    leave_continuations_to_guard(option);
    leave_resets_to_guard(option);
    leave_glitches_to_guard(option);
    return option;
}
