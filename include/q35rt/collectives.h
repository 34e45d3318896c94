/* SPDX-License-Identifier: MIT-0
 *
 * An extension of the device plugin ABI since 1.1: collective operations among devices of one plugin.
 * q35_plugin.extension returns its table, q35_collectives. The rules of plugin.h hold; like it this header needs
 * nothing else. Where a plugin has none, or a group mixes plugins, the host reduces in its own memory. */
#ifndef Q35RT_COLLECTIVES_H
#define Q35RT_COLLECTIVES_H

#include <q35rt/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { Q35_STRUCT_COLLECTIVES = 64, Q35_STRUCT_COMM_OPTIONS = 65 };

typedef struct q35_comm q35_comm; /* plugin: one member of a group */

typedef struct q35_comm_options {
    q35_hdr h;
    uint32_t rank, size; /* rank < size; each rank once, each with a device of its own */
    uint8_t group[16];   /* equal for all members, and for no other group */
    uint64_t timeout_ns; /* of creation and of every operation; UINT64_MAX: none */
    /* A table of bytes that all members see, for addresses and ids; members may be in other processes. Callable
     * from any thread during comm_create. */
    void *user;
    q35_status (*put)(void *user, const char *key, const void *value, uint64_t bytes); /* copies value */
    /* Waits until the key is there; *inout_bytes: room, then size. Q35_E_TIMEOUT, or Q35_E_RANGE: no room. */
    q35_status (*get)(void *user, const char *key, void *value, uint64_t *inout_bytes, uint64_t timeout_ns);
} q35_comm_options;

/* Q35_STRUCT_COLLECTIVES. All slots are required. All members call the same operations in the same order with the
 * same counts, each on a queue of its own device. An operation is queued as a copy is: it waits, works when all
 * members have come to it, then signals; a failure arrives through the signals of every member, also when another
 * member failed, and ends the group. Buffers are of the member's device. */
typedef struct q35_collectives {
    q35_hdr h;
    /* Each member from a thread of its own; returns when all are there. Q35_E_TIMEOUT names the rank that did not
     * come. */
    q35_status (*comm_create)(q35_device *dev, const q35_comm_options *options, q35_comm **out);
    void (*comm_destroy)(q35_comm *comm); /* nothing is queued on it */
    /* data[count] = the sum of all members' data, dtype F32 or I32. The order of the additions depends on size and
     * count alone, so that every member gets the same bits, and a repetition the same again. */
    q35_status (*all_reduce)(q35_comm *comm, q35_queue *queue, const q35_binding *data, uint64_t count,
                             uint32_t dtype, const q35_point *waits, uint32_t n_waits, const q35_point *signals,
                             uint32_t n_signals);
    /* whole[size * bytes] = all members' part[bytes], by rank. */
    q35_status (*all_gather)(q35_comm *comm, q35_queue *queue, const q35_binding *part, const q35_binding *whole,
                             uint64_t bytes, const q35_point *waits, uint32_t n_waits, const q35_point *signals,
                             uint32_t n_signals);
    /* Any thread: what is queued or under way fails with Q35_E_CANCELLED, and the group is of no further use. */
    void (*cancel)(q35_comm *comm);
} q35_collectives;

#ifdef __cplusplus
}
#endif
#endif
