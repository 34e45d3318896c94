/* SPDX-License-Identifier: Apache-2.0
 *
 * Mutants of the template: L0, three ops on f32. */
#define _GNU_SOURCE
#include "mutant.h"

#define q35_plugin_query template_query
#undef Q35_PLUGIN_EXPORT
#define Q35_PLUGIN_EXPORT static
#include "plugins/template/template.c"
#undef q35_plugin_query

#include <fcntl.h>
#include <fenv.h>
#include <pthread.h>
#include <q35rt/measure.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef MUTANT_lying_note
#define MUTANT_VERSION "9.9"
#else
#define MUTANT_VERSION "1.0"
#endif
#ifndef MUTANT_no_note
NOTE(MUTANT_VERSION, Q35_NF_UNLOADABLE);
#endif

/* ---- the file */

#ifdef MUTANT_extra_symbol
__attribute__((visibility("default"))) int template_helper(void);

int template_helper(void)
{
    return 1;
}
#endif

#ifdef MUTANT_undefined_symbol
extern const char *q35_error_message(void) __attribute__((weak));
#endif

/* ---- description */

static q35_status mutant_enumerate(uint32_t *out_n)
{
    *out_n = IS(no_device) || IS(silent_without_device) ? 0 : 1;
    if (IS(no_device))
        host->log(2, "template: libdriver.so.1 not found");
    return Q35_OK;
}

static q35_status mutant_device_info(uint32_t i, q35_device_info *out)
{
    static int calls;
    q35_status status = device_info(IS(wrong_range) ? 0 : IS(no_device) ? 1 : i, out);
    if (status == Q35_OK && IS(impure_info))
        out->name[0] = (char)('a' + calls++ % 26);
    if (status == Q35_OK && IS(past_hdr_size)) /* without a look at the size */
        out->peak_mw = 1;
    return status;
}

static q35_status mutant_memory_info(uint32_t i, uint32_t m, q35_memory_info *out)
{
    q35_status status = memory_info(IS(no_device) ? 1 : i, m, out);
    if (status == Q35_OK && IS(more_available_than_there_is) && Q35_HAS_FIELD(out, q35_memory_info, available)) {
        out->capacity = 1 << 20;
        out->available = 2 << 20;
    }
    return status;
}

/* ---- device */

