/* SPDX-License-Identifier: Apache-2.0
 *
 * Sample i is the pair at stride * i when all pairs of all linears are counted through in order, so where it lies
 * needs no state and samples can be taken in parallel. The stride is odd, so every position in a group is met. */
#include "runtime/quant/sample.h"

#include "runtime/base/alloc.h"
#include "runtime/base/pool.h"
#include "runtime/base/size.h"
#include "runtime/model/model.h"

#include <q35rt/blocks.h>

#include <math.h>

#define LONGEST_BLOCK    256
#define LARGEST_COMPOSED 36 /* bytes of an FP8 block */
#define FARTHEST         5.0f /* root mean squares: a lone point farther out would coarsen the int8 grid of all others */

typedef struct sampling {
    const q35i_linear *linears;
    uint64_t *first; /* [n_linears + 1]: number of pairs before each linear */
    uint64_t n_linears, stride, n;
    float *pairs, *weights; /* [n][2] */
} sampling;

/* Weights [skip, skip + n) of a block. */
static void decode_part(uint32_t dtype, const uint8_t *block, uint64_t skip, uint64_t n, float *out)
{
    float whole[LONGEST_BLOCK];
    q35_block_decode(dtype, block, NULL, whole);
    memcpy(out, whole + skip, n * sizeof *out);
}

/* Whole blocks; the types that big models come in without a call per weight. */
static void decode_blocks(uint32_t dtype, q35_dtype_info type, const uint8_t *blocks, uint64_t n, float *out)
{
    if (dtype == Q35_DT_F32) {
        memcpy(out, blocks, n * sizeof *out);
        return;
    }
    if (dtype == Q35_DT_BF16) {
        for (uint64_t i = 0; i < n; i++)
            out[i] = q35_bf16_to_f32(q35_load_u16(blocks + 2 * i));
        return;
    }
    for (uint64_t b = 0; b < n; b++)
        q35_block_decode(dtype, blocks + b * type.block_bytes, NULL, out + b * type.block_len);
}

void q35i_read_weights(const q35_tensor_info *info, uint64_t row, uint64_t column, uint64_t n, float *out)
{
    enum { RUN = 16 }; /* blocks at a time, for those that have to be composed */
    uint8_t scratch[RUN * LARGEST_COMPOSED];
    q35_dtype_info type = q35_dtype_describe(info->dtype);
    uint64_t end = column + n, at = column;
    while (at < end) {
        uint64_t block = at / type.block_len, blocks = q35i_div_up(end, type.block_len) - block;
        if (info->dtype == Q35_DT_F8_32)
            blocks = q35i_min(blocks, RUN);
        const uint8_t *bytes = q35i_model_blocks(info, row, block, blocks, scratch);
        uint64_t skip = at % type.block_len, whole = skip ? 0 : q35i_min(blocks, (end - at) / type.block_len);
        uint64_t take = whole ? whole * type.block_len : q35i_min(type.block_len - skip, end - at);
        if (whole)
            decode_blocks(info->dtype, type, bytes, whole, out);
        else
            decode_part(info->dtype, bytes, skip, take, out);
        at += take;
        out += take;
    }
}

static uint64_t pairs_per_row(const q35_tensor_info *info)
{
    return q35i_div_up((uint64_t)info->dim[0], 2);
}

/* Pulls a pair in along its direction; the scale search serves such groups. */
static void pull_in(float x[2])
{
    float top = fmaxf(fabsf(x[0]), fabsf(x[1]));
    for (int i = 0; i < 2 && top > FARTHEST; i++)
        x[i] *= FARTHEST / top;
}

/* Writes pair `pair` of all pairs of the linear; zeros, with weight 0, when it is of no use. */
static void take_pair(const q35i_linear *linear, uint64_t pair, float x[2], float w[2])
{
    const q35_tensor_info *info = linear->info;
    uint64_t k = (uint64_t)info->dim[0], per_row = pairs_per_row(info), row = pair / per_row;
    uint64_t column = 2 * (pair % per_row), group = column / Q35_GROUP * Q35_GROUP,
             n = q35i_min(Q35_GROUP, k - group);
    float weights[Q35_GROUP + 1] = {0};
    double sum = 0;
    q35i_read_weights(info, row, group, n, weights);
    for (uint64_t i = 0; i < n; i++)
        sum += (double)weights[i] * (double)weights[i];
    double rms = sqrt(sum / (double)n);
    for (uint64_t i = 0; i < 2; i++) {
        uint64_t at = column + i;
        int useful = at < k && rms > 0 && rms < HUGE_VAL;
        x[i] = useful ? (float)((double)weights[at - group] / rms) : 0;
        w[i] = useful ? linear->importance ? linear->importance[at] : 1 : 0;
    }
    pull_in(x);
}

static void take_part(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    sampling *s = arg;
    uint64_t begin, end, linear = 0;
    (void)team;
    q35i_split(s->n, 1, worker, n_workers, &begin, &end);
    for (uint64_t i = begin; i < end; i++) {
        uint64_t pair = i * s->stride;
        while (pair >= s->first[linear + 1])
            linear++;
        take_pair(&s->linears[linear], pair - s->first[linear], s->pairs + 2 * i, s->weights + 2 * i);
    }
}

static uint64_t drop_zeros(float *pairs, float *weights, uint64_t n)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < n; i++) {
        const float *x = pairs + 2 * i;
        if (!(x[0] * x[0] + x[1] * x[1] > 0))
            continue;
        memmove(pairs + 2 * kept, x, 2 * sizeof *pairs);
        memmove(weights + 2 * kept, weights + 2 * i, 2 * sizeof *weights);
        kept++;
    }
    return kept;
}

q35_status q35i_sample_pairs(const q35i_linear *linears, uint64_t n_linears, uint64_t limit, q35_pool *pool,
                             float **out_pairs, float **out_weights, uint64_t *out_n)
{
    q35_status status = Q35_OK;
    sampling s = {.linears = linears, .n_linears = n_linears};
    s.first = q35i_calloc(n_linears + 1, sizeof *s.first);
    Q35_CHECK_ALLOC_GOTO(s.first, out);
    for (uint64_t i = 0; i < n_linears; i++)
        s.first[i + 1] = s.first[i] + (uint64_t)linears[i].info->dim[1] * pairs_per_row(linears[i].info);
    s.stride = q35i_div_up(s.first[n_linears], limit) | 1;
    s.n = q35i_div_up(s.first[n_linears], s.stride);
    s.pairs = q35i_calloc(s.n, 2 * sizeof(float));
    s.weights = q35i_calloc(s.n, 2 * sizeof(float));
    Q35_CHECK_ALLOC_GOTO(s.pairs, out);
    Q35_CHECK_ALLOC_GOTO(s.weights, out);
    if (pool)
        q35i_pool_parallel(pool, take_part, &s);
    else
        take_part(&s, 0, 1, NULL);
    *out_n = drop_zeros(s.pairs, s.weights, s.n);
    *out_pairs = s.pairs;
    *out_weights = s.weights;
    s.pairs = s.weights = NULL;
out:
    q35i_free(s.first);
    q35i_free(s.pairs);
    q35i_free(s.weights);
    return status;
}
