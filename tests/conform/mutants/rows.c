/* SPDX-License-Identifier: Apache-2.0
 *
 * Mutants of a device that has linears with one scale per row (Q60_ROW weights, A8_ROW activations) and a layout
 * for them: slices of 4 rows, reversed. */
#include "mutant.h"

#include <q35rt/blocks.h>

#include <stdio.h>
#include <string.h>

NOTE("1.0", Q35_NF_UNLOADABLE);

enum { LAYOUT = 1, SLICE_ROWS = 4 };

static const q35_host *host;

struct q35_device {
    q35_pool *pool;
};

struct q35_plan {
    uint32_t n_tensors, step, x, w, y;
    q35_tensor_desc x_desc, w_desc, y_desc;
    const uint8_t *x_at, *w_at;
    const q35_step *step_at;
    uint8_t *y_at;
};

static void answer(q35_hdr *out, const q35_hdr *known)
{
    uint32_t size = out->size < known->size ? out->size : known->size;
    if (size > sizeof *out)
        memcpy(out + 1, known + 1, size - sizeof *out);
}

/* ---- description, device */

static q35_status enumerate(uint32_t *out_n)
{
    *out_n = 1;
    return Q35_OK;
}

static q35_status device_info(uint32_t i, q35_device_info *out)
{
    const q35_device_info info = {.h.size = sizeof info,
                                  .name = "rows",
                                  .uuid = "rows-0",
                                  .host_numa = -1,
                                  .device_class = Q35_CLASS_OTHER,
                                  .n_memories = 1};
    if (i != 0)
        return host->fail(Q35_E_RANGE, "rows: no such device");
    answer(&out->h, &info.h);
    return Q35_OK;
}

static q35_status memory_info(uint32_t i, uint32_t m, q35_memory_info *out)
{
    const q35_memory_info info = {.h.size = sizeof info, .kind = Q35_MEM_HOST, .host_coherent = 1, .align = 64};
    if (i != 0 || m != 0)
        return host->fail(Q35_E_RANGE, "rows: no such memory");
    answer(&out->h, &info.h);
    return Q35_OK;
}

static q35_status device_open(uint32_t i, const q35_open_options *options, q35_device **out)
{
    if (i != 0 || options->n_options > 0)
        return host->fail(Q35_E_INVALID, "rows: no such device, or options");
    *out = host->alloc(sizeof **out, 64, -1);
    if (!*out)
        return host->fail(Q35_E_NOMEM, "rows: out of memory");
    (*out)->pool = options->pool;
    return Q35_OK;
}

static void device_close(q35_device *dev)
{
    host->free(dev);
}

/* ---- support, plans */

static int fits(const q35_region *region)
{
    const q35_node *n = region->nodes[0];
    if (region->n_nodes != 1 || n->op != Q35_OP_LINEAR || n->n_in != 2 || n->n_out != 1 ||
        region->step == Q35_NONE)
        return 0;
    const q35_tensor_desc *x = &region->tensors[n->in[0]], *w = &region->tensors[n->in[1]],
                          *y = &region->tensors[n->out[0]];
    return w->dtype == Q35_DT_Q60_ROW && w->layout <= LAYOUT && x->dtype == Q35_DT_A8_ROW && x->layout == 0 &&
           y->dtype == Q35_DT_F32 && y->layout == 0 && x->dim[0] == w->dim[0] && y->dim[0] == w->dim[1] &&
           x->dim[1] == y->dim[1] && x->flags == Q35_TF_TOKEN_ROWS && y->flags == Q35_TF_TOKEN_ROWS &&
           w->dim[0] <= 66304;
}

static q35_status op_support(q35_device *dev, const q35_region *region, q35_support *out)
{
    q35_support s = {.h.size = sizeof s, .determinism = Q35_DET_BITWISE};
    (void)dev;
    s.ok = (uint32_t)fits(region);
    if (!s.ok)
        snprintf(s.reason, sizeof s.reason, "not a linear of Q60_ROW and A8_ROW");
    answer(&out->h, &s.h);
    return Q35_OK;
}

static q35_status plan_compile(q35_device *dev, const q35_region *region, q35_plan **out)
{
    (void)dev;
    if (!fits(region))
        return host->fail(Q35_E_UNSUPPORTED, "rows: not a linear of Q60_ROW and A8_ROW");
    q35_plan *p = host->alloc(sizeof *p, 64, -1);
    if (!p)
        return host->fail(Q35_E_NOMEM, "rows: out of memory");
    const q35_node *n = region->nodes[0];
    *p = (q35_plan){region->n_tensors, region->step, n->in[0], n->in[1], n->out[0], .x_at = NULL};
    p->x_desc = region->tensors[p->x];
    p->w_desc = region->tensors[p->w];
    p->y_desc = region->tensors[p->y];
    *out = p;
    return Q35_OK;
}

static q35_status plan_bind(q35_plan *p, const q35_binding *bindings)
{
    p->x_at = bindings[p->x].host;
    p->w_at = bindings[p->w].host;
    p->y_at = bindings[p->y].host;
    p->step_at = bindings[p->step].host;
    return Q35_OK;
}

static void plan_free(q35_plan *p)
{
    host->free(p);
}

/* ---- runs */

