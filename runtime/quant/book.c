/* SPDX-License-Identifier: Apache-2.0
 *
 * Weighted k-means: k-means++ seeding (Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding",
 * 2007, section 2.2), then Lloyd's iteration. Points are float during training and rounded once at the end, the
 * largest coordinate to +-127. Nearest points are found in parallel, sums are formed by the caller in sample
 * order. */
#include "runtime/quant/book.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/pool.h"
#include "runtime/quant/random.h"

#include <math.h>
#include <stdlib.h>

#define ITERATIONS 40

typedef struct training {
    const float *x, *w; /* [n][2] */
    uint64_t n;
    q35i_points points;
    uint8_t *codes; /* nearest point of each pair */
    double *gap;    /* seeding: weighted distance to the nearest point chosen so far */
} training;

void q35i_book_set(q35i_book *book, const int8_t (*points)[2], float unit)
{
    int least = INT32_MAX;
    memcpy(book->points, points, sizeof book->points);
    book->unit = unit;
    for (int c = 0; c < Q35_BOOK_POINTS; c++) {
        int norm = points[c][0] * points[c][0] + points[c][1] * points[c][1];
        if (norm < least) {
            least = norm;
            book->zero = (uint8_t)c;
        }
    }
    q35i_code_points_set(&book->search, points);
}

static double distance(const training *t, uint64_t i, int c)
{
    double d0 = (double)t->x[2 * i] - (double)t->points.even[c],
           d1 = (double)t->x[2 * i + 1] - (double)t->points.odd[c];
    return (double)t->w[2 * i] * d0 * d0 + (double)t->w[2 * i + 1] * d1 * d1;
}

static void place(training *t, int c, uint64_t i)
{
    t->points.even[c] = t->x[2 * i];
    t->points.odd[c] = t->x[2 * i + 1];
}

/* Each next point is a sample drawn with a chance proportional to its distance from the points so far. */
static void seed_points(training *t, uint64_t seed)
{
    uint64_t rng = seed;
    place(t, 0, q35i_random_below(&rng, t->n));
    for (uint64_t i = 0; i < t->n; i++)
        t->gap[i] = distance(t, i, 0);
    for (int c = 1; c < Q35_BOOK_POINTS; c++) {
        double total = 0, sum = 0;
        for (uint64_t i = 0; i < t->n; i++)
            total += t->gap[i];
        double mark = q35i_random_unit(&rng) * total;
        uint64_t pick = 0;
        while (pick + 1 < t->n && (sum += t->gap[pick]) <= mark)
            pick++;
        place(t, c, pick);
        for (uint64_t i = 0; i < t->n; i++)
            t->gap[i] = fmin(t->gap[i], distance(t, i, c));
    }
}

static void assign_part(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    training *t = arg;
    uint64_t begin, end;
    (void)team;
    q35i_split(t->n, 1, worker, n_workers, &begin, &end);
    if (begin < end) /* no pairs at all: x and w may be NULL */
        q35i_nearest(&t->points, t->x + 2 * begin, t->w + 2 * begin, end - begin, t->codes + begin);
}

/* Moves each point to the weighted mean of the pairs nearest to it; a point without pairs stays. */
static void move_points(training *t)
{
    double sum[Q35_BOOK_POINTS][2] = {{0}}, mass[Q35_BOOK_POINTS][2] = {{0}};
    for (uint64_t i = 0; i < t->n; i++) {
        unsigned c = t->codes[i];
        for (unsigned k = 0; k < 2; k++) {
            sum[c][k] += (double)t->w[2 * i + k] * (double)t->x[2 * i + k];
            mass[c][k] += (double)t->w[2 * i + k];
        }
    }
    for (int c = 0; c < Q35_BOOK_POINTS; c++) {
        if (mass[c][0] > 0)
            t->points.even[c] = (float)(sum[c][0] / mass[c][0]);
        if (mass[c][1] > 0)
            t->points.odd[c] = (float)(sum[c][1] / mass[c][1]);
    }
}

static int by_coordinates(const void *a, const void *b)
{
    const int8_t *p = a, *q = b;
    return p[0] != q[0] ? p[0] - q[0] : p[1] - q[1];
}

static void round_points(const q35i_points *points, q35i_book *out)
{
    int8_t rounded[Q35_BOOK_POINTS][2];
    float top = 0;
    for (int c = 0; c < Q35_BOOK_POINTS; c++)
        top = fmaxf(top, fmaxf(fabsf(points->even[c]), fabsf(points->odd[c])));
    float unit = top > 0 ? top / 127 : 1;
    for (int c = 0; c < Q35_BOOK_POINTS; c++) {
        rounded[c][0] = (int8_t)lrintf(points->even[c] / unit);
        rounded[c][1] = (int8_t)lrintf(points->odd[c] / unit);
    }
    qsort(rounded, Q35_BOOK_POINTS, sizeof rounded[0], by_coordinates);
    q35i_book_set(out, (const int8_t(*)[2])rounded, unit);
}

q35_status q35i_book_train(const float *pairs, const float *weights, uint64_t n, uint64_t seed, q35_pool *pool,
                           q35i_book *out)
{
    q35_status status = Q35_OK;
    training t = {.x = pairs, .w = weights, .n = n};
    static const int8_t zeros[Q35_BOOK_POINTS][2];
    q35i_points_set(&t.points, zeros, Q35_BOOK_POINTS);
    t.codes = q35i_calloc(n, sizeof *t.codes);
    t.gap = q35i_calloc(n, sizeof *t.gap);
    Q35_CHECK_ALLOC_GOTO(t.codes, out);
    Q35_CHECK_ALLOC_GOTO(t.gap, out);
    if (n > 0)
        seed_points(&t, seed);
    for (int i = 0; i < ITERATIONS; i++) {
        if (pool)
            q35i_pool_parallel(pool, assign_part, &t);
        else
            assign_part(&t, 0, 1, NULL);
        move_points(&t);
    }
    round_points(&t.points, out);
out:
    q35i_free(t.codes);
    q35i_free(t.gap);
    return status;
}
