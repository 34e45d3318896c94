/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt compare: two runs over one prompt, value by value. Like cmp: 0 same, 1 differs, 2 trouble (3 to 5 say
 * which). */
#include "commands.h"
#include "compare.h"
#include "prompt.h"

int cmd_compare(const cli_options *options)
{
    q35_runtime *runtime = NULL;
    comparison c = {.options = options};
    int rc = prompt_check(options);
    if (rc == 0)
        rc = cli_open_runtime(options, &runtime);
    if (rc == 0)
        rc = compare_open(&c, runtime);
    if (rc == 0)
        rc = compare_run(&c);
    if (rc == 0)
        rc = compare_report(&c);
    if (rc == CLI_EXIT_FAILED)
        rc = CLI_EXIT_USAGE; /* 1 is "differs" and nothing else */
    else if (rc == 0 && compare_differs(&c))
        rc = CLI_EXIT_FAILED;
    compare_close(&c);
    q35_runtime_destroy(runtime);
    return rc;
}
