/* SPDX-License-Identifier: Apache-2.0
 *
 * What q35rt compare found, as text or as one JSON object. Positions count from 0. */
#include "compare.h"

#include "json_out.h"

#include <inttypes.h>
#include <string.h>

/* Layers whose rows have other bits, or (beyond) are outside the tolerance: the first, COMPARE_NONE: none. */
static uint64_t first_layer(const comparison *c, int beyond)
{
    for (uint32_t l = 0; l < c->n_layers; l++)
        if ((beyond ? c->layers[l].beyond_at : c->layers[l].differs_at) != COMPARE_NONE)
            return l;
    return COMPARE_NONE;
}

static uint64_t n_differences(const comparison *c)
{
    uint64_t n = c->logits.values.n_differ;
    for (uint32_t l = 0; l < c->n_layers; l++)
        n += c->layers[l].n_differ;
    return n;
}

/* "identical", "within_tolerance", "differs" */
static const char *verdict(const comparison *c)
{
    if (n_differences(c) == 0)
        return "identical";
    return compare_differs(c) ? "differs" : "within_tolerance";
}

static void print_side(const char *name, const compare_side *side)
{
    printf("%s  ", name);
    cli_print_safe(stdout, side->path, strlen(side->path));
    printf(" (");
    if (!side->engine.model)
        printf("logits");
    else if (side->devices)
        cli_print_safe(stdout, side->devices, strlen(side->devices));
    else
        printf("all devices");
    printf(")\n");
}

static void print_values(const char *name, const compare_values *v)
{
    char differs[24] = "-", beyond[24] = "-";
    if (v->differs_at != COMPARE_NONE)
        snprintf(differs, sizeof differs, "%" PRIu64, v->differs_at);
    if (v->beyond_at != COMPARE_NONE)
        snprintf(beyond, sizeof beyond, "%" PRIu64, v->beyond_at);
    printf("%-9s %9" PRIu64 " of %-9" PRIu64 " %9.3g %9.3g %10" PRIu64 " %7s %7s\n", name, v->n_differ, v->n,
           v->most, compare_relative(v), v->ulp, differs, beyond);
}

static void print_table(const comparison *c)
{
    char name[16];
    printf("\n%-9s %22s  %9s %9s %10s %7s %7s\n", "", "values with other bits", "largest", "relative", "most ULP",
           "first", "beyond");
    for (uint32_t l = 0; l < c->n_layers; l++) {
        snprintf(name, sizeof name, "blk.%" PRIu32, l);
        print_values(name, &c->layers[l]);
    }
    print_values("logits", &c->logits.values);
    printf("\n");
}

static void print_point(const char *what, const compare_point *p)
{
    if (p->position == COMPARE_NONE)
        printf("%s none\n", what);
    else
        printf("%s position %" PRIu64 ": A %" PRIu32 ", %.6g ahead of the second; B %" PRIu32 ", %.6g\n", what,
               p->position, p->top[0], p->margin[0], p->top[1], p->margin[1]);
}

static void print_layers(const comparison *c)
{
    uint64_t differs = first_layer(c, 0), beyond = first_layer(c, 1);
    if (differs == COMPARE_NONE)
        printf("first layer that differs  none\n");
    else
        printf("first layer that differs  blk.%" PRIu64 " at position %" PRIu64 "\n", differs,
               c->layers[differs].differs_at);
    if (beyond == COMPARE_NONE)
        printf("first beyond tolerance    none\n");
    else
        printf("first beyond tolerance    blk.%" PRIu64 " at position %" PRIu64 "\n", beyond,
               c->layers[beyond].beyond_at);
}

static void print_text(const comparison *c)
{
    const compare_logits *l = &c->logits;
    double tolerance = (double)c->options->tolerance;
    print_side("A", &c->side[0]);
    print_side("B", &c->side[1]);
    printf("%" PRIu64 " tokens, vocabulary of %" PRIu32 ", tolerance %g of the RMS\n", c->n_ids, c->vocab,
           tolerance);
    print_table(c);
    if (c->n_layers)
        print_layers(c);
    print_point("logits beyond tolerance  ", &l->beyond);
    print_point("first other top token    ", &l->other_top);
    printf("same top token            %" PRIu64 " of %" PRIu64 "\n", l->same_top, l->n_rows);
    printf("KL(A || B)                mean %.6g, at most %.6g at position %" PRIu64 "\n\n",
           l->kl_sum / (double)l->n_rows, l->kl_most, l->kl_most_at);
    uint64_t n = n_differences(c);
    printf("%" PRIu64 " differences%s\n", n,
           n == 0               ? ""
           : compare_differs(c) ? ", some beyond the tolerance"
                                : ", all within the tolerance");
}

static json_t *position_or_null(uint64_t position)
{
    return position == COMPARE_NONE ? json_null() : json_integer((json_int_t)position);
}

static json_t *json_side(const compare_side *side)
{
    return json_pack("{s:o, s:b, s:o}", "file", json_text(side->path), "logits_file", side->engine.model == NULL,
                     "devices", side->devices ? json_text(side->devices) : json_null());
}

static json_t *json_values(const compare_values *v)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:I, s:o, s:o}", "values", (json_int_t)v->n, "differ",
                     (json_int_t)v->n_differ, "max_difference", json_number(v->most), "relative_rms",
                     json_number(compare_relative(v)), "max_ulp", (json_int_t)v->ulp, "first_differs",
                     position_or_null(v->differs_at), "first_beyond", position_or_null(v->beyond_at));
}

static json_t *json_point(const compare_point *p)
{
    if (p->position == COMPARE_NONE)
        return json_null();
    return json_pack("{s:I, s:[I, I], s:[f, f]}", "position", (json_int_t)p->position, "top",
                     (json_int_t)p->top[0], (json_int_t)p->top[1], "margin", p->margin[0], p->margin[1]);
}

static int print_json(const comparison *c)
{
    const compare_logits *l = &c->logits;
    json_t *out =
        json_pack("{s:s, s:o, s:o, s:I, s:I, s:f, s:I, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "verdict", verdict(c),
                  "a", json_side(&c->side[0]), "b", json_side(&c->side[1]), "tokens", (json_int_t)c->n_ids,
                  "vocabulary", (json_int_t)c->vocab, "tolerance", (double)c->options->tolerance, "differences",
                  (json_int_t)n_differences(c), "logits", json_values(&l->values), "logits_beyond",
                  json_point(&l->beyond), "other_top", json_point(&l->other_top), "same_top",
                  (json_int_t)l->same_top, "kl_mean", json_number(l->kl_sum / (double)l->n_rows), "kl_max",
                  json_number(l->kl_most), "kl_max_position", position_or_null(l->kl_most_at));
    if (out && c->n_layers) {
        json_t *layers = json_array();
        for (uint32_t i = 0; i < c->n_layers; i++)
            json_array_append_new(layers, json_values(&c->layers[i]));
        json_object_set_new(out, "layers", layers);
        json_object_set_new(out, "first_layer_differs", position_or_null(first_layer(c, 0)));
        json_object_set_new(out, "first_layer_beyond", position_or_null(first_layer(c, 1)));
    }
    return json_out(out);
}

int compare_report(const comparison *c)
{
    if (c->options->json)
        return print_json(c);
    print_text(c);
    return cli_write_out("", 0); /* what does not get out is trouble, not a difference */
}
