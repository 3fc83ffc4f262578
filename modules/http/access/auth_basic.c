/*
 * auth_basic: who may, by name and password (RFC 7617).
 *
 *     auth_basic           "closed site";
 *     auth_basic_user_file conf/htpasswd;
 *
 * The file has lines "name:hash[:comment]".  Hashes: what crypt(3) knows (bcrypt, yescrypt, SHA-512 ...), "$apr1$", and
 * "{SHA}", "{SSHA}", "{PLAIN}" (RFC 2307).  For a name without a line as much is done as for one with a line.
 */

#include "modules/http/engine/core_conf.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/digest.h>
#include <openssl/mem.h>
#include <openssl/md5.h>
#include <openssl/sha.h>

#include "core/base/base64.h"

/* More is no password file. */
#define FILE_MAX (16 * 1024 * 1024)

typedef struct {
    const weir_template *realm; /* NULL: off */
    const weir_template *file;  /* NULL: none was named */
} auth_conf;

/*
 * One check.  crypt() is slow by design: it runs on a thread, which touches nothing but this, so that it is allocated
 * apart from the exchange, which may end before.
 */
typedef struct {
    weir_job job;
    weir_http_exchange *ex; /* NULL: it has ended */
    weir_http_hold hold;
    char *password, *hash;
    bool matches;
    struct crypt_data crypt;
} auth_check;

typedef struct {
    bool is_known; /* the file has a line of the user's */
    bool is_checked, matches;
} auth_state;

extern const weir_http_module weir_http_auth_basic;

/* ---- reading */

static bool realm_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    auth_conf *auth = settings;

    if (weir_str_eq(statement->args[1], WEIR_STR("off"))) {
        auth->realm = NULL;
        return true;
    }
    auth->realm = weir_template_new(conf, weir_space_of(conf, "http"), statement->args[1]);
    return auth->realm != NULL;
}

static bool file_call(weir_conf *conf, void *settings, const weir_statement *statement)
{
    auth_conf *auth = settings;
    weir_str path = statement->args[1];

    if ((path.len == 0 || path.data[0] != '$') && !weir_conf_file_path(conf, path, &path)) {
        return false;
    }
    auth->file = weir_template_new(conf, weir_space_of(conf, "http"), path);
    return auth->file != NULL;
}

#define AUTH_PLACES (WEIR_HTTP_ANYWHERE | WEIR_HTTP_LIMIT_EXCEPT)

static const weir_directive auth_directives[] = {
    {
        .name = "auth_basic",
        .where = AUTH_PLACES,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "realm | off",
        .slot = WEIR_SLOT_CALL(auth_conf, realm, realm_call),
        .preset = "off",
        .doc = "Asks for a name and a password; what it says is shown to the user.",
    },
    {
        .name = "auth_basic_user_file",
        .where = AUTH_PLACES,
        .takes = WEIR_TAKES(1, 1),
        .syntax = "file",
        .slot = WEIR_SLOT_CALL(auth_conf, file, file_call),
        .doc = "The names and hashes of passwords. For a name that is not there as much is done as "
               "for one that is.",
    },
    {0},
};

/* ---- hashes */

static bool bytes_match(weir_str a, weir_str b)
{
    return a.len == b.len && CRYPTO_memcmp(a.data, b.data, a.len) == 0;
}

/* Six bits a character, the lowest first, as crypt() has them. */
static void add_64(weir_builder *builder, unsigned value, unsigned characters)
{
    static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    for (; characters != 0; characters--) {
        weir_builder_add_byte(builder, digits[value & 0x3f]);
        value >>= 6;
    }
}

static void md5_add(MD5_CTX *md5, weir_str text)
{
    MD5_Update(md5, text.data, text.len);
}

