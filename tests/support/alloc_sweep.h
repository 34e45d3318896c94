/* SPDX-License-Identifier: Apache-2.0
 *
 * Fails every allocation of an attempt in turn, until it works:
 *
 *     q35t_alloc_sweep sweep = {.limit = 1000};
 *     while (q35t_alloc_sweep_next(&sweep)) {
 *         q35t_alloc_sweep_end(&sweep, attempt());
 *         ... release what the attempt made; sweep.status is its result ...
 *     }
 *
 * An attempt that fails must answer NOMEM; that it leaves nothing behind is for the sanitizers to see. */
#ifndef Q35T_ALLOC_SWEEP_H
#define Q35T_ALLOC_SWEEP_H

#include "runtime/base/alloc.h"

#include <check.h>

typedef struct q35t_alloc_sweep {
    uint64_t limit;    /* attempts that must be enough */
    uint64_t n;        /* attempts begun: in the n-th, allocation n and all later ones fail */
    q35_status status; /* of the last attempt */
} q35t_alloc_sweep;

/* Arms the next attempt; 0 once one has worked. */
static inline int q35t_alloc_sweep_next(q35t_alloc_sweep *s)
{
    if (s->n > 0 && s->status == Q35_OK)
        return 0;
    s->n++;
    ck_assert_msg(s->n < s->limit, "still out of memory at attempt %llu", (unsigned long long)s->n);
    q35i_alloc_fail_at(s->n);
    return 1;
}

static inline void q35t_alloc_sweep_end(q35t_alloc_sweep *s, q35_status status)
{
    q35i_alloc_fail_at(0);
    s->status = status;
    ck_assert_msg(status == Q35_OK || status == Q35_E_NOMEM, "allocation %llu: %s, %s", (unsigned long long)s->n,
                  q35_status_name(status), q35_error_message());
}

#endif
