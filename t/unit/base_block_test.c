#include "core/base/block.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "t/unit/base_unit.h"

/* "ab|cd|#3@40" for two spans of memory and three bytes of a file from offset 40. */
static const char *spans(const weir_chain *chain)
{
    static char text[200];
    size_t len = 0;
    uint64_t sum = 0;

    for (const weir_span *span = chain->first; span != NULL; span = span->next) {
        assert_true(span->len != 0);
        assert_true(len + 40 + (span->kind == WEIR_SPAN_FILE ? 0 : span->len) < sizeof(text));

        if (len != 0) {
            text[len++] = '|';
        }

        if (span->kind == WEIR_SPAN_FILE) {
            len += (size_t) snprintf(text + len, sizeof(text) - len, "#%zu@%lld", span->len,
                                     (long long) span->offset);
        } else {
            memcpy(text + len, span->data, span->len);
            len += span->len;
        }

        sum += span->len;
        if (span->next == NULL) {
            assert_ptr_equal(chain->last, span);
        }
    }

    if (chain->first == NULL) {
        assert_null(chain->last);
    }
    assert_int_equal(chain->len, sum);

    text[len] = '\0';
    return text;
}

static void a_block_is_in_use_until_its_last_reference_is_gone(void **state)
{
    weir_block *block = weir_block_get();

    (void) state;

    assert_non_null(block);
    assert_int_equal(weir_blocks_in_use(), 1);
    memset(block->data, 'x', WEIR_BLOCK_BYTES);
    weir_block_ref(block);
    weir_block_unref(block);
    assert_int_equal(weir_blocks_in_use(), 1);
    weir_block_unref(block);
    assert_int_equal(weir_blocks_in_use(), 0);
    weir_block_unref(NULL);
}

static void blocks_come_back(void **state)
{
    weir_block *block = weir_block_get();

    (void) state;
    weir_block_unref(block);

    if (!WEIR_POOL_SEPARATE) {
        weir_block *again = weir_block_get();

        assert_ptr_equal(again, block);
        weir_block_unref(again);
    }

    weir_blocks_release_free();
    block = weir_block_get();
    assert_non_null(block);
    weir_block_unref(block);
}

static void large_blocks_are_a_kind_of_their_own(void **state)
{
    weir_block *large = weir_block_get_large();
    weir_block *small = weir_block_get();
    weir_chain chain = {0};

    (void) state;
    assert_int_equal(large->size, WEIR_BLOCK_LARGE_BYTES);
    assert_int_equal(small->size, WEIR_BLOCK_BYTES);
    memset(large->data, 'x', WEIR_BLOCK_LARGE_BYTES);
    memset(small->data, 'y', WEIR_BLOCK_BYTES);

    assert_true(weir_chain_add_block(&chain, large, large->data, WEIR_BLOCK_LARGE_BYTES));
    weir_block_unref(large);
    weir_block_unref(small);
    assert_int_equal(weir_blocks_in_use(), 1);
    assert_int_equal(chain.first->len, WEIR_BLOCK_LARGE_BYTES);
    weir_chain_clear(&chain);
    assert_int_equal(weir_blocks_in_use(), 0);

    if (!WEIR_POOL_SEPARATE) {
        weir_block *again = weir_block_get_large();

        assert_ptr_equal(again, large);
        assert_int_equal(again->size, WEIR_BLOCK_LARGE_BYTES);
        weir_block_unref(again);
    }
    weir_blocks_release_free();
}

static void more_blocks_than_are_kept_can_be_had(void **state)
{
    weir_block *blocks[300];

    (void) state;

    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < 300; i++) {
            blocks[i] = weir_block_get();
            assert_non_null(blocks[i]);
            memset(blocks[i]->data, (int) i, WEIR_BLOCK_BYTES);
        }

        assert_int_equal(weir_blocks_in_use(), 300);
        for (size_t i = 0; i < 300; i++) {
            assert_int_equal(blocks[i]->data[WEIR_BLOCK_BYTES - 1], (char) i);
            weir_block_unref(blocks[i]);
        }
    }
}

static void a_zeroed_chain_is_empty(void **state)
{
    weir_chain chain = {0};

    (void) state;

    assert_true(weir_chain_is_empty(&chain));
    assert_string_equal(spans(&chain), "");
    weir_chain_clear(&chain);
    weir_chain_consume(&chain, 10);
}

