/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking up a shape. */
#include "shapes.h"

#include <string.h>

/* i-th known name: those of the library, then the further one. */
static const char *shape_name(const void *also, uint32_t i)
{
    const char *name = q35_shape_at(i, NULL);
    return name ? name : also;
}

static int unknown_shape(const char *name, const char *also)
{
    char known[256] = "";
    uint32_t n = 0;
    for (; q35_shape_at(n, NULL) || (also && n > 0 && q35_shape_at(n - 1, NULL)); n++) {
        size_t len = strlen(known);
        snprintf(known + len, sizeof known - len, "%s%s", n ? ", " : "", shape_name(also, n));
    }
    const char *near = opts_nearest(name, n, shape_name, also);
    return cli_fail(CLI_EXIT_USAGE, "shape '%s' found, need one of %s%s%s%s", name, known,
                    near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
}

int cli_find_shape(const char *name, const char *also, q35_shape *out)
{
    for (uint32_t i = 0; q35_shape_at(i, NULL); i++)
        if (strcmp(name, q35_shape_at(i, NULL)) == 0) {
            (void)q35_shape_at(i, out);
            return 0;
        }
    return also && strcmp(name, also) == 0 ? 0 : unknown_shape(name, also);
}
