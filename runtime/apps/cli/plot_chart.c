/* SPDX-License-Identifier: Apache-2.0
 *
 * KL over bits: frame, curves, legend, and labels where they hide nothing. */
#include "plot_parts.h"
#include "plot_scale.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEFT   76.0
#define RIGHT  (PLOT_WIDTH - 28.0)
#define TOP    66.0
#define BOTTOM (PLOT_CHART_HEIGHT - 52.0)

enum { MOST_TAKEN = 4096, MOST_LABELS = 300, MOST_DOTS = 600, MOST_IN_LEGEND = 16 };

typedef struct box {
    double x0, y0, x1, y1;
} box;

typedef struct canvas {
    svg *s;
    plot_axis x, y;
    box *taken; /* [MOST_TAKEN] what labels keep away from */
    int n_taken, n_labels;
} canvas;

static const char *const colours[] = {"#1f6fb2", "#d1495b", "#2e8b57", "#8256a8",
                                      "#c98a00", "#00838f", "#7a5c43", "#5f6b7a"};

static const char *colour_of(uint64_t curve)
{
    return colours[curve % (sizeof colours / sizeof *colours)];
}

static svg_shape shape_of(uint64_t curve)
{
    return (svg_shape)(curve % SVG_SHAPES);
}

static int is_shown(const plot_point *p)
{
    const double most_bits = 1e4, most_kl = 1e6;
    return p->bits >= 0 && p->bits <= most_bits && p->kl >= 0 && p->kl <= most_kl;
}

/* ---- axes ---- */

typedef struct range {
    double lo, hi;
} range;

static void widen(range *r, double value)
{
    r->lo = fmin(r->lo, value);
    r->hi = fmax(r->hi, value);
}

static void take_in(const plot_point *p, range *bits, range *kl)
{
    const double smallest = 1e-12;
    if (!is_shown(p))
        return;
    widen(bits, p->bits);
    if (p->kl >= smallest)
        widen(kl, p->kl);
}

static void set_axes(canvas *c, const plot_chart *chart)
{
    const double deepest = 1e5, margin = 0.05, least_span = 0.1;
    range bits = {HUGE_VAL, -HUGE_VAL}, kl = {HUGE_VAL, -HUGE_VAL};
    for (uint64_t i = 0; i < chart->n_curves; i++)
        for (uint64_t k = 0; k < chart->curves[i].n_points; k++)
            take_in(&chart->curves[i].points[k], &bits, &kl);
    if (chart->chosen)
        take_in(chart->chosen, &bits, &kl);
    if (bits.lo > bits.hi)
        bits = (range){3, 9};
    if (kl.lo > kl.hi)
        kl = (range){1e-3, 1};
    kl.lo = fmax(kl.lo, kl.hi / deepest);
    double pad = fmax(margin * (bits.hi - bits.lo), (least_span - (bits.hi - bits.lo)) / 2);
    double ratio = fmax(pow(kl.hi / kl.lo, margin), sqrt(fmax(1, 2 / (kl.hi / kl.lo))));
    c->x = (plot_axis){fmax(0, bits.lo - pad), bits.hi + pad, LEFT, RIGHT, 0};
    c->y = (plot_axis){kl.lo / ratio, kl.hi * ratio, BOTTOM, TOP, 1};
}

static void draw_frame(const canvas *c, const plot_chart *chart)
{
    plot_tick ticks[PLOT_TICKS];
    svg_text(c->s, "title", "start", LEFT - 52, 28, chart->title);
    svg_text(c->s, "note", "start", LEFT - 52, 47, chart->note);
    int n = plot_ticks(&c->x, ticks);
    for (int i = 0; i < n; i++) {
        double x = plot_pixel(&c->x, ticks[i].value);
        svg_line(c->s, "grid", x, TOP, x, BOTTOM);
        svg_text(c->s, "tick", "middle", x, BOTTOM + 17, ticks[i].text.text);
    }
    n = plot_ticks(&c->y, ticks);
    for (int i = 0; i < n; i++) {
        double y = plot_pixel(&c->y, ticks[i].value);
        svg_line(c->s, "grid", LEFT, y, RIGHT, y);
        svg_text(c->s, "tick", "end", LEFT - 7, y + 4, ticks[i].text.text);
    }
    svg_line(c->s, "axis", LEFT, BOTTOM, RIGHT, BOTTOM);
    svg_line(c->s, "axis", LEFT, TOP, LEFT, BOTTOM);
    svg_text(c->s, "note", "middle", (LEFT + RIGHT) / 2, BOTTOM + 38, "bits per weight");
    svg_text_upwards(c->s, "note", LEFT - 54, (TOP + BOTTOM) / 2, "mean KL divergence");
}

