/* SPDX-License-Identifier: Apache-2.0
 *
 * Formulas: h += W_o attention(rope(W_q n), rope(W_k n), W_v n), n = rms_norm(h); h += W_down(silu(W_gate m) *
 * W_up m), m = rms_norm(h); logits = W_out rms_norm(h). */
#include "reference.h"

#include "runtime/quant/rotation.h"

#include <math.h>
#include <q35rt/blocks.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct forward {
    const q35_model *model;
    q35_model_config c;
    uint32_t n;
    double *inv_freq;
} forward;

static double *zeros(size_t n)
{
    double *x = calloc(n, sizeof *x);
    if (!x)
        abort();
    return x;
}

static void row_of(const q35_model *model, const q35_tensor_info *t, uint64_t row, double *out)
{
    float block[256];
    q35_dtype_info d = q35_dtype_describe(t->dtype);
    uint64_t k = (uint64_t)t->dim[0];
    const char *at = (const char *)t->data + row * q35_row_bytes(t->dtype, k);
    for (uint64_t i = 0; i < k; i += d.block_len) {
        q35_row_block_decode(t->dtype, at, i / d.block_len, q35_model_book(model, t->dtype), block);
        for (uint64_t j = 0; j < d.block_len && i + j < k; j++)
            out[i + j] = (double)block[j];
    }
}

static const q35_tensor_info *tensor(const forward *f, uint32_t layer, const char *part)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s.weight", layer, part);
    return q35_model_tensor(f->model, name);
}

/* x [n][k] as the weights of w meet it. */
static double *rotated(const forward *f, const q35_tensor_info *w, const double *x, size_t k)
{
    double *r = zeros(f->n * k);
    int8_t *signs = calloc(k, 1);
    if (!signs)
        abort();
    memcpy(r, x, f->n * k * sizeof *x);
    q35i_rotation_signs(w->rotation_seed, k, signs);
    for (uint32_t t = 0; t < f->n && w->rotation_width; t++)
        q35i_rotate_row(signs, w->rotation_width, r + t * k, k);
    free(signs);
    return r;
}

/* y[t] = W x[t] */
static double *matmul(const forward *f, const q35_tensor_info *w, const double *input)
{
    size_t k = (size_t)w->dim[0], rows = (size_t)w->dim[1];
    double *y = zeros(f->n * rows), *row = zeros(k), *x = rotated(f, w, input, k);
    for (size_t r = 0; r < rows; r++) {
        row_of(f->model, w, r, row);
        for (uint32_t t = 0; t < f->n; t++)
            for (size_t i = 0; i < k; i++)
                y[t * rows + r] += row[i] * x[t * k + i];
    }
    free(row);
    free(x);
    return y;
}

static double *rms_norm(const forward *f, const q35_tensor_info *w, const double *x)
{
    size_t k = (size_t)w->dim[0];
    double *y = zeros(f->n * k), *row = zeros(k);
    row_of(f->model, w, 0, row);
    for (uint32_t t = 0; t < f->n; t++) {
        double sum = 0;
        for (size_t i = 0; i < k; i++)
            sum += x[t * k + i] * x[t * k + i];
        for (size_t i = 0; i < k; i++)
            y[t * k + i] = x[t * k + i] / sqrt(sum / (double)k + (double)f->c.norm_eps) * row[i];
    }
    free(row);
    return y;
}

static void rope(const forward *f, double *x, uint32_t heads)
{
    for (uint32_t t = 0; t < f->n; t++)
        for (uint32_t h = 0; h < heads; h++)
            for (uint32_t i = 0; i < f->c.n_rot / 2; i++) {
                double *p = x + ((size_t)t * heads + h) * f->c.head_dim + 2 * i;
                double a = t * f->inv_freq[i], u = p[0], v = p[1];
                p[0] = u * cos(a) - v * sin(a);
                p[1] = u * sin(a) + v * cos(a);
            }
}

