/* SPDX-License-Identifier: Apache-2.0
 *
 * Time per node over all plans of a session. */
#include "graph/profile.h"
#include "runtime/base/error.h"
#include "runtime/session/session.h"

#include <string.h>

q35_status q35_session_profile(q35_session *s, int on)
{
    uint32_t n_counted = 0, n;
    for (uint32_t b = 0; b < Q35I_MAX_BUCKETS; b++) {
        if (!s->plans[b])
            continue;
        Q35_TRY(q35i_plan_profile(s->plans[b], on, &n));
        n_counted += n;
    }
    if (n_counted == 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "profile: no device of the session counts time, need one that does");
    return Q35_OK;
}

q35_status q35_session_profile_read(const q35_session *s, void (*each)(void *user, const q35_profile_node *node),
                                    void *user, q35_profile_sum *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t b = 0; b < Q35I_MAX_BUCKETS; b++)
        if (s->plans[b])
            Q35_TRY(q35i_plan_profile_read(s->plans[b], each, user, out));
    return Q35_OK;
}
