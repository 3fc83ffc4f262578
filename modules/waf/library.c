#include "modules/waf/program_internal.h"

#include <stdarg.h>

/* What the programs of a configuration share, and how a program comes to be. */

static const weir_waf_settings presets = {
    .engine = WEIR_WAF_ENGINE_ON,
    .request_body_access = false,
    .request_body_limit = 134217728,
    .request_body_no_files_limit = 1048576,
    .response_body_limit = 524288,
    .request_body_limit_action = WEIR_WAF_LIMIT_REJECT,
    .response_body_limit_action = WEIR_WAF_LIMIT_PARTIAL,
    .json_depth_limit = 512,
    .arguments_limit = 1000,
    .upload_file_limit = 100,
    .argument_separator = '&',
    .mime_types = WEIR_STR_INIT(" text/plain text/html text/xml "),
    .collection_timeout_s = 3600,
    .audit = {.parts = "ABCFHZ", .file_mode = 0600, .folder_mode = 0700},
    .tmp_dir = WEIR_STR_INIT("/tmp/"),
};

bool weir_waf_refuse(weir_waf_reader *reader, const char *at, const char *format, ...)
{
    const weir_waf_statement *statement = reader->statement;
    size_t origin = weir_waf_origin(statement, at);
    weir_builder message;
    weir_str text;
    va_list args;

    weir_builder_over(&message, reader->fault->message, sizeof(reader->fault->message) - 1);
    va_start(args, format);
    weir_builder_vprintf(&message, format, args);
    va_end(args);
    if (reader->rule_id != 0) {
        weir_builder_printf(&message, ", rule id %llu,", (unsigned long long) reader->rule_id);
    }
    weir_builder_add(&message, WEIR_STR(" in "));
    weir_waf_add_place(&message, statement->source, origin);
    text = weir_builder_cut(&message);
    reader->fault->message[text.len] = '\0';

    weir_builder_over(&message, reader->fault->further, sizeof(reader->fault->further) - 1);
    if (statement->source->text.len != 0) {
        weir_waf_add_caret(&message, statement->source, origin);
    }
    text = weir_builder_cut(&message);
    reader->fault->further[text.len] = '\0';
    return false;
}

void weir_waf_say(weir_waf_reader *reader, const char *format, ...)
{
    char buffer[512];
    weir_builder message;
    va_list args;

    if (reader->library->warn == NULL) {
        return;
    }
    weir_builder_over(&message, buffer, sizeof(buffer));
    va_start(args, format);
    weir_builder_vprintf(&message, format, args);
    va_end(args);
    weir_builder_add(&message, WEIR_STR(" in "));
    weir_waf_add_place(&message, reader->statement->source,
                       weir_waf_origin(reader->statement, NULL));
    reader->library->warn(reader->library->warn_subject, weir_builder_cut(&message));
}

/* ---- names and chains */

uint32_t weir_waf_slot(weir_waf_library *library, weir_str name)
{
    uintptr_t known = (uintptr_t) weir_map_find(library->slots, name);
    weir_str *added;

    if (known != 0) {
        return (uint32_t) known - 1;
    }
    added = weir_array_push(&library->slot_names);
    if (added == NULL || !weir_str_copy(library->pool, name, added)
        || !weir_map_put(library->slots, *added, (void *) library->slot_names.count)) {
        return WEIR_WAF_NONE;
    }
    return (uint32_t) library->slot_names.count - 1;
}

bool weir_waf_chain_of(weir_waf_library *library, const weir_array *list, uint32_t *chain)
{
    *chain = 0;
    for (WEIR_ARRAY_EACH(list, const weir_waf_transform *const, step)) {
        uint32_t next = 1;

        while (next < library->chains.count) {
            const weir_waf_chain *node = WEIR_ARRAY_AT(&library->chains, weir_waf_chain, next);

            if (node->parent == *chain && node->step == *step) {
                break;
            }
            next++;
        }
        if (next == library->chains.count) {
            unsigned depth = WEIR_ARRAY_AT(&library->chains, weir_waf_chain, *chain)->depth;
            weir_waf_chain *node = weir_array_push(&library->chains);

            if (node == NULL) {
                return false;
            }
            *node = (weir_waf_chain){.parent = *chain, .step = *step, .depth = depth + 1};
        }
        *chain = next;
    }
    return true;
}

/* ---- questions */

