/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "env.h"

#include <stdio.h>
#include <stdlib.h>

const char *q35i_env(const char *name)
{
    const char *value = secure_getenv(name);
    return value && *value ? value : NULL;
}

void q35i_env_default(const char *name, const char *value)
{
    (void)setenv(name, value, 0);
}

bool q35i_cache_path(char *out, size_t cap, const char *relative)
{
    const char *base = q35i_env("XDG_CACHE_HOME"), *home = q35i_env("HOME");
    int n;
    if (base && base[0] == '/')
        n = snprintf(out, cap, "%s/q35rt/%s", base, relative);
    else if (home && home[0] == '/')
        n = snprintf(out, cap, "%s/.cache/q35rt/%s", home, relative);
    else
        return false;
    return n > 0 && (size_t)n < cap;
}
