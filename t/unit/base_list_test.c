#include "core/base/list.h"

#include "t/unit/base_unit.h"

typedef struct {
    char name;
    weir_list link;
} item;

static item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
static weir_list list;

static int begin(void **state)
{
    (void) state;
    weir_list_init(&list);
    return 0;
}

/* The names forwards; that they are the same backwards is asserted. */
static const char *names(void)
{
    static char text[8];
    size_t len = 0, back = 0;

    for (weir_list *link = list.next; link != &list; link = link->next) {
        assert_true(len < sizeof(text) - 1);
        text[len++] = WEIR_OWNER(link, item, link)->name;
    }
    text[len] = '\0';

    for (weir_list *link = list.previous; link != &list; link = link->previous) {
        back++;
        assert_int_equal(WEIR_OWNER(link, item, link)->name, text[len - back]);
    }
    assert_int_equal(back, len);

    return text;
}

static void an_empty_list_has_no_first(void **state)
{
    (void) state;

    assert_true(weir_list_is_empty(&list));
    assert_null(weir_list_first(&list));
    assert_string_equal(names(), "");
}

static void links_stand_where_they_were_put(void **state)
{
    (void) state;

    weir_list_append(&list, &b.link);
    weir_list_append(&list, &c.link);
    weir_list_prepend(&list, &a.link);
    assert_string_equal(names(), "abc");
    assert_false(weir_list_is_empty(&list));
    assert_ptr_equal(weir_list_first(&list), &a.link);

    weir_list_remove(&b.link);
    weir_list_insert_after(&c.link, &b.link);
    assert_string_equal(names(), "acb");
}

static void removing_twice_is_harmless(void **state)
{
    (void) state;

    weir_list_append(&list, &a.link);
    weir_list_append(&list, &b.link);
    weir_list_remove(&a.link);
    weir_list_remove(&a.link);
    assert_string_equal(names(), "b");
    assert_true(weir_list_is_empty(&a.link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_list_has_no_first, begin),
        cmocka_unit_test_setup(links_stand_where_they_were_put, begin),
        cmocka_unit_test_setup(removing_twice_is_harmless, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