/* "$apr1$SALT$": a thousand rounds of MD5 over password, salt and what came out before. */
static bool apr1_matches(weir_str password, weir_str hash)
{
    static const unsigned char order[5][3] = {
        {0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5},
    };
    weir_str magic = WEIR_STR("$apr1$");
    weir_str rest = weir_str_from(hash, magic.len);
    unsigned char digest[MD5_DIGEST_LENGTH];
    weir_str last = weir_str_of((const char *) digest, sizeof(digest));
    char text[64];
    weir_builder builder;
    weir_str salt;
    MD5_CTX md5;

    if (!weir_str_split(&rest, '$', &salt)) {
        return false;
    }
    salt = weir_str_slice(salt, 0, 8);

    MD5_Init(&md5);
    md5_add(&md5, password);
    md5_add(&md5, salt);
    md5_add(&md5, password);
    MD5_Final(digest, &md5);

    MD5_Init(&md5);
    md5_add(&md5, password);
    md5_add(&md5, magic);
    md5_add(&md5, salt);
    for (size_t left = password.len; left != 0; left -= left < last.len ? left : last.len) {
        md5_add(&md5, weir_str_slice(last, 0, left));
    }
    for (size_t bits = password.len; bits != 0; bits >>= 1) {
        md5_add(&md5, (bits & 1) != 0 ? weir_str_of("", 1) : weir_str_slice(password, 0, 1));
    }
    MD5_Final(digest, &md5);

    for (unsigned round = 0; round < 1000; round++) {
        MD5_Init(&md5);
        md5_add(&md5, (round & 1) != 0 ? password : last);
        if (round % 3 != 0) {
            md5_add(&md5, salt);
        }
        if (round % 7 != 0) {
            md5_add(&md5, password);
        }
        md5_add(&md5, (round & 1) != 0 ? last : password);
        MD5_Final(digest, &md5);
    }

    weir_builder_over(&builder, text, sizeof(text));
    for (size_t i = 0; i < WEIR_COUNT(order); i++) {
        add_64(&builder,
               (unsigned) digest[order[i][0]] << 16 | (unsigned) digest[order[i][1]] << 8
                   | digest[order[i][2]],
               4);
    }
    add_64(&builder, digest[11], 2);
    return bytes_match(weir_builder_text(&builder), rest);
}

/* "{SHA}" and "{SSHA}": base64 of SHA-1 over password and salt, then the salt. */
static bool sha_matches(weir_pool *pool, weir_str password, weir_str encoded, bool has_salt)
{
    uint8_t digest[SHA_DIGEST_LENGTH];
    weir_str bytes;
    SHA_CTX sha;

    if (!weir_base64_decode(pool, encoded, &bytes) || bytes.len < sizeof(digest)
        || (!has_salt && bytes.len != sizeof(digest))) {
        return false;
    }
    SHA1_Init(&sha);
    SHA1_Update(&sha, password.data, password.len);
    SHA1_Update(&sha, bytes.data + sizeof(digest), bytes.len - sizeof(digest));
    SHA1_Final(digest, &sha);
    return bytes_match(weir_str_of((const char *) digest, sizeof(digest)),
                       weir_str_slice(bytes, 0, sizeof(digest)));
}

static bool is_quick(weir_str hash)
{
    return weir_str_starts(hash, WEIR_STR("$apr1$")) || weir_str_starts(hash, WEIR_STR("{"));
}

static bool quick_matches(weir_pool *pool, weir_str password, weir_str hash)
{
    weir_str plain = WEIR_STR("{PLAIN}");
    weir_str sha = WEIR_STR("{SHA}");
    weir_str ssha = WEIR_STR("{SSHA}");

    if (weir_str_starts(hash, plain)) {
        return bytes_match(password, weir_str_from(hash, plain.len));
    }
    if (weir_str_starts(hash, ssha)) {
        return sha_matches(pool, password, weir_str_from(hash, ssha.len), true);
    }
    if (weir_str_starts(hash, sha)) {
        return sha_matches(pool, password, weir_str_from(hash, sha.len), false);
    }
    return weir_str_starts(hash, WEIR_STR("$apr1$")) && apr1_matches(password, hash);
}

/* ---- crypt() on a thread */

static void check_free(auth_check *check)
{
    if (check->password != NULL) {
        OPENSSL_cleanse(check->password, strlen(check->password));
    }
    free(check->password);
    free(check->hash);
    OPENSSL_cleanse(&check->crypt, sizeof(check->crypt));
    free(check);
}

static void check_work(weir_job *job)
{
    auth_check *check = WEIR_OWNER(job, auth_check, job);
    /* Unlike crypt_r() it says plainly when it cannot. */
    const char *made =
        crypt_rn(check->password, check->hash, &check->crypt, (int) sizeof(check->crypt));

    check->matches =
        made != NULL && bytes_match(weir_str_from_z(made), weir_str_from_z(check->hash));
}

static void check_done(weir_job *job)
{
    auth_check *check = WEIR_OWNER(job, auth_check, job);
    weir_http_exchange *ex = check->ex;

    if (ex != NULL) {
        auth_state *state = weir_http_state_find(ex, &weir_http_auth_basic);

        weir_http_hold_drop(ex, &check->hold);
        state->is_checked = true;
        state->matches = check->matches;
        weir_http_resume(ex);
    }
    check_free(check);
}