/* ---- labels ---- */

static void take(canvas *c, box b)
{
    if (c->n_taken < MOST_TAKEN)
        c->taken[c->n_taken++] = b;
}

static void take_around(canvas *c, const plot_point *p, double radius)
{
    double x = plot_pixel(&c->x, p->bits), y = plot_pixel(&c->y, p->kl);
    take(c, (box){x - radius, y - radius, x + radius, y + radius});
}

static int is_free(const canvas *c, box b)
{
    if (b.x0 < LEFT || b.x1 > RIGHT || b.y0 < TOP - 14 || b.y1 > BOTTOM)
        return 0;
    for (int i = 0; i < c->n_taken; i++) {
        const box *t = &c->taken[i];
        if (b.x0 < t->x1 && b.x1 > t->x0 && b.y0 < t->y1 && b.y1 > t->y0)
            return 0;
    }
    return 1;
}

/* About as wide as a sans-serif font of 11 pixels sets it. */
static double width_of(const char *text)
{
    const double advance = 6.4;
    double n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return advance * n;
}

/* Right, left, above and below of the point, near and then farther; the first place that is free, else the first.
 */
static void draw_label(canvas *c, const char *class, const plot_point *p, const char *text)
{
    static const double sides[][2] = {{1, 0}, {1, -1}, {1, 1}, {-1, 0}, {-1, -1}, {-1, 1}, {0, -1}, {0, 1}};
    enum { SIDES = sizeof sides / sizeof *sides, PLACES = 5 * SIDES };
    const double height = 13, away = 9;
    double x = plot_pixel(&c->x, p->bits), y = plot_pixel(&c->y, p->kl), width = width_of(text);
    box first = {0}, found = {0};
    int is_found = 0;
    if (c->n_labels++ >= MOST_LABELS)
        return;
    for (int i = 0; i < PLACES && !is_found; i++) {
        const double *side = sides[i % SIDES], distance = away * (1 + i / SIDES);
        double left = x + side[0] * distance - width * (1 - side[0]) / 2;
        double upper = y + side[1] * (distance + height / 2) - height / 2;
        found = (box){left, upper, left + width, upper + height};
        if (i == 0)
            first = found;
        is_found = is_free(c, found);
    }
    found = is_found ? found : first;
    take(c, found);
    svg_text(c->s, class, "start", found.x0, found.y1 - 3, text);
}

/* ---- curves ---- */

/* Keeps labels off a line, every few pixels of it. */
static void take_segment(canvas *c, double x0, double y0, double x1, double y1)
{
    const double spacing = 8, radius = 3;
    int n = (int)(hypot(x1 - x0, y1 - y0) / spacing);
    for (int i = 1; i <= n; i++) {
        double x = x0 + (x1 - x0) * i / (n + 1), y = y0 + (y1 - y0) * i / (n + 1);
        take(c, (box){x - radius, y - radius, x + radius, y + radius});
    }
}

static void draw_line(canvas *c, const plot_curve *curve, const char *colour)
{
    double x = 0, y = 0;
    int n = 0;
    svg_path_start(c->s, colour);
    for (uint64_t i = 0; i < curve->n_points; i++) {
        const plot_point *p = &curve->points[i];
        if (!is_shown(p))
            continue;
        double next_x = plot_pixel(&c->x, p->bits), next_y = plot_pixel(&c->y, p->kl);
        svg_path_to(c->s, next_x, next_y);
        if (n++)
            take_segment(c, x, y, next_x, next_y);
        x = next_x;
        y = next_y;
    }
    svg_path_end(c->s);
}

