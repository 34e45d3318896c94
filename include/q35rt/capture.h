/* SPDX-License-Identifier: MIT-0
 *
 * An extension of the device plugin ABI since 1.1: a stretch of a queue recorded once and replayed, so that many
 * commands cost one submission. q35_plugin.extension returns its table, q35_capture. The rules of plugin.h hold;
 * like it this header needs nothing else. */
#ifndef Q35RT_CAPTURE_H
#define Q35RT_CAPTURE_H

#include <q35rt/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { Q35_STRUCT_CAPTURE = 56 };

typedef struct q35_recording q35_recording; /* plugin: commands of a queue */

/* Q35_STRUCT_CAPTURE. All slots are required. */
typedef struct q35_capture {
    q35_hdr h;
    /* From here to `end` the queue's copies and plan_submits are recorded in their order and not carried out; they
     * have neither waits nor signals. Q35_E_UNSUPPORTED when this queue cannot record. */
    q35_status (*begin)(q35_queue *queue);
    /* Ends the recording and returns it. After a failure, of this or of a command in between, nothing was recorded
     * and the queue is as before `begin`; `end` is called in any case. */
    q35_status (*end)(q35_queue *queue, q35_recording **out);
    /* Queues what was recorded, as plan_submit queues a run: waits first, signals last, a failure through the
     * signals. Addresses and byte counts are those recorded; the bytes there are read at the time of the run. Only
     * on the queue that recorded, while the plans are bound as they were. No allocation that grows with runs. */
    q35_status (*replay)(q35_queue *queue, q35_recording *recording, const q35_point *waits, uint32_t n_waits,
                         const q35_point *signals, uint32_t n_signals);
    /* Before the plans and buffers it refers to go; its queue may be gone. Legal when no queued replay is left. */
    void (*free)(q35_recording *recording);
} q35_capture;

#ifdef __cplusplus
}
#endif
#endif
