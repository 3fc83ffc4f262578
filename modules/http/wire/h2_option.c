#include "modules/http/wire/h2_option.h"

#include <stdint.h>

#include "weir_auto_config.h"

/* Of a head that we send: whoever made it has bounded it, by proxy_buffer_size for one, beyond nghttp2's 64 KiB. */
#define HEAD_SENT_MAX ((size_t) 64 * 1024 * 1024)

/* Resets, and frames that are odd but not forbidden: more at once, and in a second, than any credit of the guard lasts for. */
#define BURST 10000
#define PER_SECOND 1000

/* An nghttp2 that does not bound these has nothing to be told. */
#if !WEIR_HAVE_NGHTTP2_MAX_CONTINUATIONS
#define nghttp2_option_set_max_continuations(option, most) ((void) (option))
#endif
#if !WEIR_HAVE_NGHTTP2_STREAM_RESET_RATE_LIMIT
#define nghttp2_option_set_stream_reset_rate_limit(option, burst, rate) ((void) (option))
#endif
#if !WEIR_HAVE_NGHTTP2_GLITCH_RATE_LIMIT
#define nghttp2_option_set_glitch_rate_limit(option, burst, rate) ((void) (option))
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
    /*
     * What h2_guard bounds, by its cost and its bytes, is left to it, whatever the version.  nghttp2 would take 8 CONTINUATION
     * frames, and Debian's counts one again with each piece of its head that comes: what is taken would hang on how the bytes
     * were cut.  Its preset of 33 resets a second would stand before the guard's bound.
     */
    nghttp2_option_set_max_continuations(option, SIZE_MAX);
    nghttp2_option_set_stream_reset_rate_limit(option, BURST, PER_SECOND);
    nghttp2_option_set_glitch_rate_limit(option, BURST, PER_SECOND);
    return option;
}