static const uint8_t *weight_row(const q35_plan *p, int64_t r)
{
    const int64_t bytes = (int64_t)q35_row_bytes(p->w_desc.dtype, (uint64_t)p->w_desc.dim[0]);
    if (p->w_desc.layout == 0)
        return p->w_at + r * p->w_desc.stride[1];
    return p->w_at + (r / SLICE_ROWS * SLICE_ROWS + (SLICE_ROWS - 1 - r % SLICE_ROWS)) * bytes;
}

static float dot(const uint8_t *w, const int8_t *q, int64_t k)
{
    int32_t sum = 0;
    float rounded = 0;
    for (int64_t i = 0; i < k; i += 4) {
        int8_t level[16];
        q35_row_levels(Q35_DT_Q60_ROW, w + 4 + i / 4 * 3, NULL, level);
        for (int64_t j = 0; j < 4 && i + j < k; j++) {
            sum += level[j] * q[i + j];
            rounded += (float)(level[j] * q[i + j]);
        }
        if (IS(sixteen_bit_sums))
            sum = sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum;
    }
    return IS(sums_in_float) ? rounded : (float)sum;
}

static q35_status plan_run(q35_plan *p)
{
    for (int64_t t = 0; t < p->step_at->n_tokens; t++) {
        const uint8_t *x = p->x_at + t * p->x_desc.stride[1];
        float *y = (float *)(void *)(p->y_at + t * p->y_desc.stride[1]), s_x;
        memcpy(&s_x, x, sizeof s_x);
        for (int64_t r = 0; r < p->y_desc.dim[0]; r++) {
            const uint8_t *w = weight_row(p, r);
            const uint32_t nan = IS(other_nan) ? 0xffc00000u : 0x7fc00000u;
            float s_w;
            memcpy(&s_w, w, sizeof s_w);
            const float scale = s_w * s_x;
            y[r] = scale * dot(w, (const int8_t *)x + sizeof(q35_act_row), p->x_desc.dim[0]);
            if (y[r] != y[r])
                memcpy(&y[r], &nan, sizeof nan);
        }
    }
    return Q35_OK;
}

/* ---- layout */

static q35_status layout_query(q35_device *dev, uint32_t op, const q35_tensor_desc *weight, uint32_t i,
                               q35_layout *out)
{
    (void)dev;
    if (i > 0 || op != Q35_OP_LINEAR || weight->dtype != Q35_DT_Q60_ROW)
        return host->fail(Q35_E_RANGE, "rows: no such layout");
    const q35_layout layout = {.h.size = sizeof layout,
                               .layout = LAYOUT,
                               .reversible = 1,
                               .slice_rows = SLICE_ROWS,
                               .slice_bytes = SLICE_ROWS * q35_row_bytes(weight->dtype, (uint64_t)weight->dim[0]),
                               .align = 64};
    answer(&out->h, &layout.h);
    return Q35_OK;
}

static q35_status pack(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                       uint64_t n_rows, const void *src, void *dst)
{
    static uint8_t calls;
    const uint64_t bytes = q35_row_bytes(weight->dtype, (uint64_t)weight->dim[0]);
    uint8_t *to = dst;
    (void)dev, (void)layout, (void)row;
    for (uint64_t r = 0; r < n_rows; r++)
        memcpy(to + (SLICE_ROWS - 1 - r) * bytes, (const uint8_t *)src + r * (uint64_t)weight->stride[1], bytes);
    if (IS(pack_depends_on_order) && n_rows < SLICE_ROWS)
        to[0] = ++calls;
    if (IS(pack_past_slice))
        to[SLICE_ROWS * bytes] = 1;
    return Q35_OK;
}

static q35_status unpack(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                         uint64_t n_rows, const void *src, void *dst)
{
    const uint64_t bytes = q35_row_bytes(weight->dtype, (uint64_t)weight->dim[0]);
    (void)dev, (void)layout, (void)row;
    for (uint64_t r = 0; r < n_rows; r++)
        memcpy((uint8_t *)dst + r * (uint64_t)weight->stride[1],
               (const uint8_t *)src + (SLICE_ROWS - 1 - r) * bytes, IS(unpack_forgets) ? bytes - 1 : bytes);
    return Q35_OK;
}

static q35_status pack_key(q35_device *dev, uint32_t layout, uint8_t out_key[32])
{
    static uint8_t calls;
    (void)dev;
    memset(out_key, (int)layout, 32);
    if (IS(unstable_key))
        out_key[31] = calls++;
    return Q35_OK;
}

static const q35_plugin table = {
    .h = {sizeof table, Q35_STRUCT_PLUGIN, NULL},
    .abi_major = Q35_ABI_MAJOR,
    .abi_minor = Q35_ABI_MINOR,
    .id = "mutant",
    .version = "1.0",
    .enumerate = enumerate,
    .device_info = device_info,
    .memory_info = memory_info,
    .device_open = device_open,
    .device_close = device_close,
    .op_support = op_support,
    .plan_compile = plan_compile,
    .plan_bind = plan_bind,
    .plan_run = plan_run,
    .plan_free = plan_free,
    .layout_query = layout_query,
    .pack = pack,
    .unpack = unpack,
    .pack_key = pack_key,
};

Q35_PLUGIN_EXPORT q35_status q35_plugin_query(const q35_host *h, const q35_plugin **out);

q35_status q35_plugin_query(const q35_host *h, const q35_plugin **out)
{
    if (h->abi_major != Q35_ABI_MAJOR)
        return Q35_E_VERSION;
    host = h;
    *out = &table;
    return Q35_OK;
}
