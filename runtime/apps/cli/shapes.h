/* SPDX-License-Identifier: Apache-2.0
 *
 * Shapes of models by name. */
#ifndef Q35_CLI_SHAPES_H
#define Q35_CLI_SHAPES_H

#include "cli.h"

/* Shape called `name`. also: a further name that is known, which leaves *out as it is; NULL: none. 0, or an exit
 * code after a message that lists the names. */
int cli_find_shape(const char *name, const char *also, q35_shape *out);

#endif
