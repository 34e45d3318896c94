/* SPDX-License-Identifier: Apache-2.0
 *
 * Plots put together and written. */
#include "plot.h"

#include "cli.h"
#include "out_file.h"
#include "plot_parts.h"

#include <stdlib.h>

static char *draw(const plot_chart *chart, const plan_row *rows, uint64_t n, uint64_t *len)
{
    double map = rows ? plot_map_height(rows, n) : 0;
    svg *s = svg_create(PLOT_WIDTH, PLOT_CHART_HEIGHT + map, chart->title);
    if (!s)
        return NULL;
    int drawn = plot_draw_chart(s, chart);
    if (rows)
        plot_draw_map(s, PLOT_CHART_HEIGHT, rows, n);
    char *text = svg_finish(s, len);
    if (drawn)
        return text;
    free(text);
    return NULL;
}

char *plot_series(const plot_chart *chart, uint64_t *len)
{
    return draw(chart, NULL, 0, len);
}

char *plot_frontier(const plot_chart *chart, const plan_tensor *tensors, uint64_t n, uint64_t *len)
{
    plan_row *rows = plan_rows(tensors, n);
    char *text = rows ? draw(chart, rows, n, len) : NULL;
    free(rows);
    return text;
}

int plot_write(const char *path, char *text, uint64_t len)
{
    out_file *file;
    if (!text)
        return cli_fail(CLI_EXIT_NOFIT, "plot %s: out of memory", path);
    int rc = out_file_create("plot", path, &file);
    if (rc == 0) {
        rc = out_file_write(file, text, len);
        if (rc == 0)
            rc = out_file_commit(file);
        else
            out_file_discard(file);
    }
    free(text);
    return rc;
}
