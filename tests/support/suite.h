/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of every Check program. */
#ifndef Q35T_SUITE_H
#define Q35T_SUITE_H

#include <check.h>
#include <stdlib.h>

/* Runs the suite (taken) and returns main's exit code. */
static inline int q35t_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