static void adding_nothing_adds_no_span(void **state)
{
    weir_chain chain = {0};
    weir_block *block = weir_block_get();

    (void) state;

    assert_true(weir_chain_add_block(&chain, block, block->data, 0));
    assert_true(weir_chain_add_memory(&chain, WEIR_STR("")));
    assert_true(weir_chain_add_copy(&chain, weir_str_of(NULL, 0)));
    assert_true(weir_chain_add_file(&chain, 3, 0, 0));
    assert_true(weir_chain_is_empty(&chain));
    weir_block_unref(block);
}

static void spans_stand_in_order(void **state)
{
    weir_chain chain = {0};

    (void) state;

    assert_true(weir_chain_add_memory(&chain, WEIR_STR("a")));
    assert_true(weir_chain_add_copy(&chain, WEIR_STR("b")));
    assert_true(weir_chain_add_file(&chain, 3, 40, 7));
    assert_string_equal(spans(&chain), "a|b|#7@40");
    assert_int_equal(chain.last->fd, 3);
    weir_chain_clear(&chain);
    assert_string_equal(spans(&chain), "");
}

static void a_chain_holds_its_blocks(void **state)
{
    weir_chain chain = {0};
    weir_block *block = weir_block_get();

    (void) state;
    memcpy(block->data, "abcd", 4);

    assert_true(weir_chain_add_block(&chain, block, block->data + 2, 2));
    assert_true(weir_chain_add_block(&chain, block, block->data, 2));
    weir_block_unref(block);
    assert_string_equal(spans(&chain), "cd|ab");
    weir_chain_consume(&chain, 2);
    assert_int_equal(weir_blocks_in_use(), 1);
    weir_chain_consume(&chain, 2);
    assert_int_equal(weir_blocks_in_use(), 0);
}

static void what_follows_in_the_same_block_is_one_span(void **state)
{
    weir_chain chain = {0};
    weir_block *block = weir_block_get();

    (void) state;
    memcpy(block->data, "abcd", 4);

    assert_true(weir_chain_add_block(&chain, block, block->data, 2));
    assert_true(weir_chain_add_block(&chain, block, block->data + 2, 2));
    assert_string_equal(spans(&chain), "abcd");
    assert_int_equal(block->references, 2);
    weir_block_unref(block);
    weir_chain_clear(&chain);
}

static void copies_fill_a_block_that_nobody_else_holds(void **state)
{
    weir_chain chain = {0}, other = {0};

    (void) state;

    assert_true(weir_chain_add_copy(&chain, WEIR_STR("abc")));
    assert_true(weir_chain_add_copy(&chain, WEIR_STR("def")));
    assert_string_equal(spans(&chain), "abcdef");

    /* Two chains share the block now: what one appends must not be written into the other's. */
    assert_true(weir_chain_move(&other, &chain, 3));
    assert_true(weir_chain_add_copy(&other, WEIR_STR("x")));
    assert_string_equal(spans(&other), "abc|x");
    assert_string_equal(spans(&chain), "def");
    weir_chain_clear(&chain);
    weir_chain_clear(&other);
    assert_int_equal(weir_blocks_in_use(), 0);
}

static void of_pieces_few_bytes_are_copied_and_many_referenced(void **state)
{
    weir_block *block = weir_block_get_large();
    weir_chain chain = {0};

    (void) state;
    memset(block->data, 'x', WEIR_PIECE_COPY_MAX + 1);
    assert_true(weir_chain_add_piece(&chain, block, block->data, 1));
    assert_true(weir_chain_add_piece(&chain, block, block->data, WEIR_PIECE_COPY_MAX));
    assert_int_equal(block->references, 1);
    assert_true(weir_chain_add_piece(&chain, NULL, block->data, WEIR_PIECE_COPY_MAX + 1));
    assert_int_equal(block->references, 1);
    assert_true(weir_chain_add_piece(&chain, block, block->data, WEIR_PIECE_COPY_MAX + 1));
    assert_int_equal(block->references, 2);
    assert_int_equal(chain.len, 3 * (WEIR_PIECE_COPY_MAX + 1));
    weir_chain_clear(&chain);
    weir_block_unref(block);
    assert_int_equal(weir_blocks_in_use(), 0);
}

