#ifndef WEIR_BASE_RESULT_H
#define WEIR_BASE_RESULT_H

/*
 * What a function that may have to wait returns.
 *
 * A function that only may fail returns bool or a pointer instead; one that
 * searches returns a pointer, where NULL is no failure.
 */
typedef enum {
    WEIR_OK,   /* finished; outputs are set */
    WEIR_WAIT, /* not finished, and a wake-up is armed */
    WEIR_FAIL, /* failed; outputs untouched, the reason logged by whoever knew it first */
} weir_result;

#define WEIR_MUST_USE __attribute__((warn_unused_result))
#define WEIR_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define WEIR_LIKELY(x) __builtin_expect(!!(x), 1)
#define WEIR_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define WEIR_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The structure that `member` at `pointer` belongs to. */
#define WEIR_OWNER(pointer, type, member)                                                          \
    ((type *) (void *) ((char *) (pointer) -offsetof(type, member)))

#endif