/* TX:name @ge 1, &TX:name @eq 0: most of what CRS's plumbing is made of. */
static bool is_plain_number(const weir_waf_link *link)
{
    const weir_waf_target *target = link->targets.items;

    return link->test.kind == WEIR_WAF_TEST_NUMBER && link->targets.count == 1
           && target->slot != WEIR_WAF_NONE && target->kind != WEIR_WAF_TARGET_EXCLUDE
           && (link->chain == 0 || target->kind == WEIR_WAF_TARGET_COUNT);
}

static void link_settle(weir_waf_link *link)
{
    link->is_plain_number = is_plain_number(link);
    link->has_exclusions = false;
    for (WEIR_ARRAY_EACH(&link->targets, const weir_waf_target, target)) {
        link->has_exclusions |= target->kind == WEIR_WAF_TARGET_EXCLUDE;
    }
}

static weir_waf_question question_of(const weir_waf_rule *rule)
{
    const weir_waf_link *link = rule->links.items;
    weir_waf_question question = {.ask = WEIR_WAF_ASK_RULE, .is_negated = link->is_negated};

    if (link->group != WEIR_WAF_NONE) {
        question.ask = WEIR_WAF_ASK_GROUP;
        question.group = link->group;
        question.place = link->place;
    } else if (link->is_plain_number && link->test.parameter.is_constant) {
        const weir_waf_target *target = link->targets.items;

        question.ask = WEIR_WAF_ASK_NUMBER;
        question.comparison = (uint8_t) link->test.comparison;
        question.counts = target->kind == WEIR_WAF_TARGET_COUNT;
        question.slot = target->slot;
        question.number = link->test.number;
    }
    return question;
}

/* ---- programs */

