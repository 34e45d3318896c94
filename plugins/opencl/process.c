/* SPDX-License-Identifier: Apache-2.0
 *
 * Drivers change their process when they start: those built on LLVM install handlers of signals, to delete files
 * when it dies, and PoCL sets a variable for hwloc. A plugin must leave both as they were. */
#define _GNU_SOURCE
#include "plugins/opencl/opencl.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ENTRIES = 4096, MAX_NAME = 256 };

/* Entries as they were: the C library never frees them. */
typedef struct variables {
    size_t n;
    const char *entry[MAX_ENTRIES];
} variables;

static int is_known(const variables *before, const char *name, size_t length)
{
    for (size_t i = 0; i < before->n; i++)
        if (strncmp(before->entry[i], name, length + 1) == 0) /* with the '=' */
            return 1;
    return 0;
}

static void keep_variables(variables *v)
{
    v->n = 0;
    for (char **e = environ; e && *e && v->n < MAX_ENTRIES; e++)
        v->entry[v->n++] = *e;
}

/* Removes what is new. Removing one moves the others, so the search begins anew. */
static void remove_new(const variables *before)
{
    if (before->n == MAX_ENTRIES)
        return;
    for (char **e = environ; e && *e;) {
        char name[MAX_NAME];
        size_t length = strcspn(*e, "=");
        if (length < sizeof name && !is_known(before, *e, length)) {
            memcpy(name, *e, length);
            name[length] = '\0';
            (void)unsetenv(name);
            e = environ;
        } else {
            e++;
        }
    }
}

void q35i_cl_keep_process(void (*work)(void))
{
    struct sigaction handlers[NSIG];
    int known[NSIG];
    variables *before = q35p_alloc(1, sizeof *before);
    if (before)
        keep_variables(before);
    for (int i = 1; i < NSIG; i++)
        known[i] = sigaction(i, NULL, &handlers[i]) == 0;
    work();
    for (int i = 1; i < NSIG; i++)
        if (known[i])
            (void)sigaction(i, &handlers[i], NULL);
    if (before)
        remove_new(before);
    q35p_free(before);
}
