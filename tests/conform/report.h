/* SPDX-License-Identifier: Apache-2.0
 *
 * What came out, and what was expected to. */
#ifndef CONFORM_REPORT_H
#define CONFORM_REPORT_H

#include "conform.h"

/* expect.c: known failures, from a file of lines "pattern reason"; # begins a comment. */
typedef struct cf_expected {
    char **patterns, **reasons; /* [n] */
    size_t n;
} cf_expected;

/* path NULL: none. false: said on stderr. */
bool cf_expected_read(const char *path, cf_expected *out);
const char *cf_expected_reason(const cf_expected *expected, const char *name); /* NULL: not expected */
void cf_expected_free(cf_expected *expected);
/* Does a name match one of a list of patterns with commas between them? */
bool cf_matches(const char *patterns, const char *name);

typedef struct cf_report {
    const cf_options *options;
    const cf_probe *probe;
    const cf_test **tests; /* [n] those that ran */
    cf_result *results;    /* [n] */
    size_t n;
    size_t counts[CF_OUTCOMES];
    double seconds;
} cf_report;

bool cf_is_bad(cf_outcome outcome); /* makes the run fail */
void cf_print_result(const cf_options *options, const cf_test *test, const cf_result *result);
void cf_print_summary(const cf_report *report);
/* false: said on stderr. */
bool cf_write_json(const cf_report *report, const char *path);
bool cf_write_junit(const cf_report *report, const char *path);

#endif
