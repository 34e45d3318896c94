/* SPDX-License-Identifier: Apache-2.0
 *
 * What quantising one tensor does to the model's predictions, measured on windows that its codes were not made
 * for. */
#ifndef Q35I_SENSITIVITY_H
#define Q35I_SENSITIVITY_H

#include "runtime/session/convert.h"

/* What it keeps: windows of hidden states, and bytes of the source's predictions. */
uint64_t q35i_measure_windows(const q35i_conversion *c);
uint64_t q35i_measure_base_bytes(const q35i_conversion *c);

/* Sets t->sensitivity of every target that may be coded: mean KL from the source's predictions when it alone is
 * Q35_ROW. Each goes to the journal as soon as it is known. INVALID with fewer than four windows of text. */
q35_status q35i_measure_sensitivity(q35i_conversion *c);

#endif
