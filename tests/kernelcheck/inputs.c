/* SPDX-License-Identifier: Apache-2.0
 *
 * Random numbers, distributions and the memory of a case. A case's generator is seeded from (seed, slot, index),
 * so one case alone repeats exactly.
 */
#define _GNU_SOURCE
#include "kernelcheck.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

const char *kc_dist_name(kc_dist dist)
{
    static const char *const names[] = {"integer", "uniform", "normal", "cancel", "extreme", "nonfinite"};
    return names[dist];
}

uint8_t *kc_arena_open(size_t *bytes)
{
    *bytes = (size_t)512 << 20;
    void *p = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void *kc_alloc(kc_context *x, size_t bytes)
{
    size_t padded = (bytes + 127) / 64 * 64;
    if (padded > x->arena_size - x->arena_used)
        abort();
    uint8_t *p = x->arena + x->arena_used;
    x->arena_used += padded;
    memset(p, 0, padded);
    return p;
}

/* Steele, Lea, Flood: Fast splittable pseudorandom number generators (SplitMix64). */
uint64_t kc_random(kc_context *x)
{
    uint64_t z = x->rng += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void kc_reseed(kc_context *x, const char *slot, int64_t index)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (const char *c = slot; *c; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(1099511628211);
    x->rng = x->seed ^ hash;
    x->rng = kc_random(x) ^ (uint64_t)index;
    kc_random(x);
}

int64_t kc_below(kc_context *x, int64_t n)
{
    return n > 0 ? (int64_t)(kc_random(x) % (uint64_t)n) : 0;
}

double kc_uniform(kc_context *x)
{
    return (double)(int64_t)(kc_random(x) >> 11) * 0x1p-52 - 1;
}

/* Box-Muller. */
double kc_normal(kc_context *x)
{
    double r = (kc_uniform(x) + 1) / 2, angle = 3.14159265358979323846 * kc_uniform(x);
    return sqrt(-2 * log(r + 0x1p-54)) * cos(angle);
}

double kc_gamma(double n)
{
    return n * KC_U / (1 - n * KC_U);
}

static float extreme(kc_context *x, double huge)
{
    float sign = kc_random(x) & 1 ? -1.0f : 1.0f;
    switch (kc_below(x, 6)) {
    case 0: return sign * 0.0f;
    case 1: return sign * 0x1p-149f * (float)(1 + kc_below(x, 1 << 22));
    case 2: return sign * 0x1p-126f;
    case 3: return (float)(1e-25 * kc_normal(x));
    case 4: return sign * (float)huge;
    default: return (float)kc_normal(x);
    }
}

static float nonfinite(kc_context *x)
{
    switch (kc_below(x, 40)) {
    case 0: return (float)NAN;
    case 1: return (float)INFINITY;
    case 2: return -(float)INFINITY;
    default: return (float)kc_normal(x);
    }
}

void kc_fill_f32(kc_context *x, float *v, int64_t n, kc_dist dist, double huge)
{
    for (int64_t i = 0; i < n; i++) {
        switch (dist) {
        case KC_DIST_INTEGER: v[i] = (float)(kc_below(x, 31) - 15); break;
        case KC_DIST_UNIFORM: v[i] = (float)kc_uniform(x); break;
        case KC_DIST_CANCEL: v[i] = i & 1 ? -v[i - 1] + (float)kc_uniform(x) : (float)(1e4 * kc_normal(x)); break;
        case KC_DIST_EXTREME: v[i] = extreme(x, huge); break;
        case KC_DIST_NONFINITE: v[i] = nonfinite(x); break;
        case KC_DIST_NORMAL:
        case KC_DIST_COUNT: v[i] = (float)kc_normal(x); break;
        }
    }
}

float *kc_f32_rows(kc_context *x, int64_t n_rows, int64_t k, size_t rs, kc_dist dist, double huge)
{
    uint8_t *rows = kc_alloc(x, (size_t)n_rows * rs);
    memset(rows, 0xff, (size_t)n_rows * rs);
    for (int64_t r = 0; r < n_rows; r++)
        kc_fill_f32(x, (float *)(void *)(rows + (size_t)r * rs), k, dist, huge);
    return (float *)(void *)rows;
}