weir_waf_library *weir_waf_library_new(weir_pool *pool, weir_pool *temp, weir_waf_warn *warn,
                                       void *subject)
{
    static const char *const captures[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    weir_waf_library *library = WEIR_NEW(pool, weir_waf_library);

    if (library == NULL) {
        return NULL;
    }
    library->pool = pool;
    library->temp = temp;
    library->warn = warn;
    library->warn_subject = subject;
    library->programs = weir_map_new(pool, false, 16);
    library->operators = weir_map_new(pool, false, 512);
    library->slots = weir_map_new(pool, true, 128);
    library->places_by_key = weir_map_new(pool, false, 512);
    library->matcher = weir_waf_matcher_new(pool);
    library->is_filtered = true;
    weir_array_init(&library->slot_names, pool, sizeof(weir_str), 128);
    weir_array_init(&library->places, pool, sizeof(weir_waf_place), 512);
    weir_array_init(&library->groups, pool, sizeof(weir_waf_group), 64);
    weir_array_init(&library->chains, pool, sizeof(weir_waf_chain), 64);
    if (library->programs == NULL || library->operators == NULL || library->slots == NULL
        || library->places_by_key == NULL || library->matcher == NULL
        || weir_array_push(&library->chains) == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < WEIR_COUNT(captures); i++) {
        if (weir_waf_slot(library, weir_str_from_z(captures[i])) == WEIR_WAF_NONE) {
            return NULL;
        }
    }
    return library;
}

/* What distinguishes a program from others of the library. */
static bool program_key(weir_waf_library *library, const weir_waf_program *outer,
                        const weir_waf_part *parts, size_t count, weir_str *key)
{
    weir_builder builder;

    weir_builder_open(&builder, library->pool, SIZE_MAX);
    weir_builder_printf(&builder, "%p", (const void *) outer);
    for (size_t i = 0; i < count; i++) {
        weir_builder_printf(&builder, "\n%c%zu ", parts[i].is_file ? 'f' : 't', parts[i].text.len);
        weir_builder_add(&builder, parts[i].text);
        if (!parts[i].is_file) {
            weir_builder_add(&builder, parts[i].folder);
        }
    }
    return weir_builder_close(&builder, key);
}

static weir_waf_program *program_new(weir_waf_library *library, const weir_waf_program *outer)
{
    weir_waf_program *program = WEIR_NEW(library->pool, weir_waf_program);

    if (program == NULL) {
        return NULL;
    }
    program->library = library;
    program->settings = presets;
    weir_array_init(&program->entries, library->pool, sizeof(weir_waf_entry),
                    outer == NULL ? 64 : outer->entries.count + 8);
    if (outer == NULL) {
        return program;
    }
    program->settings = outer->settings;
    program->keeps_collections = outer->keeps_collections;
    program->names_full_request = outer->names_full_request;
    memcpy(program->defaults, outer->defaults, sizeof(program->defaults));
    for (WEIR_ARRAY_EACH(&outer->entries, const weir_waf_entry, entry)) {
        weir_waf_entry *added = weir_array_push(&program->entries);

        if (added == NULL) {
            return NULL;
        }
        *added = *entry;
    }
    return program;
}

/* Where in the phase a rule's skipAfter leads: behind the marker, or the rule with that id. */
static uint32_t jump_of(const weir_waf_program *program, size_t from, const weir_waf_rule *rule,
                        const uint32_t *positions, uint32_t count)
{
    char digits[24];
    weir_builder number;

    for (size_t i = from + 1; i < program->entries.count; i++) {
        const weir_waf_entry *entry = WEIR_ARRAY_AT(&program->entries, weir_waf_entry, i);

        if (entry->rule == NULL) {
            if (weir_str_eq_nocase(entry->marker, rule->skip_after)) {
                return positions[i];
            }
            continue;
        }
        weir_builder_over(&number, digits, sizeof(digits));
        weir_builder_add_uint(&number, entry->rule->id);
        if (weir_str_eq(weir_builder_cut(&number), rule->skip_after)) {
            return positions[i] + (entry->rule->phase == rule->phase);
        }
    }
    return count;
}

/* `positions` has one place for each entry: how many rules of the phase stand before it. */
static bool phase_make(weir_waf_program *program, unsigned phase, uint32_t *positions)
{
    weir_waf_phase_program *made = &program->phases[phase - 1];
    weir_pool *pool = program->library->pool;
    size_t entries = program->entries.count;
    uint32_t count = 0;

    for (size_t i = 0; i < entries; i++) {
        const weir_waf_rule *rule = WEIR_ARRAY_AT(&program->entries, weir_waf_entry, i)->rule;

        positions[i] = count;
        count += rule != NULL && rule->phase == phase;
    }
    made->rules = WEIR_NEW_ARRAY(pool, const weir_waf_rule *, count + 1);
    made->jumps = WEIR_NEW_ARRAY(pool, uint32_t, count + 1);
    made->questions = WEIR_NEW_ARRAY(pool, weir_waf_question, count + 1);
    if (made->rules == NULL || made->jumps == NULL || made->questions == NULL) {
        return false;
    }
    made->count = count;
    for (size_t i = 0; i < entries; i++) {
        const weir_waf_rule *rule = WEIR_ARRAY_AT(&program->entries, weir_waf_entry, i)->rule;
        uint32_t at = positions[i];

        if (rule == NULL || rule->phase != phase) {
            continue;
        }
        made->rules[at] = rule;
        made->questions[at] = question_of(rule);
        if (rule->skip_after.len != 0) {
            made->jumps[at] = jump_of(program, i, rule, positions, count);
        } else if (rule->skip != 0) {
            made->jumps[at] = rule->skip < count - at - 1 ? at + 1 + rule->skip : count;
        }
    }
    return true;
}

static bool program_finish(weir_waf_program *program)
{
    weir_waf_library *library = program->library;
    uint32_t *positions = WEIR_NEW_ARRAY(library->temp, uint32_t, program->entries.count + 1);

    if (positions == NULL) {
        return false;
    }
    for (WEIR_ARRAY_EACH(&program->entries, const weir_waf_entry, entry)) {
        if (entry->rule == NULL) {
            continue;
        }
        if (!weir_waf_rule_look_at_lines(library, entry->rule)) {
            return false;
        }
        for (WEIR_ARRAY_EACH(&entry->rule->links, weir_waf_link, link)) {
            link_settle(link);
            if (!weir_waf_link_place(library, link)) {
                return false;
            }
        }
    }
    for (unsigned phase = 1; phase <= WEIR_WAF_PHASES; phase++) {
        if (!phase_make(program, phase, positions)) {
            return false;
        }
    }
    return true;
}

static weir_waf_program *program_read(weir_waf_reader *reader, const weir_waf_part *parts,
                                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!weir_waf_read_part(reader, &parts[i])) {
            return NULL;
        }
    }
    return weir_waf_amend(reader) ? reader->program : NULL;
}

