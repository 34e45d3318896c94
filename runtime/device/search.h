/* SPDX-License-Identifier: Apache-2.0
 *
 * Where plugin files are looked for. */
#ifndef Q35I_SEARCH_H
#define Q35I_SEARCH_H

#include <q35rt/device.h>

/* Called for every file found, in order of preference. reason NULL: a plugin file to inspect; else why the path (a
 * directory or an entry of Q35RT_PLUGIN_PATH) was not looked into. named: the user gave this very path. path is
 * borrowed. */
typedef q35_status (*q35i_search_fn)(void *user, const char *path, int named, const char *reason);

/* options->plugin_paths; unless no_default_plugins: the default directory (the first that holds a plugin file of:
 * lib/plugins of a build tree this program runs from, q35rt/plugins beside libq35rt, the configured directory),
 * then the absolute entries of Q35RT_PLUGIN_PATH, each a directory or a file. Never the working directory. Stops
 * at the first failure of fn. */
q35_status q35i_search_plugins(const q35_runtime_options *options, q35i_search_fn fn, void *user);

#endif
