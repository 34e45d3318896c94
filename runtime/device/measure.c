/* SPDX-License-Identifier: Apache-2.0
 *
 * What the machine and its devices can do at best, measured when asked for. */
#include "measure.h"

#include "extension.h"
#include "runtime.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/pool.h"
#include "runtime/device/device.h"
#include "runtime/place/place.h"

#include <string.h>

/* Threads of its own, since the runtime's pool may be at work for a session; NULL: there are more threads than
 * cores, and what starts late would count as fast. */
static q35_pool *own_pool(const q35_runtime *rt)
{
    q35_pool *pool;
    return rt->cpus && q35i_pool_create(rt->n_threads, rt->cpus, &pool) == Q35_OK ? pool : NULL;
}

double q35_runtime_read_gbps(q35_runtime *rt, uint32_t ms)
{
    q35_pool *pool = own_pool(rt);
    if (!pool)
        return 0.0;
    double gbps = q35i_place_read_gbps(pool, ms);
    q35i_pool_destroy(pool);
    return gbps;
}

const q35_measure *q35i_device_measure(const q35_plugin *api)
{
    return q35i_extension(api, Q35_STRUCT_MEASURE);
}

q35_status q35_runtime_limit(q35_runtime *rt, uint32_t index, uint32_t i, uint32_t ms, q35_limit *out)
{
    q35i_device *device;
    memset(out, 0, sizeof *out);
    out->h = (q35_hdr){sizeof *out, Q35_STRUCT_LIMIT, NULL};
    Q35_TRY(q35i_device_open(rt, index, &device));
    const q35_measure *m = q35i_device_measure(device->api);
    q35_status status =
        m && Q35_HAS_SLOT(m, q35_measure, limit)
            ? m->limit(device->dev, i, ms, out)
            : Q35_FAIL(Q35_E_UNSUPPORTED, "device %s: its plugin measures no limits", device->name);
    out->name[sizeof out->name - 1] = '\0';
    q35i_device_close(device);
    return status;
}

enum { BARRIERS = 200, BARRIER_PASSES = 25 };

static void run_barriers(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    uint64_t *best = arg;
    (void)n_workers;
    for (int pass = 0; pass < BARRIER_PASSES; pass++) {
        q35i_pool_barrier(team);
        uint64_t begin = q35i_now_ns();
        for (int i = 0; i < BARRIERS; i++)
            q35i_pool_barrier(team);
        uint64_t ns = q35i_now_ns() - begin;
        if (worker == 0 && ns < *best)
            *best = ns;
    }
}

double q35_runtime_barrier_ns(q35_runtime *rt)
{
    uint64_t best = UINT64_MAX;
    q35_pool *pool = rt->n_threads > 1 ? own_pool(rt) : NULL;
    if (!pool)
        return 0.0;
    q35i_pool_parallel(pool, run_barriers, &best);
    q35i_pool_destroy(pool);
    return (double)best / BARRIERS;
}