const weir_waf_program *weir_waf_program_get(weir_waf_library *library,
                                             const weir_waf_program *outer,
                                             const weir_waf_part *parts, size_t count,
                                             weir_waf_fault *fault)
{
    static const weir_waf_source nowhere = {.name = WEIR_STR_INIT("the rules")};
    static const weir_waf_statement nothing = {.source = &nowhere};
    weir_waf_reader reader = {
        .library = library,
        .pool = library->pool,
        .temp = library->temp,
        .statement = &nothing,
        .fault = fault,
    };
    weir_waf_program *program;
    weir_str key;

    if (!program_key(library, outer, parts, count, &key)) {
        (void) weir_waf_refuse(&reader, NULL, "no memory for the rules");
        return NULL;
    }
    program = weir_map_find(library->programs, key);
    if (program != NULL) {
        return program;
    }
    reader.program = program_new(library, outer);
    if (reader.program == NULL) {
        (void) weir_waf_refuse(&reader, NULL, "no memory for the rules");
        return NULL;
    }
    program = program_read(&reader, parts, count);
    if (program == NULL) {
        return NULL;
    }
    reader.statement = &nothing;
    reader.rule_id = 0;
    if (!program_finish(program) || !weir_map_put(library->programs, key, program)) {
        (void) weir_waf_refuse(&reader, NULL, "no memory for the rules");
        return NULL;
    }
    return program;
}

static const weir_waf_prefilter *prefilter_make(weir_waf_library *library)
{
    weir_waf_prefilter_build *build = weir_waf_prefilter_begin();
    uint32_t expected = 0;
    bool is_fine = build != NULL;

    for (WEIR_ARRAY_EACH(&library->places, const weir_waf_place, place)) {
        uint32_t index;

        /* The filter numbers them as they are numbered here. */
        is_fine = is_fine && weir_waf_prefilter_add(build, place->operator, place->part, &index)
                  && index == expected++;
    }
    if (build == NULL) {
        return NULL;
    }
    const weir_waf_prefilter *made = weir_waf_prefilter_end(build, library->pool);

    return is_fine ? made : NULL;
}

/* Which TX variables a pattern names is known once all names are. */
static bool target_find_slots(weir_waf_library *library, weir_waf_target *target)
{
    size_t count = library->slot_names.count;
    uint64_t *slots;

    if (target->variable != WEIR_WAF_VAR_TX || target->pattern == NULL || target->slots != NULL) {
        return true;
    }
    slots = WEIR_NEW_ARRAY(library->pool, uint64_t, count / 64 + 1);
    for (size_t i = 0; slots != NULL && i < count; i++) {
        weir_str name = *WEIR_ARRAY_AT(&library->slot_names, weir_str, i);

        if (weir_waf_pattern_matches(library->matcher, target->pattern, name)) {
            slots[i / 64] |= (uint64_t) 1 << i % 64;
        }
    }
    target->slots = slots;
    return slots != NULL;
}

static bool rule_find_slots(weir_waf_library *library, const weir_waf_rule *rule)
{
    bool done = true;

    for (WEIR_ARRAY_EACH(&rule->links, weir_waf_link, link)) {
        for (WEIR_ARRAY_EACH(&link->targets, weir_waf_target, target)) {
            done = done && target_find_slots(library, target);
        }
    }
    return done;
}

static bool programs_find_slots(weir_waf_library *library)
{
    size_t position = 0;
    weir_str key;
    void *program;
    bool done = true;

    while (weir_map_next(library->programs, &position, &key, &program)) {
        const weir_waf_program *of = program;

        for (WEIR_ARRAY_EACH(&of->entries, const weir_waf_entry, entry)) {
            done = done && (entry->rule == NULL || rule_find_slots(library, entry->rule));
        }
    }
    return done;
}

bool weir_waf_library_close(weir_waf_library *library, weir_waf_fault *fault)
{
    library->prefilter = prefilter_make(library);
    library->temp = NULL;
    if (library->prefilter == NULL || !programs_find_slots(library)
        || !weir_waf_audiences_make(library)) {
        weir_builder message;

        weir_builder_over(&message, fault->message, sizeof(fault->message) - 1);
        weir_builder_add(&message, WEIR_STR("no memory for the filter over the rules"));
        fault->message[weir_builder_cut(&message).len] = '\0';
        return false;
    }
    return true;
}

void weir_waf_library_set_filter(weir_waf_library *library, bool is_on)
{
    library->is_filtered = is_on;
}

size_t weir_waf_program_rule_count(const weir_waf_program *program)
{
    size_t count = 0;

    for (WEIR_ARRAY_EACH(&program->entries, const weir_waf_entry, entry)) {
        count += entry->rule != NULL;
    }
    return count;
}

const weir_waf_settings *weir_waf_program_settings(const weir_waf_program *program)
{
    return &program->settings;
}

bool weir_waf_program_keeps_collections(const weir_waf_program *program)
{
    return program->keeps_collections;
}