static void check_cancel(weir_http_exchange *ex, weir_http_hold *hold)
{
    (void) ex;
    WEIR_OWNER(hold, auth_check, hold)->ex = NULL;
}

/* The state tells once it is done, now or when the phase goes on.  False: no memory. */
static bool check_start(weir_http_exchange *ex, auth_state *state, weir_str password, weir_str hash)
{
    auth_check *check;

    /* No NUL is part of what crypt() sees: "secret\0…" must not pass for "secret". */
    if (weir_str_find_byte(password, '\0') != NULL || weir_str_find_byte(hash, '\0') != NULL) {
        state->is_checked = true;
        return true;
    }
    check = calloc(1, sizeof(*check));
    if (check == NULL) {
        return false;
    }
    check->password = strndup(password.data, password.len);
    check->hash = strndup(hash.data, hash.len);
    if (check->password == NULL || check->hash == NULL) {
        check_free(check);
        return false;
    }

    check->job.work = check_work;
    check->job.done = check_done;
    if (weir_job_submit(weir_http_client_connection(ex)->loop, &check->job)) {
        check->ex = ex;
        weir_http_hold_add(ex, &check->hold, "password check", check_cancel);
        return true;
    }
    check_work(&check->job);
    state->is_checked = true;
    state->matches = check->matches;
    check_free(check);
    return true;
}

/* ---- judging */

static weir_http_verdict ask(weir_http_exchange *ex, const auth_conf *auth)
{
    weir_builder builder;
    weir_str realm, value;

    if (!weir_template_text(auth->realm, &ex->script, &realm)) {
        return WEIR_HTTP_FAILED;
    }
    weir_builder_open(&builder, ex->pool, SIZE_MAX);
    weir_builder_add(&builder, WEIR_STR("Basic realm=\""));
    weir_builder_add(&builder, realm);
    weir_builder_add_byte(&builder, '"');
    if (!weir_builder_close(&builder, &value)
        || !weir_http_fields_set(&ex->response.fields, WEIR_HTTP_WWW_AUTHENTICATE, value)) {
        return WEIR_HTTP_FAILED;
    }
    return weir_http_answer_because(ex, 401, "not authenticated");
}

static bool credentials(weir_http_exchange *ex, weir_str *user, weir_str *password)
{
    /* Of a tunnel, the other one is for whom it leads to (RFC 9110, 11.7.1). */
    weir_str value = weir_http_fields_value(
        &ex->request.fields, ex->request.method == WEIR_HTTP_CONNECT ? WEIR_HTTP_PROXY_AUTHORIZATION
                                                                     : WEIR_HTTP_AUTHORIZATION);
    weir_str scheme = WEIR_STR("Basic ");
    weir_str pair;
    const char *colon;

    if (!weir_str_starts_nocase(value, scheme)
        || !weir_base64_decode(ex->pool, weir_str_trim(weir_str_from(value, scheme.len)), &pair)) {
        return false;
    }
    colon = weir_str_find_byte(pair, ':');
    if (colon == NULL || colon == pair.data) {
        return false;
    }
    *user = weir_str_slice(pair, 0, (size_t) (colon - pair.data));
    *password = weir_str_from(pair, user->len + 1);
    return true;
}

/* The whole file; it is read for each request, so that changes hold at once. */
static bool read_file(weir_http_exchange *ex, weir_str path, weir_str *text, int *error)
{
    const char *name = weir_str_z(ex->pool, path);
    int fd = name == NULL ? -1 : open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat file;
    char *bytes;
    size_t len = 0;

    *error = errno;
    if (fd == -1) {
        return false;
    }
    *error = EFBIG;
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) || file.st_size > FILE_MAX
        || (bytes = weir_pool_bytes(ex->pool, (size_t) file.st_size + 1)) == NULL) {
        (void) close(fd);
        return false;
    }
    while (len < (size_t) file.st_size) {
        ssize_t got = read(fd, bytes + len, (size_t) file.st_size - len);

        if (got <= 0) {
            break;
        }
        len += (size_t) got;
    }
    (void) close(fd);
    *text = weir_str_of(bytes, len);
    return true;
}

/* "name:hash[:comment]", of which the hash may be empty; false: it is none. */
static bool line_read(weir_str line, weir_str *name, weir_str *hash)
{
    if (line.len != 0 && line.data[line.len - 1] == '\r') {
        line.len--;
    }
    if (line.len == 0 || line.data[0] == '#' || weir_str_find_byte(line, ':') == NULL) {
        return false;
    }
    *hash = WEIR_STR_EMPTY;
    (void) weir_str_split(&line, ':', name);
    (void) weir_str_split(&line, ':', hash);
    return true;
}

