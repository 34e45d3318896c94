/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiled only where NCCL's header is installed: the plugin's own declarations are the header's. */
#include <nccl.h>

#include "plugins/cuda/nccl.h"

#define NEED(name, parameters)                                                                                    \
    _Static_assert(__builtin_types_compatible_p(__typeof__(name), q35i_nccl_result parameters), #name);
#define TEXT(name, parameters)                                                                                    \
    _Static_assert(__builtin_types_compatible_p(__typeof__(name), const char *parameters), #name);
#include "plugins/cuda/nccl.def"

#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #theirs)
SAME(Q35I_NCCL_IN_PROGRESS, ncclInProgress);
SAME(Q35I_NCCL_INT8, ncclInt8);
SAME(Q35I_NCCL_INT32, ncclInt32);
SAME(Q35I_NCCL_FLOAT32, ncclFloat32);
SAME(Q35I_NCCL_SUM, ncclSum);
SAME(128, sizeof(ncclUniqueId));
SAME(offsetof(q35i_nccl_config_2_14, size), offsetof(ncclConfig_t, size));
SAME(offsetof(q35i_nccl_config_2_14, magic), offsetof(ncclConfig_t, magic));
SAME(offsetof(q35i_nccl_config_2_14, version), offsetof(ncclConfig_t, version));
SAME(offsetof(q35i_nccl_config_2_14, blocking), offsetof(ncclConfig_t, blocking));
