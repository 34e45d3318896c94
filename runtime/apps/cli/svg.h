/* SPDX-License-Identifier: Apache-2.0
 *
 * A picture in SVG 1.1: the few shapes that plots are made of, in memory. Coordinates in pixels from the upper
 * left corner, written with two decimals; text is escaped, and what is not XML in it becomes U+FFFD. The same
 * calls make the same bytes. Classes are those of the style sheet in svg.c. */
#ifndef Q35_CLI_SVG_H
#define Q35_CLI_SVG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct svg {
    FILE *out;
    char *text;
    size_t len;
} svg;

typedef enum svg_shape { SVG_CIRCLE, SVG_SQUARE, SVG_DIAMOND, SVG_TRIANGLE, SVG_SHAPES } svg_shape;

/* title: of the document. NULL: out of memory. */
svg *svg_create(double width, double height, const char *title);
/* The document, free(); NULL: out of memory. Frees the picture. */
char *svg_finish(svg *s, uint64_t *len);

void svg_line(svg *s, const char *class, double x1, double y1, double x2, double y2);
/* anchor: "start", "middle" or "end". */
void svg_text(svg *s, const char *class, const char *anchor, double x, double y, const char *text);
/* As svg_text, upwards. */
void svg_text_upwards(svg *s, const char *class, double x, double y, const char *text);
/* tooltip may be NULL; also below. */
void svg_rect(svg *s, const char *colour, double x, double y, double width, double height, const char *tooltip);
void svg_mark(svg *s, svg_shape shape, const char *colour, double x, double y, double radius, const char *tooltip);

/* A line through points: start, then svg_path_to for each, then end. */
void svg_path_start(svg *s, const char *colour);
void svg_path_to(svg *s, double x, double y);
void svg_path_end(svg *s);

#endif