static void long_copies_take_several_blocks(void **state)
{
    enum { len = 3 * WEIR_BLOCK_BYTES + 100 };
    char *text = malloc(len);
    weir_chain chain = {0};
    weir_str joined;

    assert_non_null(text);
    for (size_t i = 0; i < len; i++) {
        text[i] = (char) (i * 31 / 7);
    }

    assert_true(weir_chain_add_copy(&chain, weir_str_of(text, 1000)));
    assert_true(weir_chain_add_copy(&chain, weir_str_of(text + 1000, len - 1000)));
    assert_int_equal(weir_blocks_in_use(), 4);
    assert_true(weir_chain_join(&chain, *state, &joined));
    assert_int_equal(joined.len, len);
    assert_memory_equal(joined.data, text, len);
    weir_chain_clear(&chain);
    free(text);
}

/* "abcd", "ef" in a block, six bytes of a file from 40. */
static void make_mixed_chain(weir_chain *chain)
{
    *chain = (weir_chain){0};
    assert_true(weir_chain_add_memory(chain, WEIR_STR("abcd")));
    assert_true(weir_chain_add_copy(chain, WEIR_STR("ef")));
    assert_true(weir_chain_add_file(chain, 3, 40, 6));
}

/* Of make_mixed_chain(), by bytes taken from its front: what was taken, and what is left. */
static const struct {
    const char *taken, *left;
} cuts[] = {
    {"", "abcd|ef|#6@40"},      {"a", "bcd|ef|#6@40"},      {"ab", "cd|ef|#6@40"},
    {"abc", "d|ef|#6@40"},      {"abcd", "ef|#6@40"},       {"abcd|e", "f|#6@40"},
    {"abcd|ef", "#6@40"},       {"abcd|ef|#1@40", "#5@41"}, {"abcd|ef|#2@40", "#4@42"},
    {"abcd|ef|#3@40", "#3@43"}, {"abcd|ef|#4@40", "#2@44"}, {"abcd|ef|#5@40", "#1@45"},
    {"abcd|ef|#6@40", ""},      {"abcd|ef|#6@40", ""},
};

static void consuming_drops_bytes_from_the_front(void **state)
{
    (void) state;

    for (size_t bytes = 0; bytes < WEIR_COUNT(cuts); bytes++) {
        weir_chain chain;

        make_mixed_chain(&chain);
        weir_chain_consume(&chain, bytes);
        assert_string_equal(spans(&chain), cuts[bytes].left);
        weir_chain_clear(&chain);
        assert_int_equal(weir_blocks_in_use(), 0);
    }
}

static void moving_splits_where_the_limit_is(void **state)
{
    (void) state;

    for (size_t bytes = 0; bytes < WEIR_COUNT(cuts); bytes++) {
        weir_chain from, to = {0};

        make_mixed_chain(&from);
        assert_true(weir_chain_move(&to, &from, bytes));
        assert_string_equal(spans(&from), cuts[bytes].left);
        assert_string_equal(spans(&to), cuts[bytes].taken);
        if (bytes > 6) {
            assert_int_equal(to.last->fd, 3);
        }

        weir_chain_clear(&from);
        weir_chain_clear(&to);
        assert_int_equal(weir_blocks_in_use(), 0);
    }
}

static void moving_adds_behind_what_is_there(void **state)
{
    weir_chain from, to = {0};

    (void) state;
    make_mixed_chain(&from);

    assert_true(weir_chain_add_memory(&to, WEIR_STR("0")));
    assert_true(weir_chain_move(&to, &from, 1));
    assert_true(weir_chain_move(&to, &from, 4));
    assert_string_equal(spans(&to), "0|a|bcd|e");
    weir_chain_clear(&from);
    weir_chain_clear(&to);
}

static void appending_empties_the_other(void **state)
{
    weir_chain to = {0}, from = {0};

    (void) state;

    weir_chain_append(&to, &from);
    assert_string_equal(spans(&to), "");

    assert_true(weir_chain_add_memory(&from, WEIR_STR("a")));
    weir_chain_append(&to, &from);
    assert_string_equal(spans(&to), "a");
    assert_string_equal(spans(&from), "");

    assert_true(weir_chain_add_memory(&from, WEIR_STR("b")));
    weir_chain_append(&to, &from);
    assert_true(weir_chain_add_memory(&to, WEIR_STR("c")));
    assert_string_equal(spans(&to), "a|b|c");
    weir_chain_clear(&to);
}

