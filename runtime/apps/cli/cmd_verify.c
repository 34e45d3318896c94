/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt verify: checksums, codes and certificates of a 3.5-bit file, one line per tensor. Exit code 1 when any
 * fails. */
#include "commands.h"
#include "engine.h"
#include "json_out.h"

#include <inttypes.h>
#include <string.h>

typedef struct verification {
    const cli_options *options;
    json_t *tensors; /* with --json */
    uint64_t n, bad;
} verification;

static void on_tensor(void *user, const q35_verify_report *r)
{
    verification *v = user;
    v->n++;
    v->bad += !r->ok;
    if (v->tensors) {
        json_array_append_new(v->tensors, json_pack("{s:o, s:b, s:o, s:o, s:o, s:o}", "name", json_text(r->tensor),
                                                    "ok", r->ok, "problem", json_text(r->problem), "max_error",
                                                    json_number(r->max_error), "relative_error",
                                                    json_number(r->relative_error), "output_bound",
                                                    json_number(r->output_bound)));
        return;
    }
    if (!r->ok)
        printf("%-32s FAILED: %s\n", r->tensor, r->problem);
    else if (!v->options->quiet)
        printf("%-32s ok, max error %.3e, relative error %.5f, output error at most %.3e for |x| <= 1\n",
               r->tensor, r->max_error, r->relative_error, r->output_bound);
}

static int report(verification *v, q35_status status)
{
    const char *file = v->options->args[0];
    int passed = status == Q35_OK && v->bad == 0 && v->n > 0;
    if (v->tensors) {
        int rc = json_out(json_pack("{s:o, s:b, s:I, s:I, s:O}", "file", json_text(file), "ok", passed, "checked",
                                    (json_int_t)v->n, "failed", (json_int_t)v->bad, "tensors", v->tensors));
        if (rc)
            return rc;
    } else if (passed) {
        printf("%s: %" PRIu64 " tensors ok\n", file, v->n);
    }
    if (status != Q35_OK && status != Q35_E_FORMAT)
        return cli_fail_status(status, CLI_WHILE_RUNNING);
    if (status == Q35_OK && v->n == 0)
        return cli_fail(CLI_EXIT_FAILED, "%s: 0 tensors of 3.5 bits found, at least 1 needed", file);
    if (!passed)
        return cli_fail(CLI_EXIT_FAILED, "%s", q35_error_message());
    return 0;
}

int cmd_verify(const cli_options *options)
{
    verification v = {.options = options};
    q35_model *file = NULL, *source = NULL;
    q35_runtime *runtime = NULL;
    int rc = 0;
    cli_signals_default();
    q35_status status = q35_model_open(options->args[0], &file);
    if (status == Q35_OK && options->against)
        status = q35_model_open(options->against, &source);
    if (status != Q35_OK)
        rc = cli_fail_status(status, CLI_WHILE_OPENING_MODEL);
    if (rc == 0)
        rc = cli_open_runtime(options, &runtime);
    if (rc == 0) {
        v.tensors = options->json ? json_array() : NULL;
        rc = report(&v, q35_verify(runtime, file, source, on_tensor, &v));
    }
    json_decref(v.tensors);
    q35_runtime_destroy(runtime);
    q35_model_close(source);
    q35_model_close(file);
    return rc;
}
