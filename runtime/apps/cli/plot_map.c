/* SPDX-License-Identifier: Apache-2.0
 *
 * The type of every tensor as a field of cells: a row per kind, a column per layer; a tensor of the whole model
 * fills its row. Types with more bits are darker. */
#include "plot_parts.h"
#include "plot_scale.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LEAST_LEFT  110.0
#define MOST_LEFT   280.0
#define RIGHT       150.0 /* beside the field */
#define WIDEST_CELL 26.0
#define ROW         21.0
#define HEAD        58.0 /* above the rows: heading and layers */
#define LEGEND_ROW  20.0

enum { MOST_TYPES = 10 };

typedef struct map_type {
    const char *name;
    double bits;
    uint64_t tensors, weights;
} map_type;

typedef struct field {
    map_type types[MOST_TYPES]; /* by bits */
    int n_types;
    int64_t layers;
    uint64_t kinds, weights;
    double left, cell, width;
} field;

static const char *colour_of(const field *f, int type)
{
    static const char *const ramp[MOST_TYPES] = {"#f7e3a1", "#cfe2a0", "#9fd3a8", "#6fc2ae", "#45a9b4",
                                                 "#2f8cb3", "#2a6ea9", "#2c5197", "#2f367d", "#2a1f5c"};
    return type < 0 ? "#bbb" : f->n_types == 1 ? ramp[4] : ramp[type * (MOST_TYPES - 1) / (f->n_types - 1)];
}

static int type_of(const field *f, const char *name)
{
    for (int i = 0; i < f->n_types; i++)
        if (strcmp(f->types[i].name, name) == 0)
            return i;
    return -1;
}

static void add_type(field *f, const plan_row *row)
{
    int i = type_of(f, row->tensor->type);
    if (i < 0 && f->n_types < MOST_TYPES) {
        for (i = f->n_types++; i > 0 && f->types[i - 1].bits > row->type_bits; i--)
            f->types[i] = f->types[i - 1];
        f->types[i] = (map_type){row->tensor->type, row->type_bits, 0, 0};
    }
    if (i < 0)
        return;
    f->types[i].tensors++;
    f->types[i].weights += row->tensor->weights;
}

static field measure(const plan_row *rows, uint64_t n)
{
    const double advance = 6.6;
    field f = {.left = LEAST_LEFT};
    for (uint64_t i = 0; i < n; i++) {
        add_type(&f, &rows[i]);
        f.kinds += i == 0 || strcmp(rows[i].place.kind, rows[i - 1].place.kind) != 0;
        f.layers = rows[i].place.layer >= f.layers ? rows[i].place.layer + 1 : f.layers;
        f.weights += rows[i].tensor->weights;
        f.left = fmax(f.left, fmin(MOST_LEFT, 32 + advance * (double)strlen(rows[i].place.kind)));
    }
    const double field_width = PLOT_WIDTH - f.left - RIGHT;
    f.cell = f.layers ? fmin(WIDEST_CELL, field_width / (double)f.layers) : 0;
    f.width = f.layers ? f.cell * (double)f.layers : field_width / 2;
    return f;
}

double plot_map_height(const plan_row *rows, uint64_t n)
{
    field f = measure(rows, n);
    return HEAD + ROW * (double)f.kinds + 22 + LEGEND_ROW * f.n_types + 16;
}

static const char *kl_text(double value, plot_number *out)
{
    *out = isfinite(value) && value >= 0 ? plot_significant(fmin(value, 1e14)) : (plot_number){"?"};
    return out->text;
}

static void draw_tensor(svg *s, const field *f, double y, const plan_row *row)
{
    const plan_tensor *t = row->tensor;
    plot_number alone, here;
    char tooltip[512];
    double gap = f->cell > 5 ? 1 : 0;
    int whole = row->place.layer == PLAN_NO_LAYER;
    snprintf(tooltip, sizeof tooltip,
             "%.200s\n%.60s, %s bits per weight, %s M weights\nKL %s, in the smallest type %s", t->name, t->type,
             plot_fixed(fmin(plan_bits(t->bytes, t->weights), 1e6), 3).text,
             plot_significant((double)t->weights / 1e6).text, kl_text(t->expected, &here),
             kl_text(t->sensitivity, &alone));
    svg_rect(s, colour_of(f, type_of(f, t->type)), f->left + (whole ? 0 : f->cell * (double)row->place.layer), y,
             (whole ? f->width : f->cell) - gap, ROW - 2, tooltip);
}

/* Sums of a kind at the right of its row. */
static void draw_sums(svg *s, const field *f, double y, const plan_row *rows, uint64_t n)
{
    uint64_t bytes = 0, weights = 0;
    double kl = 0;
    plot_number text;
    for (uint64_t i = 0; i < n; i++) {
        bytes += rows[i].tensor->bytes;
        weights += rows[i].tensor->weights;
        kl += rows[i].tensor->expected;
    }
    text = plot_fixed(fmin(plan_bits(bytes, weights), 1e6), 2);
    svg_text(s, "tick", "end", f->left + f->width + 46, y, text.text);
    svg_text(s, "tick", "end", f->left + f->width + 120, y, kl_text(kl, &text));
}

static void draw_head(svg *s, const field *f, double top)
{
    svg_text(s, "heading", "start", 24, top + 18, "Type of every tensor");
    svg_text(s, "tick", "end", f->left + f->width + 46, top + HEAD - 8, "bits");
    svg_text(s, "tick", "end", f->left + f->width + 120, top + HEAD - 8, "KL");
    if (f->layers == 0)
        return;
    svg_text(s, "tick", "end", f->left - 8, top + HEAD - 8, "layer");
    int64_t stride = (int64_t)fmax(1, plot_step((double)f->layers, (int)fmax(1, fmin(f->width / 26, 100))));
    for (int64_t i = 0; i < f->layers; i += stride)
        svg_text(s, "tick", "middle", f->left + f->cell * ((double)i + 0.5), top + HEAD - 8,
                 plot_fixed((double)i, 0).text);
}

static void draw_legend(svg *s, const field *f, double top)
{
    for (int i = 0; i < f->n_types; i++) {
        const map_type *type = &f->types[i];
        char text[200];
        double y = top + LEGEND_ROW * i;
        snprintf(text, sizeof text, "%.60s: %s bits, %" PRIu64 " tensor%s, %s %% of the weights", type->name,
                 plot_fixed(fmin(type->bits, 1e6), 2).text, type->tensors, type->tensors == 1 ? "" : "s",
                 plot_fixed(f->weights ? 100 * (double)type->weights / (double)f->weights : 0, 1).text);
        svg_rect(s, colour_of(f, i), f->left, y, 16, 14, NULL);
        svg_text(s, "note", "start", f->left + 24, y + 11, text);
    }
}

void plot_draw_map(svg *s, double top, const plan_row *rows, uint64_t n)
{
    field f = measure(rows, n);
    double y = top + HEAD;
    draw_head(s, &f, top);
    for (uint64_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && strcmp(rows[end].place.kind, rows[i].place.kind) == 0; end++)
            draw_tensor(s, &f, y, &rows[end]);
        svg_text(s, "tick", "end", f.left - 8, y + 14, rows[i].place.kind);
        draw_sums(s, &f, y + 14, rows + i, end - i);
        y += ROW;
    }
    draw_legend(s, &f, y + 16);
}
