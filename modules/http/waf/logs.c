#include <errno.h>
#include <fcntl.h>
#include <openssl/md5.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/folders.h"
#include "modules/http/waf/waf_internal.h"
#include "modules/waf/audit.h"
#include "modules/waf/verdict.h"

/* After phase 5: the audit log, the verdict log, and what is learnt. */

#define INDEX_LINE_MAX ((size_t) 256 * 1024) /* more than its words, cut, can have */
#define SAME_ID_MAX 100                      /* in a second */
#define LEARNT_MAX 10000                     /* lines that a worker remembers */

/* ---- concurrent audit logs: a file for each entry, in folders by day and minute */

/* STORAGE/20261128/20261128-0014/20261128-001402-ID */
static bool entry_path(weir_http_waf_state *state, weir_str *path)
{
    const weir_waf_audit_settings *audit = &weir_waf_transaction_settings(state->tx)->audit;
    time_t now = weir_clock_now()->wall_s;
    char day[16], minute[32], second[32];
    weir_builder builder;
    struct tm local;

    (void) localtime_r(&now, &local);
    (void) strftime(day, sizeof(day), "%Y%m%d", &local);
    (void) strftime(minute, sizeof(minute), "%Y%m%d-%H%M", &local);
    (void) strftime(second, sizeof(second), "%Y%m%d-%H%M%S", &local);
    weir_builder_open(&builder, state->ex->pool, 4096);
    weir_builder_printf(&builder, "%.*s/%s/%s/%s-", WEIR_STR_ARG(audit->storage), day, minute,
                        second);
    for (size_t i = 0; i < weir_waf_unique_id(state->tx).len; i++) {
        char c = weir_waf_unique_id(state->tx).data[i];

        weir_builder_add_byte(&builder, c == '/' ? '_' : c);
    }
    return weir_builder_close(&builder, path);
}

static int file_open(const char *path, const weir_waf_audit_settings *audit)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
    int fd = open(path, flags, audit->file_mode);

    /* The first of its minute. */
    if (fd == -1 && errno == ENOENT && weir_folders_make(path, audit->folder_mode)) {
        fd = open(path, flags, audit->file_mode);
    }
    return fd;
}

/*
 * A file that was not there.  An id that a client has a part in (modsecurity_transaction_id) may come twice: it gets a number then,
 * and no entry takes another one's place.
 */
static int file_new(weir_http_waf_state *state, weir_str *path, const char **z)
{
    const weir_waf_audit_settings *audit = &weir_waf_transaction_settings(state->tx)->audit;
    weir_str first = *path;
    int fd = -1;

    for (unsigned number = 1; fd == -1 && number <= SAME_ID_MAX; number++) {
        weir_builder next;

        *z = weir_str_z(state->ex->pool, *path);
        if (*z == NULL) {
            return -1;
        }
        fd = file_open(*z, audit);
        if (fd == -1 && errno != EEXIST) {
            return -1;
        }
        weir_builder_open(&next, state->ex->pool, first.len + 16);
        weir_builder_printf(&next, "%.*s-%u", WEIR_STR_ARG(first), number);
        if (fd == -1 && !weir_builder_close(&next, path)) {
            return -1;
        }
    }
    return fd;
}

static bool write_file(weir_http_waf_state *state, weir_str *path, weir_str text)
{
    const char *z;
    int fd = file_new(state, path, &z);
    size_t done = 0;

    if (fd == -1) {
        weir_log_line(&state->ex->log, WEIR_LOG_ERR, errno,
                      "open() \"%.*s\" of the audit log failed", WEIR_STR_ARG(*path));
        return false;
    }
    while (done < text.len) {
        ssize_t written = write(fd, text.data + done, text.len - done);

        if (written <= 0) {
            weir_log_line(&state->ex->log, WEIR_LOG_ERR, errno,
                          "write() to \"%.*s\" of the audit log failed", WEIR_STR_ARG(*path));
            /* Half an entry is none. */
            (void) unlink(z);
            break;
        }
        done += (size_t) written;
    }
    (void) close(fd);
    return done == text.len;
}

/* A log of what attackers do is not to end unheard of: once a second at most. */
static void write_line(const weir_http_waf_state *state, weir_log_file *file, weir_str line)
{
    if (!weir_log_file_write(file, line)) {
        weir_str path = weir_log_file_path(file);

        weir_log_line(&state->ex->log, WEIR_LOG_ERR, errno, "write() to \"%.*s\" failed",
                      WEIR_STR_ARG(path));
    }
}

/* One word, or "-"; what could end it is written as \xHH, as in the other logs. */
static void add_word(weir_builder *line, weir_str text)
{
    if (text.len == 0) {
        weir_builder_add_byte(line, '-');
    }
    text = weir_str_slice(text, 0, 2048);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char) text.data[i];

        if (c > ' ' && c <= '~' && c != '"' && c != '\\') {
            weir_builder_add_byte(line, (char) c);
        } else {
            weir_builder_printf(line, "\\x%02x", c);
        }
    }
    weir_builder_add_byte(line, ' ');
}

static void add_quoted(weir_builder *line, weir_str text)
{
    weir_builder_add_byte(line, '"');
    if (text.len == 0) {
        weir_builder_add_byte(line, '-');
    }
    weir_waf_add_escaped(line, weir_str_slice(text, 0, 4096));
    weir_builder_add(line, WEIR_STR("\" "));
}

