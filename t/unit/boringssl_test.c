/* What auto/boringssl-fixes mends: each test fails with the library as Debian packages it. */

#include "t/unit/unit.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static GENERAL_NAME *x400_address(uint8_t content)
{
    /* [3] { content }: an ORAddress that nobody decodes. */
    const uint8_t der[] = {0xa3, 0x01, content};
    const uint8_t *at = der;
    GENERAL_NAME *name = d2i_GENERAL_NAME(NULL, &at, sizeof(der));

    assert_non_null(name);
    assert_int_equal(name->type, GEN_X400);
    return name;
}

/* CVE-2023-0286 */
static void compares_x400_addresses_by_what_they_hold(void **state)
{
    GENERAL_NAME *name = x400_address(5);
    GENERAL_NAME *same = x400_address(5);
    GENERAL_NAME *other = x400_address(6);

    (void) state;

    assert_int_equal(GENERAL_NAME_cmp(name, same), 0);
    assert_int_not_equal(GENERAL_NAME_cmp(name, other), 0);

    GENERAL_NAME_free(other);
    GENERAL_NAME_free(same);
    GENERAL_NAME_free(name);
}

/* CVE-2024-5535 */
static void selects_nothing_from_an_empty_list_of_protocols(void **state)
{
    static const uint8_t peer[] = {2, 'h', '2'};
    static const uint8_t behind[] = {200};
    uint8_t *selected = (uint8_t *) 1;
    uint8_t selected_len = 1;

    (void) state;

    assert_int_equal(SSL_select_next_proto(&selected, &selected_len, peer, sizeof(peer), behind, 0),
                     OPENSSL_NPN_NO_OVERLAP);
    assert_null(selected);
    assert_int_equal(selected_len, 0);
}

/* CVE-2024-5535 */
static void takes_no_protocol_that_is_cut_short(void **state)
{
    static const uint8_t peer[] = {2, 'h', '2'};
    static const uint8_t supported[] = {2, 'h', '2'};
    uint8_t *selected;
    uint8_t selected_len;

    (void) state;

    assert_int_equal(
        SSL_select_next_proto(&selected, &selected_len, peer, 2, supported, sizeof(supported)),
        OPENSSL_NPN_NO_OVERLAP);
    assert_int_equal(
        SSL_select_next_proto(&selected, &selected_len, peer, sizeof(peer), supported, 2),
        OPENSSL_NPN_NO_OVERLAP);
    assert_int_equal(selected_len, 0);
}

static void selects_the_first_of_the_peers_protocols_that_is_supported(void **state)
{
    static const uint8_t peer[] = {3,   'f', 'o', 'o', 2,   'h', '2', 8,
                                   'h', 't', 't', 'p', '/', '1', '.', '1'};
    static const uint8_t supported[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1', 2, 'h', '2'};
    uint8_t *selected;
    uint8_t selected_len;

    (void) state;

    assert_int_equal(SSL_select_next_proto(&selected, &selected_len, peer, sizeof(peer), supported,
                                           sizeof(supported)),
                     OPENSSL_NPN_NEGOTIATED);
    assert_int_equal(selected_len, 2);
    assert_memory_equal(selected, "h2", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_x400_addresses_by_what_they_hold),
        cmocka_unit_test(selects_nothing_from_an_empty_list_of_protocols),
        cmocka_unit_test(takes_no_protocol_that_is_cut_short),
        cmocka_unit_test(selects_the_first_of_the_peers_protocols_that_is_supported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