static double *attend(const forward *f, const double *q, const double *k, const double *v)
{
    uint32_t d = f->c.head_dim, H = f->c.n_heads, G = f->c.n_kv_heads;
    double *out = zeros((size_t)f->n * H * d), *p = zeros(f->n);
    for (uint32_t t = 0; t < f->n; t++)
        for (uint32_t h = 0; h < H; h++) {
            uint32_t g = h / (H / G);
            double max = -HUGE_VAL, sum = 0;
            for (uint32_t s = 0; s <= t; s++) {
                p[s] = 0;
                for (uint32_t i = 0; i < d; i++)
                    p[s] += q[((size_t)t * H + h) * d + i] * k[((size_t)s * G + g) * d + i];
                p[s] /= sqrt((double)d);
                max = fmax(max, p[s]);
            }
            for (uint32_t s = 0; s <= t; s++)
                sum += p[s] = exp(p[s] - max);
            for (uint32_t s = 0; s <= t; s++)
                for (uint32_t i = 0; i < d; i++)
                    out[((size_t)t * H + h) * d + i] += p[s] / sum * v[((size_t)s * G + g) * d + i];
        }
    free(p);
    return out;
}

static void add_to(double *h, double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h[i] += x[i];
    free(x);
}

static void attention_block(const forward *f, uint32_t l, double *h)
{
    double *x = rms_norm(f, tensor(f, l, "attn_norm"), h);
    double *q = matmul(f, tensor(f, l, "attn_q"), x), *k = matmul(f, tensor(f, l, "attn_k"), x);
    double *v = matmul(f, tensor(f, l, "attn_v"), x);
    rope(f, q, f->c.n_heads);
    rope(f, k, f->c.n_kv_heads);
    double *a = attend(f, q, k, v);
    add_to(h, matmul(f, tensor(f, l, "attn_output"), a), (size_t)f->n * f->c.hidden);
    free(x);
    free(q);
    free(k);
    free(v);
    free(a);
}

static void ffn_block(const forward *f, uint32_t l, double *h)
{
    double *x = rms_norm(f, tensor(f, l, "ffn_norm"), h);
    double *g = matmul(f, tensor(f, l, "ffn_gate"), x), *u = matmul(f, tensor(f, l, "ffn_up"), x);
    for (size_t i = 0; i < (size_t)f->n * f->c.ffn; i++)
        g[i] = g[i] / (1 + exp(-g[i])) * u[i];
    add_to(h, matmul(f, tensor(f, l, "ffn_down"), g), (size_t)f->n * f->c.hidden);
    free(x);
    free(g);
    free(u);
}

double *q35t_reference_logits(const q35_model *model, const int32_t *ids, uint32_t n)
{
    forward f = {.model = model, .n = n};
    if (q35_model_read_config(model, &f.c) != Q35_OK)
        abort();
    const q35_tensor_info *emb = q35_model_tensor(model, "token_embd.weight");
    const q35_tensor_info *head = f.c.tied_head ? emb : q35_model_tensor(model, "output.weight");
    const q35_tensor_info *freqs = q35_model_tensor(model, "rope_freqs.weight");
    f.inv_freq = zeros(f.c.n_rot);
    if (freqs)
        row_of(model, freqs, 0, f.inv_freq + f.c.n_rot / 2);
    for (uint32_t i = 0; i < f.c.n_rot / 2; i++)
        f.inv_freq[i] =
            pow((double)f.c.rope_base, -2.0 * i / f.c.n_rot) / (freqs ? f.inv_freq[f.c.n_rot / 2 + i] : 1.0);
    double *h = zeros((size_t)n * f.c.hidden);
    for (uint32_t t = 0; t < n; t++)
        row_of(model, emb, (uint64_t)ids[t], h + (size_t)t * f.c.hidden);
    for (uint32_t l = 0; l < f.c.n_layers; l++) {
        attention_block(&f, l, h);
        ffn_block(&f, l, h);
    }
    double *x = rms_norm(&f, q35_model_tensor(model, "output_norm.weight"), h);
    double *logits = matmul(&f, head, x);
    free(x);
    free(h);
    free(f.inv_freq);
    return logits;
}