static void vectors_end_before_a_file(void **state)
{
    weir_chain chain;
    struct iovec vectors[4];
    size_t bytes;

    (void) state;
    make_mixed_chain(&chain);
    assert_true(weir_chain_add_memory(&chain, WEIR_STR("g")));

    assert_int_equal(weir_chain_vectors(&chain, vectors, 4, &bytes), 2);
    assert_int_equal(bytes, 6);
    assert_int_equal(vectors[0].iov_len, 4);
    assert_memory_equal(vectors[0].iov_base, "abcd", 4);
    assert_memory_equal(vectors[1].iov_base, "ef", 2);

    assert_int_equal(weir_chain_vectors(&chain, vectors, 1, &bytes), 1);
    assert_int_equal(bytes, 4);

    weir_chain_consume(&chain, 6);
    assert_int_equal(weir_chain_vectors(&chain, vectors, 4, &bytes), 0);
    assert_int_equal(bytes, 0);
    weir_chain_clear(&chain);
}

static void joining_gives_one_string_unless_there_is_a_file(void **state)
{
    weir_chain chain;
    weir_str text = WEIR_STR("untouched");
    weir_pool *small = weir_pool_new(512, 5);

    make_mixed_chain(&chain);
    assert_false(weir_chain_join(&chain, *state, &text));
    weir_chain_clear(&chain);
    assert_str(text, "untouched");

    assert_true(weir_chain_join(&chain, *state, &text));
    assert_str(text, "");

    assert_true(weir_chain_add_memory(&chain, WEIR_STR("abc")));
    assert_true(weir_chain_add_copy(&chain, WEIR_STR("def")));
    assert_true(weir_chain_join(&chain, *state, &text));
    assert_str(text, "abcdef");
    assert_false(weir_chain_join(&chain, small, &text));
    weir_chain_clear(&chain);
    weir_pool_free(small);
}

/* Takes all memory that this process may have; gives back `blocks` and `spans` of them. */
static void leave_only(size_t blocks, size_t spans_left)
{
    const struct rlimit none = {0, 0};
    weir_chain chain = {0};
    weir_block *kept[100];
    size_t count = 0;

    if (setrlimit(RLIMIT_AS, &none) == -1) {
        _exit(100);
    }

    for (; count < 100 && count < blocks; count++) {
        kept[count] = weir_block_get();
        if (kept[count] == NULL) {
            _exit(101);
        }
    }

    while (weir_block_get() != NULL) {
    }
    while (weir_chain_add_memory(&chain, WEIR_STR("x"))) {
    }

    while (count != 0) {
        weir_block_unref(kept[--count]);
    }
    weir_chain_consume(&chain, spans_left);
}

/* Whether `attempt` says yes in a process with so much memory and no more. */
static bool in_scarcity(bool (*attempt)(void), size_t blocks, size_t spans_left)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        leave_only(blocks, spans_left);
        _exit(!attempt());
    }

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_in_range(WEXITSTATUS(status), 0, 1);
    return WEXITSTATUS(status) == 0;
}

static char long_text[3 * WEIR_BLOCK_BYTES];

static bool copy_three_blocks_or_nothing(void)
{
    weir_chain chain = {0};
    size_t before = weir_blocks_in_use();
    bool added = weir_chain_add_copy(&chain, weir_str_of(long_text, sizeof(long_text)));

    if (added ? chain.len != sizeof(long_text) || weir_blocks_in_use() != before + 3
              : chain.first != NULL || weir_blocks_in_use() != before) {
        _exit(2);
    }

    return added;
}

static bool add_each_or_nothing(void)
{
    weir_chain chain = {0};
    bool added = weir_chain_add_memory(&chain, WEIR_STR("ab"));
    uint64_t len = chain.len;

    added = added && weir_chain_add_file(&chain, 1, 0, 3);
    len += added ? 3 : 0;
    if (chain.len != len) {
        _exit(2);
    }

    return added;
}

static bool split_or_nothing(void)
{
    weir_chain from = {0}, to = {0};
    bool moved;

    if (!weir_chain_add_memory(&from, WEIR_STR("abcd"))) {
        _exit(2);
    }

    moved = weir_chain_move(&to, &from, 3);
    if (from.len != (moved ? 1 : 4) || to.len != (moved ? 3 : 0)) {
        _exit(2);
    }

    return moved;
}

