/* SPDX-License-Identifier: Apache-2.0
 *
 * Types by budget: how much each tensor hurts when it alone has 3.5 bits, and the knapsack over that. */
#ifndef Q35I_ALLOCATE_H
#define Q35I_ALLOCATE_H

#include "runtime/session/convert.h"

/* Sets dtype and sensitivity of every target that may be coded so that the file (or the linears, as the options
 * say) takes at most options->target_bpw. INVALID states the reachable range. Measurements go to the journal. */
q35_status q35i_allocate(q35i_conversion *c);

#endif
