/* SPDX-License-Identifier: Apache-2.0
 *
 * Which builder makes the graph of which architecture. */
#include "graph/build.h"

#include "runtime/base/error.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *architecture;
    q35i_build_fn *build;
} families[] = {{"llama", q35i_build_llama}, {"mistral3", q35i_build_llama}};

q35_status q35i_build_graph(const q35_model *model, const q35_model_config *config,
                            const q35i_build_options *options, q35i_graph *out)
{
    q35i_graph_init(out);
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        if (strcmp(config->architecture, families[i].architecture) != 0)
            continue;
        q35_status status = families[i].build(model, config, options, out);
        if (status != Q35_OK)
            q35i_graph_free(out);
        return status;
    }
    return Q35_FAIL(Q35_E_UNSUPPORTED, "architecture %s: no graph builder", config->architecture);
}
