/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of known failures. */
#define _GNU_SOURCE
#include "report.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add(cf_expected *e, const char *pattern, const char *reason)
{
    char **patterns = realloc(e->patterns, (e->n + 1) * sizeof *patterns);
    e->patterns = patterns ? patterns : e->patterns;
    char **reasons = realloc(e->reasons, (e->n + 1) * sizeof *reasons);
    e->reasons = reasons ? reasons : e->reasons;
    if (!patterns || !reasons)
        return false;
    e->patterns[e->n] = strdup(pattern);
    e->reasons[e->n] = strdup(reason);
    e->n++;
    return e->patterns[e->n - 1] && e->reasons[e->n - 1];
}

bool cf_expected_read(const char *path, cf_expected *out)
{
    *out = (cf_expected){0};
    if (!path)
        return true;
    FILE *file = fopen(path, "re");
    if (!file) {
        fprintf(stderr, "q35rt-conform: %s: %s\n", path, strerror(errno));
        return false;
    }
    char line[1024];
    bool ok = true;
    for (int number = 1; ok && fgets(line, sizeof line, file); number++) {
        char *at = line + strspn(line, " \t\n");
        if (*at == '#' || *at == '\0')
            continue;
        char *end = at + strcspn(at, " \t\n"), *reason = end + strspn(end, " \t\n");
        *end = '\0';
        reason[strcspn(reason, "\n")] = '\0';
        if (*reason == '\0') {
            fprintf(stderr, "q35rt-conform: %s:%d: '%s' without a reason, need one behind it\n", path, number, at);
            ok = false;
        } else if (!add(out, at, reason)) {
            fprintf(stderr, "q35rt-conform: %s: out of memory\n", path);
            ok = false;
        }
    }
    fclose(file);
    return ok;
}

const char *cf_expected_reason(const cf_expected *e, const char *name)
{
    for (size_t i = 0; i < e->n; i++)
        if (fnmatch(e->patterns[i], name, 0) == 0)
            return e->reasons[i];
    return NULL;
}

void cf_expected_free(cf_expected *e)
{
    for (size_t i = 0; i < e->n; i++) {
        free(e->patterns[i]);
        free(e->reasons[i]);
    }
    free(e->patterns);
    free(e->reasons);
}

bool cf_matches(const char *patterns, const char *name)
{
    char one[CF_NAME];
    while (*patterns) {
        size_t n = strcspn(patterns, ",");
        snprintf(one, sizeof one, "%.*s", (int)n, patterns);
        if (fnmatch(one, name, 0) == 0)
            return true;
        patterns += n + (patterns[n] == ',');
    }
    return false;
}
