/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/text/jinja_out.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <inttypes.h>
#include <string.h>

void q35i_jout_free(q35i_jout *out)
{
    q35i_free(out->bytes);
    q35i_free(out->marks);
    *out = (q35i_jout){.limit = out->limit};
}

static q35_status grow(q35i_jout *out, uint64_t n)
{
    uint64_t need, cap;
    if (!q35i_add(out->n, n, &need) || need > INT64_MAX / 4 || (out->limit > 0 && need > out->limit))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "writes more than %" PRIu64 " bytes, need less", out->limit);
    if (need <= out->cap)
        return Q35_OK;
    cap = q35i_max(q35i_max(2 * out->cap, need), 256);
    char *bytes = q35i_realloc(out->bytes, cap, 1);
    if (!bytes)
        return Q35_E_NOMEM;
    out->bytes = bytes;
    uint8_t *marks = q35i_realloc(out->marks, cap, 1);
    if (!marks)
        return Q35_E_NOMEM;
    out->marks = marks;
    out->cap = cap;
    return Q35_OK;
}

q35_status q35i_jout_add(q35i_jout *out, const char *bytes, uint64_t n, const uint8_t *marks)
{
    if (n == 0)
        return Q35_OK;
    Q35_TRY(grow(out, n));
    memcpy(out->bytes + out->n, bytes, n);
    if (marks)
        memcpy(out->marks + out->n, marks, n);
    else
        memset(out->marks + out->n, 0, n);
    out->n += n;
    return Q35_OK;
}

q35_status q35i_jout_add_string(q35i_jout *out, const q35i_jstr *s)
{
    return q35i_jout_add(out, s->bytes, s->n, s->marks);
}

q35_status q35i_jout_add_literal(q35i_jout *out, const char *text)
{
    return q35i_jout_add(out, text, strlen(text), NULL);
}

q35_status q35i_jout_string(const q35i_jout *out, uint64_t from, q35i_heap *heap, q35i_jv *result)
{
    uint64_t n = out->n - from;
    char *bytes = q35i_heap_take(heap, n, 1);
    uint8_t *marks = bytes ? q35i_heap_take(heap, n, 1) : NULL;
    q35i_jstr *s = marks ? q35i_heap_take(heap, 1, sizeof *s) : NULL;
    if (!s)
        return heap->status;
    if (n > 0) {
        memcpy(bytes, out->bytes + from, n);
        memcpy(marks, out->marks + from, n);
    }
    *s = (q35i_jstr){.n = n, .bytes = bytes, .marks = marks};
    *result = q35i_jv_string(s);
    return Q35_OK;
}
