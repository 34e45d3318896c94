/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt eval: how well a model predicts a text or answers questions, and how far its predictions are from another
 * model's, from stored ones or from the same file's on another path. */
#include "commands.h"
#include "eval.h"

int cmd_eval(const cli_options *options)
{
    q35_runtime *runtime = NULL;
    evaluation e = {.options = options};
    const char *path;
    int rc = cli_model_path(options, &path);
    if (rc == 0)
        rc = cli_open_runtime(options, &runtime);
    if (rc == 0 && options->multiple_choice)
        rc = eval_choices(options, path, runtime);
    else if (rc == 0) {
        rc = eval_open(&e, path, runtime);
        if (rc == 0)
            rc = eval_windows(&e);
        if (rc == 0)
            rc = eval_report(&e);
        eval_close(&e);
    }
    q35_runtime_destroy(runtime);
    return rc;
}
