/* SPDX-License-Identifier: Apache-2.0
 *
 * Assertions on statuses and their sentences. `what` names the call in the message; the macros name it by place
 * and text. */
#ifndef Q35T_EXPECT_H
#define Q35T_EXPECT_H

#include "support/sentence.h"

#include <check.h>

#define Q35T_TEXT(x)    #x
#define Q35T_TEXT_OF(x) Q35T_TEXT(x)
#define Q35T_AT         __FILE__ ":" Q35T_TEXT_OF(__LINE__) ": "

static inline void expect_ok(q35_status status, const char *what)
{
    ck_assert_msg(status == Q35_OK, "%s: %s, %s", what, q35_status_name(status), q35_error_message());
}

/* The thread's error record is a sentence with this text in it. */
static inline void expect_error(const char *text, const char *what)
{
    ck_assert_msg(strstr(q35_error_message(), text) != NULL, "%s: \"%s\", need \"%s\" in it", what,
                  q35_error_message(), text);
    ck_assert_msg(q35t_error_is_sentence(), "%s: \"%s\" is not one line of text", what, q35_error_message());
}

/* The call failed with this code, and its sentence has this text in it. */
static inline void expect_failure(q35_status status, q35_status code, const char *text, const char *what)
{
    ck_assert_msg(status == code, "%s: %s (%s), need %s", what, q35_status_name(status),
                  status == Q35_OK ? "" : q35_error_message(), q35_status_name(code));
    expect_error(text, what);
}

#define EXPECT_OK(call)                  expect_ok((call), Q35T_AT #call)
#define EXPECT_ERROR(text)               expect_error((text), Q35T_AT "error")
#define EXPECT_FAILURE(call, code, text) expect_failure((call), (code), (text), Q35T_AT #call)

#endif
