/*
 * Programs of rewrite, and a request through them: any words in any order are refused or run to one response.
 *
 * The first line of the input is the target; each further one is a statement, whose words are parted by one space and
 * given to the configuration in quotes.  "if" and "location" open a block, "}" closes it.
 *
 * Whatever came of it: the request ends, with one response, after a bounded number of turns; its path is absolute if all
 * that it may become begins so; no text is longer than a template may be; and each field is one.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/process/cycle.h"
#include "core/script/script.h"
#include "modules/http/engine/core_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Turns of the event loop that a request may take: its internal redirects, and what is behind them. */
#define TURNS_MAX 40

static weir_loop *loop;
static weir_log quiet;
static int conf_file, null_file, stderr_file;

/* What the wire was told of the exchange. */
static struct {
    unsigned responses, ends;
    bool leads_absolutely; /* whatever the program makes the path begins with a slash */
} seen;

static void must(bool is_so)
{
    if (!is_so) {
        abort();
    }
}

/* ---- the wire */

static weir_result no_body(weir_http_exchange *ex, weir_chain *out, uint64_t limit)
{
    (void) out;
    (void) limit;
    ex->request.body_ended = true;
    return WEIR_OK;
}

static void check_fields(const weir_http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        must(weir_http_is_token(fields->items[i].text));
        must(weir_http_is_field_value(fields->items[i].value));
    }
}

static void check_request(const weir_http_request *request)
{
    must(request->path.len <= WEIR_TEMPLATE_MAX);
    must(request->args.len <= WEIR_TEMPLATE_MAX);
    must(!seen.leads_absolutely || weir_str_starts(request->path, WEIR_STR("/")));
    /* The extension lies in the path that was rewritten, and in none before. */
    must(request->extension.len == 0
         || (request->extension.data > request->path.data
             && request->extension.data + request->extension.len
                    == request->path.data + request->path.len));
}

static void respond(weir_http_exchange *ex)
{
    bool ended = false;

    seen.responses++;
    must(ex->response.status <= 999);
    /* A target that cannot be read has no path, and reaches no program. */
    if (ex->request.path.len != 0 || ex->response.status != 400) {
        check_request(&ex->request);
    }
    check_fields(&ex->response.fields);
    while (!ended && !ex->response.has_no_body) {
        weir_chain out = {0};

        must(weir_http_pull(ex, &out, WEIR_TEMPLATE_MAX, &ended) == WEIR_OK);
        must(out.len <= WEIR_TEMPLATE_MAX);
        weir_chain_clear(&out);
    }
    weir_http_exchange_end(ex);
}

static void count_end(weir_http_exchange *ex)
{
    (void) ex;
    seen.ends++;
}

static void ignore(weir_http_exchange *ex)
{
    (void) ex;
}

static const weir_http_wire wire = {
    .name = "fuzz",
    .read_body = no_body,
    .respond = respond,
    .wake = ignore,
    .ended = count_end,
    .abort = weir_http_exchange_end,
};

/* ---- the configuration */

static void set_up(void)
{
    conf_file = memfd_create("conf", 0);
    null_file = open("/dev/null", O_WRONLY | O_CLOEXEC);
    stderr_file = dup(STDERR_FILENO);
    must(conf_file >= 0 && null_file >= 0 && stderr_file >= 0);
    weir_clock_update();
    must((loop = weir_loop_new(&quiet)) != NULL);
}

static void write_word(FILE *file, weir_str word)
{
    fputs(" \"", file);
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] == '"' || word.data[i] == '\\') {
            fputc('\\', file);
        }
        fputc(word.data[i], file);
    }
    fputc('"', file);
}

static bool changes_path(weir_str name)
{
    return weir_str_eq(name, WEIR_STR("rewrite")) || weir_str_eq(name, WEIR_STR("error_page"))
           || weir_str_eq(name, WEIR_STR("try_files"));
}