static void tell_point(char *out, size_t size, const char *name, const plot_point *p)
{
    snprintf(out, size, "%.100s%s%s bits per weight, KL %s", name ? name : "", name ? ": " : "",
             plot_fixed(p->bits, 3).text, plot_significant(p->kl).text);
}

static void draw_curve(canvas *c, const plot_curve *curve, uint64_t index)
{
    const char *colour = colour_of(index);
    const double radius = curve->is_line ? 2.5 : 5;
    if (curve->is_line)
        draw_line(c, curve, colour);
    for (uint64_t i = 0; i < curve->n_points; i++) {
        const plot_point *p = &curve->points[i];
        if (!is_shown(p))
            continue;
        take_around(c, p, radius + 2);
        if (curve->is_line && curve->n_points > MOST_DOTS)
            continue;
        char tooltip[256];
        tell_point(tooltip, sizeof tooltip, p->label ? p->label : curve->name, p);
        svg_mark(c->s, curve->is_line ? SVG_CIRCLE : shape_of(index), colour, plot_pixel(&c->x, p->bits),
                 plot_pixel(&c->y, p->kl), radius, tooltip);
    }
}

static void draw_chosen(canvas *c, const plot_point *p)
{
    if (!p || !is_shown(p))
        return;
    char text[256], tooltip[256];
    double x = plot_pixel(&c->x, p->bits), y = plot_pixel(&c->y, p->kl);
    snprintf(text, sizeof text, "%.100s%s%s bits, KL %s", p->label ? p->label : "", p->label ? ": " : "",
             plot_fixed(p->bits, 2).text, plot_significant(p->kl).text);
    tell_point(tooltip, sizeof tooltip, p->label, p);
    svg_line(c->s, "guide", x, y, x, BOTTOM);
    svg_line(c->s, "guide", LEFT, y, x, y);
    svg_mark(c->s, SVG_CIRCLE, "#e4572e", x, y, 7, tooltip);
    take_around(c, p, 9);
    draw_label(c, "strong", p, text);
}

static void draw_legend(canvas *c, const plot_chart *chart)
{
    const double row = 18;
    double y = TOP + 16, width = 0;
    uint64_t n = chart->n_curves < MOST_IN_LEGEND ? chart->n_curves : MOST_IN_LEGEND;
    for (uint64_t i = 0; i < n; i++)
        width = chart->curves[i].name ? fmax(width, width_of(chart->curves[i].name)) : width;
    double x = fmax(LEFT, RIGHT - width - 34);
    for (uint64_t i = 0; i < n; i++) {
        const plot_curve *curve = &chart->curves[i];
        if (!curve->name)
            continue;
        if (curve->is_line)
            svg_rect(c->s, colour_of(i), x, y - 5, 16, 2, NULL);
        else
            svg_mark(c->s, shape_of(i), colour_of(i), x + 8, y - 4, 5, NULL);
        svg_text(c->s, "label", "start", x + 22, y, curve->name);
        take(c, (box){x, y - row / 2 - 4, RIGHT, y + 4});
        y += row;
    }
}

int plot_draw_chart(svg *s, const plot_chart *chart)
{
    canvas c = {.s = s, .taken = calloc(MOST_TAKEN, sizeof *c.taken)};
    if (!c.taken)
        return 0;
    set_axes(&c, chart);
    draw_frame(&c, chart);
    draw_legend(&c, chart);
    for (uint64_t i = 0; i < chart->n_curves; i++)
        draw_curve(&c, &chart->curves[i], i);
    draw_chosen(&c, chart->chosen);
    for (uint64_t i = 0; i < chart->n_curves; i++)
        for (uint64_t k = 0; k < chart->curves[i].n_points; k++) {
            const plot_point *p = &chart->curves[i].points[k];
            if (p->label && is_shown(p))
                draw_label(&c, "label", p, p->label);
        }
    free(c.taken);
    return 1;
}