/* As ModSecurity v3 writes it; the second "-" is a session. */
static void add_index_line(weir_builder *line, const weir_http_waf_state *state, weir_str path,
                           weir_str text)
{
    const weir_http_exchange *ex = state->ex;
    uint64_t body = weir_http_body_bytes_sent(ex);
    uint8_t digest[MD5_DIGEST_LENGTH];

    MD5((const uint8_t *) text.data, text.len, digest);
    add_word(line, weir_http_fields_value(&ex->request.fields, WEIR_HTTP_HOST));
    add_word(line, weir_waf_client_addr(state->tx));
    add_word(line, ex->remote_user);
    weir_builder_printf(line, "[%.*s] ", WEIR_STR_ARG(weir_clock_access_text()));
    add_quoted(line, ex->request.line);
    weir_builder_printf(line, "%u %llu ", ex->response.status, (unsigned long long) body);
    add_word(line, weir_http_fields_value(&ex->request.fields, WEIR_HTTP_REFERER));
    add_quoted(line, weir_http_fields_value(&ex->request.fields, WEIR_HTTP_USER_AGENT));
    add_word(line, weir_waf_unique_id(state->tx));
    add_word(line, WEIR_STR_EMPTY);
    add_word(line, path);
    weir_builder_printf(line, "0 %zu.000000 md5:", text.len);
    weir_builder_add_hexdump(line, weir_str_of((const char *) digest, sizeof(digest)));
    weir_builder_add_byte(line, '\n');
}

static void write_concurrent(weir_http_waf_state *state, weir_log_file *index, weir_str text)
{
    weir_str path, line;
    weir_builder builder;

    if (!entry_path(state, &path) || !write_file(state, &path, text) || index == NULL) {
        return;
    }
    weir_builder_open(&builder, state->ex->pool, INDEX_LINE_MAX);
    add_index_line(&builder, state, path, text);
    if (weir_builder_close(&builder, &line)) {
        write_line(state, index, line);
    }
}

static void audit(weir_http_waf_state *state)
{
    const weir_waf_audit_settings *settings = &weir_waf_transaction_settings(state->tx)->audit;
    weir_log_file *file = state->conf->rules.audit_log;
    weir_str text;

    if ((file == NULL && !settings->is_concurrent) || !weir_waf_audit_is_due(state->tx)) {
        return;
    }
    if (!weir_waf_audit_entry(state->tx, state->ex->pool, &text)) {
        weir_log_line(&state->ex->log, WEIR_LOG_ERR, 0, "no memory for an entry of the audit log");
    } else if (settings->is_concurrent) {
        write_concurrent(state, file, text);
    } else {
        write_line(state, file, text);
    }
}

/* ---- verdicts and learning */

static void verdict(weir_http_waf_state *state)
{
    weir_str line;

    if (state->conf->verdict_log.file == NULL || !weir_waf_verdict_is_due(state->tx)) {
        return;
    }
    if (weir_waf_verdict_line(state->tx, state->ex->pool, &line)) {
        write_line(state, state->conf->verdict_log.file, line);
    } else {
        weir_log_line(&state->ex->log, WEIR_LOG_ERR, 0, "no memory for a line of the verdict log");
    }
}

/* True once for each line, as long as there is room to remember it. */
static bool is_new(weir_http_waf_main *main, weir_str line)
{
    weir_str kept;

    if (main->learnt == NULL) {
        main->learnt_pool = weir_pool_new(16384, 0);
        main->learnt =
            main->learnt_pool == NULL ? NULL : weir_map_new(main->learnt_pool, false, 64);
    }
    if (main->learnt == NULL) {
        return true;
    }
    if (weir_map_find(main->learnt, line) != NULL) {
        return false;
    }
    /* What cannot be remembered is written twice. */
    if (weir_map_count(main->learnt) < LEARNT_MAX
        && weir_str_copy(main->learnt_pool, line, &kept)) {
        (void) !weir_map_put(main->learnt, kept, main);
    }
    return true;
}

static void learn(weir_http_waf_state *state)
{
    weir_log_file *file = state->conf->learn_log.file;
    const weir_http_exchange *ex = state->ex;
    weir_str rest, line, text;
    weir_builder builder;
    bool has_new = false;

    if (file == NULL) {
        return;
    }
    if (!weir_waf_exclusions(state->tx, ex->pool, &rest)) {
        weir_log_line(
            &ex->log, WEIR_LOG_ERR, 0,
            "nothing is learnt of the request: too many rules matched, or too long names");
        return;
    }
    if (rest.len == 0) {
        return;
    }
    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    weir_builder_printf(&builder, "# %.*s %.*s ", WEIR_STR_ARG(weir_clock_iso8601_text()),
                        WEIR_STR_ARG(weir_waf_unique_id(state->tx)));
    for (size_t i = 0; i < ex->request.line.len && i < 512; i++) {
        char c = ex->request.line.data[i];

        weir_builder_add_byte(&builder, c < ' ' || c > '~' || c == '\\' ? '?' : c);
    }
    weir_builder_add_byte(&builder, '\n');
    while (weir_str_split(&rest, '\n', &line)) {
        if (line.len != 0 && is_new(state->conf->rules.main, line)) {
            has_new = true;
            weir_builder_add(&builder, line);
            weir_builder_add_byte(&builder, '\n');
        }
    }
    if (has_new && weir_builder_close(&builder, &text)) {
        write_line(state, file, text);
    }
}

void weir_http_waf_write_logs(weir_http_waf_state *state)
{
    if (weir_http_waf_is_explaining()) {
        weir_http_waf_explain_verdict(state);
        return;
    }
    audit(state);
    verdict(state);
    learn(state);
}