static void write_statement(FILE *file, weir_str line, unsigned *depth)
{
    static const char *const names[] = {"rewrite", "return",   "set",        "if",
                                        "break",   "location", "error_page", "try_files"};
    bool is_block, is_known = false;
    weir_str rest = line, name, word;

    if (weir_str_eq(line, WEIR_STR("}")) && *depth > 0) {
        fputs("}\n", file);
        (*depth)--;
        return;
    }
    if (!weir_str_split(&rest, ' ', &name)) {
        return;
    }
    for (size_t i = 0; i < WEIR_COUNT(names); i++) {
        is_known = is_known || weir_str_eq(name, weir_str_from_z(names[i]));
    }
    if (!is_known) {
        return;
    }
    fprintf(file, "%.*s", WEIR_STR_ARG(name));
    for (unsigned i = 0; weir_str_split(&rest, ' ', &word); i++) {
        bool is_path = weir_str_eq(name, WEIR_STR("rewrite")) ? i == 1 : rest.len == 0;

        write_word(file, word);
        seen.leads_absolutely =
            seen.leads_absolutely
            && (!changes_path(name) || !is_path || weir_str_starts(word, WEIR_STR("/")));
    }
    is_block = weir_str_eq(name, WEIR_STR("if")) || weir_str_eq(name, WEIR_STR("location"));
    fputs(is_block ? " {\n" : ";\n", file);
    *depth += is_block ? 1 : 0;
}

/* NULL: it was refused. */
static weir_cycle *read_program(weir_str program)
{
    weir_conf_options options = {.prefix = WEIR_STR(P_tmpdir "/"),
                                 .make_template = weir_template_make};
    char path[64], *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    weir_cycle *cycle;
    weir_str line;
    unsigned depth = 0;

    must(file != NULL);
    fputs("events { } http { error_log stderr emerg; access_log off; server { listen 127.0.0.1:1;"
          " root /nowhere; recursive_error_pages on;\n",
          file);
    while (weir_str_split(&program, '\n', &line)) {
        write_statement(file, line, &depth);
    }
    while (depth-- > 0) {
        fputs("}", file);
    }
    fputs("} }", file);
    must(fclose(file) == 0);
    must(ftruncate(conf_file, 0) == 0 && pwrite(conf_file, text, len, 0) == (ssize_t) len);
    free(text);

    snprintf(path, sizeof(path), "/proc/self/fd/%d", conf_file);
    options.conf_file = weir_str_from_z(path);
    /* Refusals are as good as what is accepted, and many. */
    must(dup2(null_file, STDERR_FILENO) >= 0);
    cycle = weir_cycle_read(&options);
    must(dup2(stderr_file, STDERR_FILENO) >= 0);
    return cycle;
}

/* ---- the request */

static void send_request(const weir_cycle *cycle, weir_str target)
{
    const weir_http_cycle *http = weir_http_of_cycle(cycle);
    weir_connection connection = {.loop = loop, .pool = weir_pool_new(512, 0)};
    weir_http_connection client = {
        .connection = &connection,
        .address = *WEIR_ARRAY_AT(&http->servers.addresses, weir_server_address *, 0),
        .server = weir_http_server_of(*WEIR_ARRAY_AT(&http->servers.servers, weir_server *, 0)),
    };
    weir_http_exchange *ex;

    must(connection.pool != NULL);
    must(weir_addr_parse(WEIR_STR("192.0.2.1:4711"), 0, &connection.peer));
    connection.local = &connection.peer;
    must((ex = weir_http_exchange_new(&client, &wire, NULL)) != NULL);
    ex->request.line = target;
    ex->request.method = WEIR_HTTP_GET;
    ex->request.method_text = WEIR_STR("GET");
    ex->request.target = target;
    ex->request.host_port = ex->request.host = WEIR_STR("h");
    must(weir_http_fields_add_text(&ex->request.fields, WEIR_STR("Host"), WEIR_STR("h")));
    must(weir_http_fields_add_text(&ex->request.fields, WEIR_STR("Cookie"), WEIR_STR("a=b; c=d")));

    weir_http_exchange_start(ex);
    for (int i = 0; i < TURNS_MAX && seen.ends == 0; i++) {
        weir_loop_turn(loop, 0);
    }
    must(seen.ends == 1 && seen.responses <= 1);
    must(weir_blocks_in_use() == 0);
    weir_pool_free(connection.pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_str program = weir_str_of((const char *) data, size);
    weir_str target;
    weir_cycle *cycle;

    if (loop == NULL) {
        set_up();
    }
    if (size > 1024 || !weir_str_split(&program, '\n', &target) || target.len == 0
        || target.data[0] != '/') {
        return -1;
    }
    memset(&seen, 0, sizeof(seen));
    seen.leads_absolutely = true;
    cycle = read_program(program);
    if (cycle != NULL) {
        send_request(cycle, target);
        weir_cycle_free(cycle);
    }
    return 0;
}