static void without_memory_nothing_is_added(void **state)
{
    weir_block *blocks[5];

    (void) state;

    if (UNIT_SANITIZED || WEIR_POOL_SEPARATE) {
        skip();
    }

    /* So that there are some in the free list when memory is over. */
    for (size_t i = 0; i < 5; i++) {
        blocks[i] = weir_block_get();
    }
    for (size_t i = 0; i < 5; i++) {
        weir_block_unref(blocks[i]);
    }

    assert_false(in_scarcity(copy_three_blocks_or_nothing, 0, 3));
    assert_false(in_scarcity(copy_three_blocks_or_nothing, 2, 3));
    assert_false(in_scarcity(copy_three_blocks_or_nothing, 3, 2));
    assert_false(in_scarcity(copy_three_blocks_or_nothing, 3, 0));
    assert_true(in_scarcity(copy_three_blocks_or_nothing, 3, 3));

    for (size_t spans_left = 0; spans_left < 2; spans_left++) {
        assert_false(in_scarcity(add_each_or_nothing, 0, spans_left));
    }
    assert_true(in_scarcity(add_each_or_nothing, 0, 2));

    assert_false(in_scarcity(split_or_nothing, 0, 1));
    assert_true(in_scarcity(split_or_nothing, 0, 2));
}

static int release(void **state)
{
    (void) state;
    assert_int_equal(weir_blocks_in_use(), 0);
    weir_blocks_release_free();
    return 0;
}

static void a_part_of_a_chain_is_shared(void **state)
{
    weir_block *block = weir_block_get();
    weir_chain whole = {0}, part = {0};

    (void) state;
    memcpy(block->data, "cdef", 4);
    assert_true(weir_chain_add_memory(&whole, WEIR_STR("ab")));
    assert_true(weir_chain_add_block(&whole, block, block->data, 4));
    weir_block_unref(block);
    assert_true(weir_chain_add_file(&whole, 0, 40, 10));

    assert_true(weir_chain_add_part(&part, &whole, 1, 4));
    assert_string_equal(spans(&part), "b|cd");
    weir_chain_clear(&part);
    assert_true(weir_chain_add_part(&part, &whole, 3, 100));
    assert_string_equal(spans(&part), "def|#10@40");
    weir_chain_clear(&part);
    assert_true(weir_chain_add_part(&part, &whole, 8, 9));
    assert_string_equal(spans(&part), "#1@42");
    weir_chain_clear(&part);
    assert_true(weir_chain_add_part(&part, &whole, 16, 20));
    assert_true(weir_chain_is_empty(&part));
    assert_string_equal(spans(&whole), "ab|cdef|#10@40");
    weir_chain_clear(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_in_use_until_its_last_reference_is_gone),
        cmocka_unit_test(blocks_come_back),
        cmocka_unit_test(large_blocks_are_a_kind_of_their_own),
        cmocka_unit_test(more_blocks_than_are_kept_can_be_had),
        cmocka_unit_test(a_zeroed_chain_is_empty),
        cmocka_unit_test(adding_nothing_adds_no_span),
        cmocka_unit_test(spans_stand_in_order),
        cmocka_unit_test(a_part_of_a_chain_is_shared),
        cmocka_unit_test(a_chain_holds_its_blocks),
        cmocka_unit_test(what_follows_in_the_same_block_is_one_span),
        cmocka_unit_test(copies_fill_a_block_that_nobody_else_holds),
        unit_test_with_pool(of_pieces_few_bytes_are_copied_and_many_referenced),
        unit_test_with_pool(long_copies_take_several_blocks),
        cmocka_unit_test(consuming_drops_bytes_from_the_front),
        cmocka_unit_test(moving_splits_where_the_limit_is),
        cmocka_unit_test(moving_adds_behind_what_is_there),
        cmocka_unit_test(appending_empties_the_other),
        cmocka_unit_test(vectors_end_before_a_file),
        unit_test_with_pool(joining_gives_one_string_unless_there_is_a_file),
        cmocka_unit_test(without_memory_nothing_is_added),
    };

    return cmocka_run_group_tests(tests, NULL, release);
}
