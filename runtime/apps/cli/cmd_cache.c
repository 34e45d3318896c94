/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt cache: the packed weights on disk, listed and deleted. */
#define _GNU_SOURCE
#include "commands.h"
#include "engine.h"
#include "json_out.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const state_names[] = {"verified", "unverified", "stale", "damaged", "unfinished"};

/* What was found or removed. */
typedef struct totals {
    uint64_t n, bytes, busy_bytes;
} totals;

static void count(totals *t, const q35_cache_file *f)
{
    t->n++;
    t->bytes += f->bytes;
    t->busy_bytes += f->busy ? f->bytes : 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* --model names the file by its path, its name, or what its path leads to. */
static int is_of_model(const q35_cache_file *f, const char *model)
{
    char *path = realpath(model, NULL);
    int same = strcmp(f->model, path ? path : model) == 0 || strcmp(base_name(f->model), model) == 0;
    free(path);
    return same;
}

static int is_wanted(const cli_options *options, const q35_cache_file *f)
{
    const int64_t day = 86400;
    if (options->model && !is_of_model(f, options->model))
        return 0;
    return options->older == 0 || (int64_t)time(NULL) - f->used >= day * (int64_t)options->older;
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* ---- list */

static const char *shown_model(const q35_cache_file *f)
{
    return *f->model ? base_name(f->model) : "?";
}

static void print_file(const q35_cache_file *f, int width)
{
    char used[32] = "?";
    time_t seconds = (time_t)f->used;
    struct tm local;
    if (localtime_r(&seconds, &local))
        strftime(used, sizeof used, "%Y-%m-%d %H:%M", &local);
    const char *model = shown_model(f);
    cli_print_safe(stdout, model, strlen(model));
    printf("%*s  %-10s %10.1f MiB  %s  %s%s", width - (int)strlen(model), "", *f->device ? f->device : "?",
           mib(f->bytes), used, state_names[f->state], f->busy ? ", in use" : "");
    if (*f->why) {
        printf(": ");
        cli_print_safe(stdout, f->why, strlen(f->why));
    }
    putchar('\n');
}

static json_t *json_file(const q35_cache_file *f)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:s, s:o, s:b}", "path", json_text(f->path), "model",
                     json_text(f->model), "device", json_text(f->device), "plugin", json_text(f->plugin),
                     "version", json_text(f->version), "bytes", (json_int_t)f->bytes, "last_used",
                     (json_int_t)f->used, "state", state_names[f->state], "why", json_text(f->why), "in_use",
                     f->busy);
}

static int list(const cli_options *options, const q35_cache *cache)
{
    totals all = {0};
    size_t width = 0;
    q35_cache_file f;
    json_t *files = json_array();
    for (int pass = 0; pass < 2; pass++) {
        for (uint64_t i = 0; i < q35_cache_n_files(cache); i++) {
            q35_cache_file_at(cache, i, &f);
            if (!is_wanted(options, &f))
                continue;
            if (pass == 0) {
                count(&all, &f);
                width = strlen(shown_model(&f)) > width ? strlen(shown_model(&f)) : width;
                json_array_append_new(files, json_file(&f));
            } else if (!options->json) {
                print_file(&f, (int)width);
            }
        }
    }
    if (options->json)
        return json_out(json_pack("{s:o, s:I, s:o}", "folder", json_text(q35_cache_folder(cache)), "bytes",
                                  (json_int_t)all.bytes, "files", files));
    json_decref(files);
    printf("%" PRIu64 " file%s, %.1f MiB in ", all.n, plural(all.n), mib(all.bytes));
    cli_print_safe(stdout, q35_cache_folder(cache), strlen(q35_cache_folder(cache)));
    putchar('\n');
    return 0;
}

/* ---- clear */

static int clear(const cli_options *options, q35_cache *cache)
{
    totals gone = {0};
    q35_cache_file f;
    int rc = 0;
    for (uint64_t i = 0; i < q35_cache_n_files(cache); i++) {
        q35_cache_file_at(cache, i, &f);
        if (!is_wanted(options, &f))
            continue;
        if (q35_cache_remove(cache, i) == Q35_OK)
            count(&gone, &f);
        else
            rc = cli_fail(CLI_EXIT_FAILED, "%s", q35_error_message());
    }
    if (options->json) {
        int out = json_out(json_pack("{s:I, s:I, s:I}", "removed", (json_int_t)gone.n, "bytes",
                                     (json_int_t)gone.bytes, "bytes_in_use", (json_int_t)gone.busy_bytes));
        return rc ? rc : out;
    }
    printf("%" PRIu64 " file%s removed, %.1f MiB freed\n", gone.n, plural(gone.n),
           mib(gone.bytes - gone.busy_bytes));
    if (gone.busy_bytes)
        printf("%.1f MiB more become free when the processes that use them end\n", mib(gone.busy_bytes));
    return rc;
}

int cmd_cache(const cli_options *options)
{
    q35_runtime *runtime = NULL;
    q35_cache *cache = NULL;
    const char *action = options->args[0];
    if (strcmp(action, "list") != 0 && strcmp(action, "clear") != 0)
        return cli_fail(CLI_EXIT_USAGE, "cache: '%s' found, list or clear needed", action);
    int rc = cli_open_runtime(options, &runtime);
    if (rc == 0 && q35_cache_open(runtime, options->verify, &cache) != Q35_OK)
        rc = cli_fail(CLI_EXIT_FAILED, "%s", q35_error_message());
    if (rc == 0)
        rc = strcmp(action, "list") == 0 ? list(options, cache) : clear(options, cache);
    q35_cache_close(cache);
    q35_runtime_destroy(runtime);
    return rc;
}
