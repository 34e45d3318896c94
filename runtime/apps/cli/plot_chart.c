/* SPDX-License-Identifier: Apache-2.0
 *
 * Frame, curves, legend, and labels where they hide nothing. */
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
    const plot_style *style;
    double right; /* end of the x axis */
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

static const plot_style kl_over_bits = {.x_name = "bits per weight",
                                        .y_name = "mean KL divergence",
                                        .x_unit = "bits per weight",
                                        .y_before = "KL ",
                                        .y_after = "",
                                        .y_is_log = 1,
                                        .most_x = 1e4,
                                        .most_y = 1e6};

static int is_shown(const plot_style *style, const plot_point *p)
{
    return p->x >= 0 && p->x <= style->most_x && p->y >= 0 && p->y <= style->most_y;
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

static void take_in(const plot_style *style, const plot_point *p, range *x, range *y)
{
    const double smallest = 1e-12;
    if (!is_shown(style, p))
        return;
    if (!style->x_is_log || p->x >= smallest)
        widen(x, p->x);
    if (p->y >= smallest)
        widen(y, p->y);
}

/* Ends of a logarithmic axis; reaches down to 1e-5 of the largest value. */
static void set_log(plot_axis *axis, range r)
{
    const double deepest = 1e5, margin = 0.05;
    r.lo = fmax(r.lo, r.hi / deepest);
    double ratio = fmax(pow(r.hi / r.lo, margin), sqrt(fmax(1, 2 / (r.hi / r.lo))));
    axis->lo = r.lo / ratio;
    axis->hi = r.hi * ratio;
    axis->is_log = 1;
}

static void set_axes(canvas *c, const plot_chart *chart)
{
    const double margin = 0.05, least_span = 0.1;
    range x = {HUGE_VAL, -HUGE_VAL}, y = {HUGE_VAL, -HUGE_VAL};
    for (uint64_t i = 0; i < chart->n_curves; i++)
        for (uint64_t k = 0; k < chart->curves[i].n_points; k++)
            take_in(c->style, &chart->curves[i].points[k], &x, &y);
    if (chart->chosen)
        take_in(c->style, chart->chosen, &x, &y);
    if (x.lo > x.hi)
        x = (range){3, 9};
    if (y.lo > y.hi)
        y = (range){1e-3, 1};
    double pad = fmax(margin * (x.hi - x.lo), (least_span - (x.hi - x.lo)) / 2);
    c->x = (plot_axis){fmax(0, x.lo - pad), x.hi + pad, LEFT, c->right, 0, c->style->x_is_whole};
    c->y = (plot_axis){0, y.hi * (1 + margin), BOTTOM, TOP, 0, 0};
    if (c->style->x_is_log)
        set_log(&c->x, x);
    if (c->style->y_is_log)
        set_log(&c->y, y);
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
        svg_line(c->s, "grid", LEFT, y, c->right, y);
        svg_text(c->s, "tick", "end", LEFT - 7, y + 4, ticks[i].text.text);
    }
    svg_line(c->s, "axis", LEFT, BOTTOM, c->right, BOTTOM);
    svg_line(c->s, "axis", LEFT, TOP, LEFT, BOTTOM);
    svg_text(c->s, "note", "middle", (LEFT + c->right) / 2, BOTTOM + 38, c->style->x_name);
    svg_text_upwards(c->s, "note", LEFT - 54, (TOP + BOTTOM) / 2, c->style->y_name);
}

/* ---- labels ---- */

static void take(canvas *c, box b)
{
    if (c->n_taken < MOST_TAKEN)
        c->taken[c->n_taken++] = b;
}

static void take_around(canvas *c, const plot_point *p, double radius)
{
    double x = plot_pixel(&c->x, p->x), y = plot_pixel(&c->y, p->y);
    take(c, (box){x - radius, y - radius, x + radius, y + radius});
}

static int is_free(const canvas *c, box b)
{
    if (b.x0 < LEFT || b.x1 > c->right || b.y0 < TOP - 14 || b.y1 > BOTTOM)
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
    double x = plot_pixel(&c->x, p->x), y = plot_pixel(&c->y, p->y), width = width_of(text);
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
        if (!is_shown(c->style, p))
            continue;
        double next_x = plot_pixel(&c->x, p->x), next_y = plot_pixel(&c->y, p->y);
        svg_path_to(c->s, next_x, next_y);
        if (n++)
            take_segment(c, x, y, next_x, next_y);
        x = next_x;
        y = next_y;
    }
    svg_path_end(c->s);
}

