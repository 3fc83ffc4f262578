#include "modules/waf/transaction_internal.h"

/* The audit log. */

void weir_waf_change_parts(weir_waf_transaction *tx, weir_str change)
{
    weir_builder parts;
    weir_str text;

    weir_builder_open(&parts, tx->pool, 64);
    if (change.len == 0 || (change.data[0] != '+' && change.data[0] != '-')) {
        weir_builder_add(&parts, change);
    } else {
        weir_str named = weir_str_from(change, 1);

        for (size_t i = 0; i < tx->audit_parts.len; i++) {
            if (weir_str_find_byte(named, tx->audit_parts.data[i]) == NULL) {
                weir_builder_add_byte(&parts, tx->audit_parts.data[i]);
            }
        }
        if (change.data[0] == '+') {
            weir_builder_add(&parts, named);
        }
    }
    if (weir_builder_close(&parts, &text)) {
        tx->audit_parts = text;
    }
}
