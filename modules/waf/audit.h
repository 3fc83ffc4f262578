#ifndef WEIR_WAF_AUDIT_H
#define WEIR_WAF_AUDIT_H

#include "core/base/builder.h"
#include "modules/waf/transaction.h"

/*
 * The audit log's entry of a transaction, after phase 5.  Where it goes is the business of who runs it:
 * weir_waf_settings.audit says.
 */

/* SecAuditEngine, SecAuditLogRelevantStatus, ctl:auditEngine, and auditlog of the rules that matched. */
bool weir_waf_audit_is_due(weir_waf_transaction *tx);
/* Native or JSON, with its newline, in memory of the pool.  False: no memory, or over 32 MiB. */
bool weir_waf_audit_entry(weir_waf_transaction *tx, weir_pool *pool, weir_str *text) WEIR_MUST_USE;

/* Bytes that could end a quoted part of a line, or the line, are written as \xHH. */
void weir_waf_add_escaped(weir_builder *line, weir_str text);

#endif