static void tell_point(char *out, size_t size, const plot_style *style, const char *name, const plot_point *p)
{
    int one = style->x_is_whole && p->x == 1, unit = (int)strlen(style->x_unit) - one;
    snprintf(out, size, "%.100s%s%s %.*s, %s%s%s", name ? name : "", name ? ": " : "",
             plot_fixed(p->x, style->x_is_whole ? 0 : 3).text, unit, style->x_unit, style->y_before,
             plot_significant(p->y).text, style->y_after);
}

static void draw_curve(canvas *c, const plot_curve *curve, uint64_t index)
{
    const char *colour = colour_of(index);
    const double radius = curve->is_line ? 2.5 : 5;
    if (curve->is_line)
        draw_line(c, curve, colour);
    for (uint64_t i = 0; i < curve->n_points; i++) {
        const plot_point *p = &curve->points[i];
        if (!is_shown(c->style, p))
            continue;
        take_around(c, p, radius + 2);
        if (curve->is_line && curve->n_points > MOST_DOTS)
            continue;
        char tooltip[256];
        tell_point(tooltip, sizeof tooltip, c->style, p->label ? p->label : curve->name, p);
        svg_mark(c->s, curve->is_line ? SVG_CIRCLE : shape_of(index), colour, plot_pixel(&c->x, p->x),
                 plot_pixel(&c->y, p->y), radius, tooltip);
    }
}

static void draw_chosen(canvas *c, const plot_point *p)
{
    if (!p || !is_shown(c->style, p))
        return;
    char text[256], tooltip[256];
    double x = plot_pixel(&c->x, p->x), y = plot_pixel(&c->y, p->y);
    snprintf(text, sizeof text, "%.100s%s%s bits, KL %s", p->label ? p->label : "", p->label ? ": " : "",
             plot_fixed(p->x, 2).text, plot_significant(p->y).text);
    tell_point(tooltip, sizeof tooltip, c->style, p->label, p);
    svg_line(c->s, "guide", x, y, x, BOTTOM);
    svg_line(c->s, "guide", LEFT, y, x, y);
    svg_mark(c->s, SVG_CIRCLE, "#e4572e", x, y, 7, tooltip);
    take_around(c, p, 9);
    draw_label(c, "strong", p, text);
}

static uint64_t n_in_legend(const plot_chart *chart)
{
    return chart->n_curves < MOST_IN_LEGEND ? chart->n_curves : MOST_IN_LEGEND;
}

static double legend_width(const plot_chart *chart)
{
    double width = 0;
    for (uint64_t i = 0; i < n_in_legend(chart); i++)
        width = chart->curves[i].name ? fmax(width, width_of(chart->curves[i].name)) : width;
    return width + 34;
}

static void draw_legend(canvas *c, const plot_chart *chart)
{
    const double row = 18;
    double y = TOP + 16;
    uint64_t n = n_in_legend(chart);
    double x = c->style->legend_beside ? c->right + 16 : fmax(LEFT, c->right - legend_width(chart));
    for (uint64_t i = 0; i < n; i++) {
        const plot_curve *curve = &chart->curves[i];
        if (!curve->name)
            continue;
        if (curve->is_line)
            svg_rect(c->s, colour_of(i), x, y - 5, 16, 2, NULL);
        else
            svg_mark(c->s, shape_of(i), colour_of(i), x + 8, y - 4, 5, NULL);
        svg_text(c->s, "label", "start", x + 22, y, curve->name);
        take(c, (box){x, y - row / 2 - 4, c->right, y + 4});
        y += row;
    }
}

int plot_draw_chart(svg *s, const plot_chart *chart)
{
    canvas c = {.s = s,
                .style = chart->style ? chart->style : &kl_over_bits,
                .taken = calloc(MOST_TAKEN, sizeof *c.taken)};
    if (!c.taken)
        return 0;
    c.right = c.style->legend_beside ? fmax((LEFT + RIGHT) / 2, RIGHT - legend_width(chart)) : RIGHT;
    set_axes(&c, chart);
    draw_frame(&c, chart);
    draw_legend(&c, chart);
    for (uint64_t i = 0; i < chart->n_curves; i++)
        draw_curve(&c, &chart->curves[i], i);
    draw_chosen(&c, chart->chosen);
    for (uint64_t i = 0; i < chart->n_curves; i++)
        for (uint64_t k = 0; k < chart->curves[i].n_points; k++) {
            const plot_point *p = &chart->curves[i].points[k];
            if (p->label && is_shown(c.style, p))
                draw_label(&c, "label", p, p->label);
        }
    free(c.taken);
    return 1;
}
