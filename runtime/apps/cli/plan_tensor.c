/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors of a plan in order. */
#include "plan_tensor.h"

#include <stdlib.h>
#include <string.h>

/* How many digits, at most 9, stand at the start of text. */
static size_t digits(const char *text)
{
    size_t n = strspn(text, "0123456789");
    return n <= 9 ? n : 0;
}

plan_place plan_place_of(const char *name)
{
    plan_place place = {.layer = PLAN_NO_LAYER};
    size_t n = strncmp(name, "blk.", 4) == 0 ? digits(name + 4) : 0;
    if (n > 0 && name[4 + n] == '.') {
        place.layer = strtol(name + 4, NULL, 10);
        name += 4 + n + 1;
    }
    size_t len = strlen(name), suffix = strlen(".weight");
    if (len > suffix && strcmp(name + len - suffix, ".weight") == 0)
        len -= suffix;
    for (size_t i = 0; i < len && i + 1 < sizeof place.kind; i++)
        place.kind[i] = (char)(name[i] > 0x20 && name[i] < 0x7f ? name[i] : '?');
    return place;
}

double plan_bits(uint64_t bytes, uint64_t weights)
{
    return weights ? 8 * (double)bytes / (double)weights : 0;
}

static int kind_rank(const char *kind)
{
    static const char *const known[] = {"token_embd",  "attn_q",   "attn_k", "attn_v",
                                        "attn_output", "ffn_gate", "ffn_up", "ffn_down"};
    int n = (int)(sizeof known / sizeof *known);
    for (int i = 0; i < n; i++)
        if (strcmp(kind, known[i]) == 0)
            return i;
    return strcmp(kind, "output") == 0 ? n + 1 : n;
}

static int compare(double a, double b)
{
    return a < b ? -1 : a > b;
}

static int by_type(const void *left, const void *right)
{
    const plan_row *a = left, *b = right;
    return strcmp(a->tensor->type, b->tensor->type);
}

static int in_order(const void *left, const void *right)
{
    const plan_row *a = left, *b = right;
    int order = kind_rank(a->place.kind) - kind_rank(b->place.kind);
    if (order == 0)
        order = strcmp(a->place.kind, b->place.kind);
    if (order == 0)
        order = compare(a->type_bits, b->type_bits);
    if (order == 0)
        order = strcmp(a->tensor->type, b->tensor->type);
    if (order == 0)
        order = compare((double)a->place.layer, (double)b->place.layer);
    return order ? order : strcmp(a->tensor->name, b->tensor->name);
}

/* rows: by type. */
static void set_type_bits(plan_row *rows, uint64_t n)
{
    for (uint64_t i = 0, end; i < n; i = end) {
        uint64_t bytes = 0, weights = 0;
        for (end = i; end < n && by_type(&rows[i], &rows[end]) == 0; end++) {
            bytes += rows[end].tensor->bytes;
            weights += rows[end].tensor->weights;
        }
        for (uint64_t k = i; k < end; k++)
            rows[k].type_bits = plan_bits(bytes, weights);
    }
}

plan_row *plan_rows(const plan_tensor *tensors, uint64_t n)
{
    plan_row *rows = calloc(n ? (size_t)n : 1, sizeof *rows);
    if (!rows)
        return NULL;
    for (uint64_t i = 0; i < n; i++)
        rows[i] = (plan_row){&tensors[i], plan_place_of(tensors[i].name), 0};
    if (n > 1)
        qsort(rows, (size_t)n, sizeof *rows, by_type);
    set_type_bits(rows, n);
    if (n > 1)
        qsort(rows, (size_t)n, sizeof *rows, in_order);
    return rows;
}
