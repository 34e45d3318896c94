/* SPDX-License-Identifier: Apache-2.0
 *
 * Released chat templates against jinja2: tests/golden/chat_templates.json (made by make_chat_golden.py). The
 * templates are in Q35RT_TEST_DATA (data/templates); without it the program counts as skipped. */
#define _GNU_SOURCE
#include "runtime/apps/cli/messages_file.h"
#include "runtime/text/chat_render.h"
#include "support/expect.h"
#include "support/suite.h"
#include "support/whole_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOW = 1721997296 }; /* 2024-07-26 12:34:56 UTC */

static void expect_text(const q35i_chat_format *format, json_t *conversation, const json_t *want, const char *name,
                        size_t i)
{
    messages_file file = {0};
    q35i_jout text = {0};
    ck_assert_msg(messages_of_json(&file, json_incref(conversation)) == 0, "%s", file.error);
    q35_status status = q35i_chat_template(format, &file.conversation, NOW, &text);
    if (json_is_null(want)) {
        ck_assert_msg(status != Q35_OK, "%s, conversation %d: need a refusal", name, (int)i);
    } else {
        const char *wanted = json_string_value(want);
        size_t n = json_string_length(want);
        ck_assert_msg(status == Q35_OK, "%s, conversation %d: %s", name, (int)i, q35_error_message());
        ck_assert_msg(text.n == n && memcmp(text.bytes, wanted, n) == 0, "%s, conversation %d: '%.*s', need '%s'",
                      name, (int)i, (int)text.n, text.bytes, wanted);
    }
    q35i_jout_free(&text);
    messages_free(&file);
}

START_TEST(same_text_as_jinja2)
{
    json_t *golden = json_load_file(Q35RT_GOLDEN "/chat_templates.json", 0, NULL);
    json_t *conversations = json_object_get(golden, "conversations"), *one, *text;
    size_t i, k;
    ck_assert_uint_ge(json_array_size(json_object_get(golden, "templates")), 5);
    json_array_foreach(json_object_get(golden, "templates"), i, one)
    {
        const char *name = json_string_value(json_object_get(one, "file"));
        q35i_chat_format format = {.kind = Q35I_CHAT_TEMPLATE};
        char path[4096];
        size_t n;
        snprintf(path, sizeof path, "%s/data/templates/%s", getenv("Q35RT_TEST_DATA"), name);
        char *source = q35t_read_file(path, &n);
        EXPECT_OK(q35i_jinja_parse(&format.jinja, (q35_string){source, n}));
        format.bos = strdup(json_string_value(json_object_get(one, "bos")));
        format.eos = strdup(json_string_value(json_object_get(one, "eos")));
        json_array_foreach(json_object_get(one, "texts"), k, text)
        {
            expect_text(&format, json_array_get(conversations, k), text, name, k);
        }
        free(source);
        q35i_chat_format_free(&format);
    }
    json_decref(golden);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chat_templates");
    TCase *tc = tcase_create("chat_templates");
    if (!getenv("Q35RT_TEST_DATA")) {
        printf("skipped: released chat templates, Q35RT_TEST_DATA is not set (folder with data/templates)\n");
        return 77;
    }
    setenv("TZ", "UTC", 1);
    tcase_add_test(tc, same_text_as_jinja2);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
