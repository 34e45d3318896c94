/* SPDX-License-Identifier: Apache-2.0
 *
 * The only place that reads the environment, and that sets what a library reads there. Names and meaning:
 * docs/env.md. */
#ifndef Q35I_ENV_H
#define Q35I_ENV_H

#include <stdbool.h>
#include <stddef.h>

/* Value of a variable, NULL when unset or empty, or when the process runs with raised privileges. */
const char *q35i_env(const char *name);

/* Sets a variable that is not set, for a library that is about to be opened. Not while other threads read the
 * environment. */
void q35i_env_default(const char *name, const char *value);

/* Path of a file under ${XDG_CACHE_HOME:-~/.cache}/q35rt; false when there is no home or it does not fit. */
bool q35i_cache_path(char *out, size_t cap, const char *relative);

#endif
