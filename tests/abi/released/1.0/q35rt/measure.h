/* SPDX-License-Identifier: MIT-0
 *
 * An extension of the device plugin ABI: how fast a device can be, and where its time goes. q35_plugin.extension
 * returns its table, q35_measure. The rules of plugin.h hold; like it this header needs nothing else. */
#ifndef Q35RT_MEASURE_H
#define Q35RT_MEASURE_H

#include <q35rt/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Among the types of plugin.h, whose values end below 32. */
enum { Q35_STRUCT_MEASURE = 32, Q35_STRUCT_LIMIT = 33, Q35_STRUCT_PROFILE = 34 };

/* Answer to limit: the most that a device can do of something. */
typedef struct q35_limit {
    q35_hdr h;
    uint32_t kind; /* Q35_LIMIT_* */
    uint32_t reserved;
    char name[24];       /* of the unit or instruction, NUL-terminated: "VNNI" */
    uint64_t per_second; /* multiplications with addition, or bytes */
} q35_limit;

enum { Q35_LIMIT_INT8 = 1, Q35_LIMIT_READ = 2 }; /* products of int8 summed up; bytes read from its memory */

/* Answer to profile_read. Times are means over the device's workers. */
typedef struct q35_profile {
    q35_hdr h;
    uint32_t n_nodes, reserved; /* of the region; room in node_ns */
    uint64_t *node_ns;          /* [n_nodes] the caller's: time in each node, in the region's order, all runs */
    uint64_t runs, run_ns;      /* runs, time from entering to leaving them */
    uint64_t barriers;          /* passed, all runs together */
    uint64_t barrier_ns;        /* waited there */
} q35_profile;

/* Q35_STRUCT_MEASURE: how fast a device can be, and where its time goes. Every slot is optional. */
typedef struct q35_measure {
    q35_hdr h;
    /* Measures the i-th limit in about ms milliseconds with the device's workers; Q35_E_RANGE past the last. No
     * plan of the device runs meanwhile. */
    q35_status (*limit)(q35_device *dev, uint32_t i, uint32_t ms, q35_limit *out);
    /* on 1: counts the plan's runs from now on, from zero; 0: no longer, and they cost nothing more. While the
     * plan is idle. */
    q35_status (*profile)(q35_plan *plan, uint32_t on);
    /* What was counted since. While the plan is idle; Q35_E_INVALID when it is off. */
    q35_status (*profile_read)(q35_plan *plan, q35_profile *out);
} q35_measure;

#ifdef __cplusplus
}
#endif
#endif
