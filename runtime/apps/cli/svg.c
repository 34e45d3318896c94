/* SPDX-License-Identifier: Apache-2.0
 *
 * SVG written by hand: numbers come from integers, so no locale takes part. */
#define _GNU_SOURCE
#include "svg.h"

#include "utf8_length.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char style[] = "text{font-family:sans-serif;font-size:12px;fill:#333}"
                            ".title{font-size:16px;font-weight:bold;fill:#111}"
                            ".heading{font-size:14px;font-weight:bold;fill:#111}"
                            ".note{fill:#666}"
                            ".tick{font-size:11px;fill:#555}"
                            ".label{font-size:11px;fill:#222;paint-order:stroke;stroke:#fff;stroke-width:3px}"
                            ".strong{font-size:12px;font-weight:bold;fill:#b3400f;paint-order:stroke;stroke:#fff;"
                            "stroke-width:3px}"
                            ".grid{stroke:#e4e4e4;stroke-width:1}"
                            ".axis{stroke:#777;stroke-width:1}"
                            ".guide{stroke:#b3400f;stroke-width:1;stroke-dasharray:3 3}";

/* A number as text, at most two decimals, none that are zero. */
typedef struct number {
    char text[32];
} number;

static number num(double value)
{
    const double largest = 1e12;
    number n;
    double clamped = isnan(value) ? 0 : fmax(-largest, fmin(largest, value));
    long long hundredths = llround(fabs(clamped) * 100);
    const char *sign = clamped < 0 && hundredths ? "-" : "";
    if (hundredths % 100 == 0)
        snprintf(n.text, sizeof n.text, "%s%lld", sign, hundredths / 100);
    else if (hundredths % 10 == 0)
        snprintf(n.text, sizeof n.text, "%s%lld.%lld", sign, hundredths / 100, hundredths % 100 / 10);
    else
        snprintf(n.text, sizeof n.text, "%s%lld.%02lld", sign, hundredths / 100, hundredths % 100);
    return n;
}

/* U+FFFE and U+FFFF are characters of UTF-8 but not of XML. */
static int is_xml(const char *at, size_t len)
{
    unsigned char c = (unsigned char)at[0];
    if (len == 1)
        return c >= 0x20 || c == '\t' || c == '\n';
    return len > 0 && !(len == 3 && memcmp(at, "\xef\xbf", 2) == 0 && (unsigned char)at[2] >= 0xbe);
}

static void escaped(FILE *out, const char *text)
{
    uint64_t left = strlen(text);
    while (left > 0) {
        size_t len = utf8_length((const unsigned char *)text, left);
        if (!is_xml(text, len))
            fputs("\xef\xbf\xbd", out);
        else if (*text == '&')
            fputs("&amp;", out);
        else if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '>')
            fputs("&gt;", out);
        else
            fwrite(text, 1, len, out);
        len = len ? len : 1;
        text += len;
        left -= len;
    }
}

svg *svg_create(double width, double height, const char *title)
{
    svg *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->out = open_memstream(&s->text, &s->len);
    if (!s->out) {
        free(s);
        return NULL;
    }
    fprintf(s->out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%s\" height=\"%s\" viewBox=\"0 0 %s %s\">\n<title>",
            num(width).text, num(height).text, num(width).text, num(height).text);
    escaped(s->out, title);
    fprintf(s->out, "</title>\n<style>%s</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            style);
    return s;
}

char *svg_finish(svg *s, uint64_t *len)
{
    fputs("</svg>\n", s->out);
    int failed = ferror(s->out);
    failed |= fclose(s->out) != 0;
    char *text = s->text;
    *len = s->len;
    free(s);
    if (failed) {
        free(text);
        return NULL;
    }
    return text;
}

void svg_line(svg *s, const char *class, double x1, double y1, double x2, double y2)
{
    fprintf(s->out, "<line class=\"%s\" x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\"/>\n", class, num(x1).text,
            num(y1).text, num(x2).text, num(y2).text);
}

void svg_text(svg *s, const char *class, const char *anchor, double x, double y, const char *text)
{
    fprintf(s->out, "<text class=\"%s\" text-anchor=\"%s\" x=\"%s\" y=\"%s\">", class, anchor, num(x).text,
            num(y).text);
    escaped(s->out, text);
    fputs("</text>\n", s->out);
}

void svg_text_upwards(svg *s, const char *class, double x, double y, const char *text)
{
    fprintf(s->out, "<text class=\"%s\" text-anchor=\"middle\" transform=\"translate(%s %s) rotate(-90)\">", class,
            num(x).text, num(y).text);
    escaped(s->out, text);
    fputs("</text>\n", s->out);
}

/* Ends an element that has its attributes. */
static void end_element(svg *s, const char *name, const char *tooltip)
{
    if (!tooltip) {
        fputs("/>\n", s->out);
        return;
    }
    fputs("><title>", s->out);
    escaped(s->out, tooltip);
    fprintf(s->out, "</title></%s>\n", name);
}

void svg_rect(svg *s, const char *colour, double x, double y, double width, double height, const char *tooltip)
{
    fprintf(s->out, "<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\" fill=\"%s\"", num(x).text, num(y).text,
            num(width).text, num(height).text, colour);
    end_element(s, "rect", tooltip);
}

void svg_mark(svg *s, svg_shape shape, const char *colour, double x, double y, double radius, const char *tooltip)
{
    const char *name = shape == SVG_CIRCLE ? "circle" : "path";
    const double r = radius;
    if (shape == SVG_CIRCLE)
        fprintf(s->out, "<circle cx=\"%s\" cy=\"%s\" r=\"%s\"", num(x).text, num(y).text, num(r).text);
    else if (shape == SVG_SQUARE)
        fprintf(s->out, "<path d=\"M%s %sh%sv%sh%sz\"", num(x - 0.9 * r).text, num(y - 0.9 * r).text,
                num(1.8 * r).text, num(1.8 * r).text, num(-1.8 * r).text);
    else if (shape == SVG_DIAMOND)
        fprintf(s->out, "<path d=\"M%s %sl%s %sl%s %sl%s %sz\"", num(x).text, num(y - 1.25 * r).text,
                num(1.25 * r).text, num(1.25 * r).text, num(-1.25 * r).text, num(1.25 * r).text,
                num(-1.25 * r).text, num(-1.25 * r).text);
    else
        fprintf(s->out, "<path d=\"M%s %sl%s %sh%sz\"", num(x).text, num(y - 1.2 * r).text, num(1.2 * r).text,
                num(2.1 * r).text, num(-2.4 * r).text);
    fprintf(s->out, " fill=\"%s\" stroke=\"#fff\"", colour);
    end_element(s, name, tooltip);
}

void svg_path_start(svg *s, const char *colour)
{
    fprintf(s->out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-linejoin=\"round\" points=\"",
            colour);
}

void svg_path_to(svg *s, double x, double y)
{
    fprintf(s->out, "%s,%s ", num(x).text, num(y).text);
}

void svg_path_end(svg *s)
{
    fputs("\"/>\n", s->out);
}
