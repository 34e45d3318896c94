/* SPDX-License-Identifier: Apache-2.0
 *
 * A libnccl.so.2 on the mock driver: what plugins/cuda/nccl.def lists, members in one process. As the library does
 * it for communicators that do not block, calls return at once and end on a thread; the first one connects, which
 * needs all members; work is an operation of a stream, which waits there for the other members. Sums in f32 are in
 * descending order of the ranks, so that whoever relies on NCCL's order does not get the plugin's.
 *
 * Q35RT_MOCK_NCCL, or q35_nccl_set from a test, is a list of key=value separated by commas:
 *   version=N      what ncclGetVersion says (22809)
 *   no_id=1        ncclGetUniqueId fails
 *   init_fails=R   member R - 1 cannot join
 *   call_fails_at=K  the K-th collective of all members is refused
 *   breaks_at=K    the K-th does not end, and its member learns of an error
 *   hangs_at=K     the K-th does not end
 *   delay_us=N     each call takes N microseconds to end */
#ifndef NCCL_MOCK_H
#define NCCL_MOCK_H

#include "mock.h"
#include "plugins/cuda/nccl.h"

#define NEED(name, parameters) MOCK_EXPORT q35i_nccl_result name parameters;
#define TEXT(name, parameters) MOCK_EXPORT const char *name parameters;
#include "plugins/cuda/nccl.def"

/* NULL takes the environment anew. */
MOCK_EXPORT void q35_nccl_set(const char *list);
/* Communicators that live; collectives called since the last set. */
MOCK_EXPORT uint64_t q35_nccl_live(void);
MOCK_EXPORT uint64_t q35_nccl_calls(void);

#endif