/*
 * The hash of the user's first line.  False: it has none, and it is that of another one, the same each time, for the same work
 * to be done: else the time of an answer would tell who has a line.  Nor does it tell where: all lines are looked at, and alike.
 * Empty: the file names nobody.
 */
static bool find_user(weir_str text, weir_str user, weir_str *hash)
{
    uint64_t wanted = weir_str_hash(user);
    uint64_t least = UINT64_MAX;
    weir_str own = WEIR_STR_EMPTY, nearest = WEIR_STR_EMPTY;
    weir_str line, name;
    bool has_line = false;

    while (weir_str_split(&text, '\n', &line)) {
        uint64_t distance;

        if (!line_read(line, &name, hash)) {
            continue;
        }
        if (!has_line && weir_str_eq(name, user)) {
            has_line = true;
            own = *hash;
        }
        distance = weir_str_hash(name) ^ wanted;
        if (hash->len != 0 && distance <= least) {
            least = distance;
            nearest = *hash;
        }
    }
    *hash = own.len != 0 ? own : nearest;
    return own.len != 0;
}

static weir_http_verdict judged(weir_http_exchange *ex, const auth_conf *auth,
                                const auth_state *state, weir_str user)
{
    if (state->is_known && state->matches) {
        ex->remote_user = user;
        return WEIR_HTTP_SETTLED;
    }
    if (state->is_known) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "user \"%.*s\": password mismatch",
                      WEIR_STR_ARG(user));
    }
    return ask(ex, auth);
}

static weir_http_verdict password_judge(weir_http_exchange *ex, const auth_conf *auth,
                                        auth_state *state, weir_str user, weir_str password,
                                        weir_str hash)
{
    if (hash.len == 0 || is_quick(hash)) {
        state->matches = hash.len != 0 && quick_matches(ex->pool, password, hash);
        state->is_checked = true;
    } else if (!check_start(ex, state, password, hash)) {
        return WEIR_HTTP_FAILED;
    }
    return state->is_checked ? judged(ex, auth, state, user) : WEIR_HTTP_WAITING;
}

static weir_http_verdict auth_judge(weir_http_exchange *ex, const void *location)
{
    const auth_conf *auth = location;
    auth_state *state = weir_http_state(ex, &weir_http_auth_basic, sizeof(*state));
    weir_str realm, user, password, path, text, hash;
    int error;

    if (state == NULL || !weir_template_text(auth->realm, &ex->script, &realm)) {
        return WEIR_HTTP_FAILED;
    }
    if (weir_str_eq(realm, WEIR_STR("off"))) {
        return WEIR_HTTP_PASS;
    }
    if (!credentials(ex, &user, &password)) {
        weir_log_line(&ex->log, WEIR_LOG_INFO, 0,
                      "no user/password was provided for basic authentication");
        return ask(ex, auth);
    }
    if (state->is_checked) {
        return judged(ex, auth, state, user);
    }

    if (!weir_template_text(auth->file, &ex->script, &path)) {
        return WEIR_HTTP_FAILED;
    }
    if (weir_template_climbs(auth->file, path)) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0,
                      "\"%.*s\" is no password file: \"..\" came with a value", WEIR_STR_ARG(path));
        return weir_http_answer_because(ex, 403, "no password file");
    }
    if (!read_file(ex, path, &text, &error)) {
        weir_log_line(&ex->log, error == ENOENT ? WEIR_LOG_ERR : WEIR_LOG_CRIT, error,
                      "open() \"%.*s\" failed", WEIR_STR_ARG(path));
        return weir_http_answer_because(ex, error == ENOENT ? 403 : 500, "no password file");
    }
    state->is_known = find_user(text, user, &hash);
    if (!state->is_known) {
        weir_log_line(&ex->log, WEIR_LOG_ERR, 0, "user \"%.*s\" was not found in \"%.*s\"",
                      WEIR_STR_ARG(user), WEIR_STR_ARG(path));
    }
    return password_judge(ex, auth, state, user, password, hash);
}

static bool auth_applies(const void *location)
{
    const auth_conf *auth = location;

    return auth->realm != NULL && auth->file != NULL;
}

const weir_http_module weir_http_auth_basic = {
    .name = "http_auth_basic",
    .directives = auth_directives,
    .conf_size = sizeof(auth_conf),
    .phases = 1u << WEIR_HTTP_PHASE_ACCESS,
    .judge = auth_judge,
    .applies = auth_applies,
};
