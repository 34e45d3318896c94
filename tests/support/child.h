/* SPDX-License-Identifier: Apache-2.0
 *
 * A process of its own for what a test kills. */
#ifndef Q35T_CHILD_H
#define Q35T_CHILD_H

#include <check.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that does `begin`, which answers 0, and then waits; it has done it when this returns. */
static inline pid_t q35t_start_child(int (*begin)(void))
{
    int ready[2];
    char byte;
    ck_assert_int_eq(pipe(ready), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        if (begin() != 0 || write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static inline void q35t_kill_child(pid_t child)
{
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
}

#endif
