/* SPDX-License-Identifier: Apache-2.0
 *
 * All cases, in the order in which they run: from what needs the least. */
#include "conform.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void cf_add_test(cf_list *list, unsigned needs, void (*run)(cf_env *, uint32_t, uint32_t), uint32_t a, uint32_t b,
                 const char *format, ...)
{
    if (list->n == list->room) {
        size_t room = list->room ? 2 * list->room : 128;
        cf_test *grown = realloc(list->tests, room * sizeof *grown);
        if (!grown) {
            list->room = 0; /* said by cf_list_all */
            return;
        }
        list->tests = grown;
        list->room = room;
    }
    cf_test *test = &list->tests[list->n++];
    *test = (cf_test){.needs = needs, .run = run, .a = a, .b = b};
    va_list args;
    va_start(args, format);
    vsnprintf(test->name, sizeof test->name, format, args);
    va_end(args);
}

bool cf_list_all(cf_list *list)
{
    *list = (cf_list){0};
    cf_list_binary(list);
    cf_list_describe(list);
    cf_list_abi(list);
    cf_list_truth(list);
    cf_list_ops(list);
    cf_list_layout(list);
    cf_list_bits(list);
    cf_list_memory(list);
    cf_list_sync(list);
    cf_list_threads(list);
    cf_list_errors(list);
    cf_list_life(list);
    cf_list_compose(list);
    cf_list_cost(list);
    cf_list_extension(list);
    cf_list_peer(list);
    return list->room > 0;
}