static void *sleep_forever(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void change_the_process(void)
{
    static pthread_t thread;
    if (IS(leaks_file))
        (void)!open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (IS(leaks_thread))
        pthread_create(&thread, NULL, sleep_forever, NULL);
    if (IS(prints))
        printf("template: hello\n");
    if (IS(changes_fpu_mode))
        fesetround(FE_TOWARDZERO);
    if (IS(changes_signals))
        signal(SIGUSR1, SIG_IGN);
    if (IS(changes_environment))
        setenv("TEMPLATE_WAS_HERE", "1", 1);
    if (IS(changes_directory))
        (void)!chdir("/");
}

static q35_status mutant_device_open(uint32_t i, const q35_open_options *options, q35_device **out)
{
    q35_open_options fewer = *options;
    change_the_process();
    if (IS(no_device))
        return host->fail(Q35_E_RANGE, "template: there is no device");
    if (IS(takes_any_option))
        fewer.n_options = 0;
    if (IS(ignores_alloc_failure)) {
        q35_device *dev = host->alloc(sizeof *dev, 64, -1);
        dev->pool = options->pool;
        *out = dev;
        return Q35_OK;
    }
    q35_status status = device_open(i, &fewer, out);
    return status == Q35_E_NOMEM && IS(wrong_status) ? host->fail(Q35_E_INVALID, "template: no device") : status;
}

/* ---- support */

static q35_status mutant_op_support(q35_device *dev, const q35_region *region, q35_support *out)
{
    static uint64_t calls;
    q35_region copy = *region;
    q35_node node = *region->nodes[0];
    const q35_node *nodes[1] = {&node};
    q35_norm_params params;
    if (IS(ignores_params) && region->n_nodes == 1 && node.op == Q35_OP_RMS_NORM && node.params &&
        node.params->size > sizeof params) {
        memcpy(&params, node.params, sizeof params);
        params.h.size = sizeof params;
        node.params = &params.h;
        copy.nodes = nodes;
        return op_support(dev, &copy, out);
    }
    q35_status status = op_support(dev, region, out);
    if (IS(lying_yes) && region->nodes[0]->op == Q35_OP_MUL)
        out->ok = 1;
    if (IS(no_reason) && Q35_HAS_FIELD(out, q35_support, reason))
        out->reason[0] = '\0';
    if (IS(unstable_answer) && Q35_HAS_FIELD(out, q35_support, scratch_bytes))
        out->scratch_bytes = calls++ % 7;
    return status;
}

/* ---- plans */

/* What one mutant borrows longer than it may. */
static struct {
    const q35_plan *plan;
    const q35_tensor_desc *tensors;
    const q35_binding *bindings;
} borrowed;

static q35_status mutant_plan_compile(q35_device *dev, const q35_region *region, q35_plan **out)
{
    if (IS(exits))
        exit(3);
    q35_status status;
    if (IS(ignores_params)) { /* compiles what its op_support takes */
        q35_support s = {.h = {sizeof s, Q35_STRUCT_SUPPORT, NULL}};
        mutant_op_support(dev, region, &s);
        q35_node node = *region->nodes[0];
        const q35_node *nodes[1] = {&node};
        q35_norm_params params;
        q35_region copy = *region;
        if (s.ok && node.op == Q35_OP_RMS_NORM) {
            memcpy(&params, node.params, sizeof params);
            params.h.size = sizeof params;
            node.params = &params.h;
            copy.nodes = nodes;
            return plan_compile(dev, &copy, out);
        }
    }
    status = plan_compile(dev, region, out);
    if (status != Q35_OK)
        return status;
    q35_plan *plan = *out;
    for (uint32_t i = 0; i < plan->n_tensors && IS(wrong_stride); i++)
        plan->tensors[i].stride[1] = plan->tensors[i].dim[0] * 4;
    for (uint32_t i = 0; i < plan->n_jobs && IS(off_by_one); i++)
        if (plan->tensors[plan->jobs[i].y].dim[0] > 1)
            plan->tensors[plan->jobs[i].y].dim[0]--;
    if (IS(leaks_memory))
        lose(host->alloc(32, 64, -1));
    if (IS(leaks_heap))
        lose(malloc(200));
    if (IS(keeps_region))
        borrowed.tensors = region->tensors;
    return Q35_OK;
}

static q35_status mutant_plan_bind(q35_plan *plan, const q35_binding *bindings)
{
    borrowed.bindings = bindings;
    return plan_bind(plan, bindings);
}

/* ---- runs */

static uint32_t counting, counted; /* runs, for profile_read */

static void spoil_element(float *y, uint64_t row, uint64_t n_rows, uint64_t n_workers)
{
    uint32_t bits;
    if (IS(rounds_to_bf16)) {
        memcpy(&bits, y, sizeof bits);
        bits &= 0xffff0000u;
        memcpy(y, &bits, sizeof bits);
    }
    if (IS(nan_is_zero) && *y != *y)
        *y = 0;
    /* One unit in the last place is within every bound but ADD's. */
    if ((IS(depends_on_threads) && n_workers == 3) || (IS(depends_on_rows) && row + 1 == n_rows)) {
        memcpy(&bits, y, sizeof bits);
        bits ^= (bits & 0x7f800000u) != 0x7f800000u && (bits & 0x7f800000u) != 0;
        memcpy(y, &bits, sizeof bits);
    }
}

static void spoil_job(const q35_plan *plan, const job *j)
{
    const uint64_t n_rows = valid_rows(plan, j->a), n = (uint64_t)plan->tensors[j->y].dim[0];
    for (uint64_t row = 0; row < n_rows && (j->op != Q35_OP_ADD || IS(nan_is_zero) || IS(rounds_to_bf16)); row++)
        for (uint64_t k = 0; k < n; k++)
            spoil_element(row_at(plan, j->y, row) + k, row, n_rows, host->pool_size(plan->dev->pool));
    if (IS(past_n_tokens) && (int64_t)n_rows < plan->tensors[j->y].dim[1])
        row_at(plan, j->y, n_rows)[0] = 1;
    if (IS(past_the_end))
        row_at(plan, j->y, (uint64_t)plan->tensors[j->y].dim[1] - 1)[n] = 1;
    if (IS(modifies_input) && n_rows > 0)
        row_at(plan, j->a, 0)[0] = 1;
}

static void spoil_worker(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    (void)arg, (void)n_workers, (void)team;
    if (worker > 0)
        fesetround(FE_UPWARD);
}

static q35_status mutant_plan_run(q35_plan *plan)
{
    counted += counting;
    if (IS(aborts))
        abort();
    while (IS(hangs))
        sleep(1);
    volatile int *volatile nowhere = NULL;
    if (IS(crashes))
        *nowhere = 1;
    if (IS(allocates_in_run))
        host->free(host->alloc(64, 64, -1));
    if (IS(changes_fpu_mode_of_worker))
        host->parallel(plan->dev->pool, spoil_worker, NULL);
    if (IS(keeps_region))
        memcpy(plan->tensors, borrowed.tensors, plan->n_tensors * sizeof *plan->tensors);
    if (IS(keeps_bindings))
        memcpy(plan->bindings, borrowed.bindings, plan->n_tensors * sizeof *plan->bindings);
    q35_status status = plan_run(plan);
    for (uint32_t i = 0; i < plan->n_jobs; i++)
        spoil_job(plan, &plan->jobs[i]);
    return status;
}

/* ---- what the template leaves out */

static q35_status mutant_op_cost(q35_device *dev, const q35_region *region, q35_cost *out)
{
    q35_support s = {.h = {sizeof s, Q35_STRUCT_SUPPORT, NULL}};
    (void)mutant_op_support(dev, region, &s);
    if (!s.ok)
        return host->fail(Q35_E_UNSUPPORTED, "template: no such region");
    const uint64_t rows = (uint64_t)region->tensors[region->nodes[0]->in[0]].dim[1];
    const q35_cost cost = {.h = {sizeof cost, Q35_STRUCT_COST, NULL},
                           .ns = IS(cost_falls) ? 1000000 / rows : 1000 * rows,
                           .confidence_pct = IS(cost_too_sure) ? 101 : 10};
    answer(&out->h, &cost.h);
    return Q35_OK;
}

static q35_status mutant_limit(q35_device *dev, uint32_t i, uint32_t ms, q35_limit *out)
{
    const q35_limit limit = {
        .h = {sizeof limit, Q35_STRUCT_LIMIT, NULL}, .kind = Q35_LIMIT_READ, .name = "reads", .per_second = 1};
    (void)dev, (void)ms;
    if (i > 0 && !IS(endless_limits))
        return host->fail(Q35_E_RANGE, "template: one limit");
    answer(&out->h, &limit.h);
    return Q35_OK;
}

static q35_status mutant_profile(q35_plan *plan, uint32_t on)
{
    (void)plan;
    counting = on;
    counted = 0;
    return Q35_OK;
}

static q35_status mutant_profile_read(q35_plan *plan, q35_profile *out)
{
    (void)plan;
    if (!counting)
        return host->fail(Q35_E_INVALID, "template: nothing is counted");
    memset(out->node_ns, 0, out->n_nodes * sizeof *out->node_ns);
    out->runs = IS(forgets_runs) ? 1 : counted;
    out->run_ns = 1000 * (uint64_t)counted;
    out->barriers = out->barrier_ns = 0;
    return Q35_OK;
}

static const q35_hdr *mutant_extension(uint32_t type)
{
    static const q35_measure measure = {.h = {sizeof measure, Q35_STRUCT_MEASURE, NULL},
                                        .limit = mutant_limit,
                                        .profile = mutant_profile,
                                        .profile_read = mutant_profile_read};
    return type == Q35_STRUCT_MEASURE ? &measure.h : NULL;
}

Q35_PLUGIN_QUERY_EXPORT q35_status q35_plugin_query(const q35_host *h, const q35_plugin **out);

q35_status q35_plugin_query(const q35_host *h, const q35_plugin **out)
{
    static q35_plugin mutated;
    q35_status status = template_query(h, out);
    if (status != Q35_OK)
        return status;
#ifdef MUTANT_undefined_symbol
    if (q35_error_message)
        return host->fail(Q35_E_INTERNAL, q35_error_message());
#endif
    mutated = table;
    mutated.id = "mutant";
    mutated.enumerate = mutant_enumerate;
    mutated.device_info = mutant_device_info;
    mutated.memory_info = mutant_memory_info;
    mutated.device_open = mutant_device_open;
    mutated.op_support = mutant_op_support;
    mutated.plan_compile = mutant_plan_compile;
    mutated.plan_bind = mutant_plan_bind;
    mutated.plan_run = mutant_plan_run;
    mutated.op_cost = mutant_op_cost;
    mutated.extension = mutant_extension;
    if (IS(null_slot))
        mutated.plan_bind = NULL;
    *out = &mutated;
    return Q35_OK;
}
