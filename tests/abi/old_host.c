/* SPDX-License-Identifier: Apache-2.0
 *
 * A host built against the header of a released minor: it loads a plugin of today, asks and runs it with the
 * structs and the table as they were then, and adds two rows with it. Extensions that it does not know are not
 * asked for. old_host PLUGIN... ; exit code 0 when all of them did. */
#define _GNU_SOURCE
#include <q35rt/plugin.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char why[512] = "no reason";

static void host_log(int32_t level, const char *msg)
{
    (void)level, (void)msg;
}

static q35_status host_fail(q35_status code, const char *msg)
{
    snprintf(why, sizeof why, "%s", msg);
    return code;
}

static void *host_alloc(uint64_t bytes, uint64_t align, int32_t numa)
{
    void *p = NULL;
    (void)numa;
    return posix_memalign(&p, align < sizeof p ? sizeof p : align, bytes) == 0 ? p : NULL;
}

static uint32_t host_pool_size(const q35_pool *pool)
{
    (void)pool;
    return 1;
}

static void host_parallel(q35_pool *pool, void (*fn)(void *arg, uint32_t worker, uint32_t n, q35_team *team),
                          void *arg)
{
    (void)pool;
    fn(arg, 0, 1, NULL);
}

static void host_barrier(q35_team *team)
{
    (void)team;
}

static uint64_t host_now(void)
{
    return 0;
}

static const q35_host table = {.h = {sizeof table, Q35_STRUCT_HOST, NULL},
                               .abi_major = Q35_ABI_MAJOR,
                               .abi_minor = Q35_ABI_MINOR,
                               .log = host_log,
                               .fail = host_fail,
                               .alloc = host_alloc,
                               .free = free,
                               .pool_size = host_pool_size,
                               .parallel = host_parallel,
                               .barrier = host_barrier,
                               .now_ns = host_now};

enum { COLS = 40 };

#define NEED(call)                                                                                                \
    do {                                                                                                          \
        if ((call) != Q35_OK) {                                                                                   \
            printf("%s: %s: %s\n", path, #call, why);                                                             \
            return 1;                                                                                             \
        }                                                                                                         \
    } while (0)

/* Memory behind a struct of then that a plugin of today must not touch. */
typedef struct guarded_info {
    q35_device_info info;
    unsigned char guard[64];
} guarded_info;

static int run_addition(const char *path, const q35_plugin *api, q35_device *dev)
{
    const q35_tensor_desc row = {.dtype = Q35_DT_F32,
                                 .rank = 2,
                                 .dim = {COLS, 1, 1, 1},
                                 .stride = {4, COLS * 4, COLS * 4, COLS * 4},
                                 .flags = Q35_TF_TOKEN_ROWS};
    const q35_tensor_desc tensors[] = {
        row, row, row, {.dtype = Q35_DT_I32, .rank = 1, .dim = {8, 1, 1, 1}, .stride = {4, 32, 32, 32}}};
    const uint32_t roles[] = {Q35_ROLE_INPUT, Q35_ROLE_INPUT, Q35_ROLE_OUTPUT, Q35_ROLE_STEP}, in[] = {0, 1},
                   out[] = {2};
    const q35_node node = {
        .h = {sizeof node, Q35_STRUCT_NODE, NULL}, .op = Q35_OP_ADD, .n_in = 2, .n_out = 1, .in = in, .out = out};
    const q35_node *const nodes[] = {&node};
    const q35_region region = {.h = {sizeof region, Q35_STRUCT_REGION, NULL},
                               .n_tensors = 4,
                               .n_nodes = 1,
                               .tensors = tensors,
                               .roles = roles,
                               .nodes = nodes,
                               .step = 3};
    q35_support support = {.h = {sizeof support, Q35_STRUCT_SUPPORT, NULL}};
    q35_step step = {.n_tokens = 1, .n_out = 1, .n_sequences = 1};
    q35_plan *plan;
    float *data = host_alloc(3 * COLS * sizeof *data + 256, 64, -1), *a = data, *b = data + 48, *y = data + 96;
    if (!data)
        return 1;
    for (int i = 0; i < COLS; i++) {
        a[i] = (float)i;
        b[i] = 0.5f;
        y[i] = -1.0f;
    }
    const q35_binding bindings[] = {{.host = a, .bytes = COLS * 4},
                                    {.host = b, .bytes = COLS * 4},
                                    {.host = y, .bytes = COLS * 4},
                                    {.host = &step, .bytes = sizeof step}};
    NEED(api->op_support(dev, &region, &support));
    if (!support.ok) {
        printf("%s: addition: %s\n", path, support.reason);
        return 1;
    }
    NEED(api->plan_compile(dev, &region, &plan));
    NEED(api->plan_bind(plan, bindings));
    NEED(api->plan_run(plan));
    int wrong = 0;
    for (int i = 0; i < COLS; i++)
        wrong += y[i] != (float)i + 0.5f;
    if (wrong)
        printf("%s: addition: %d of %d wrong\n", path, wrong, COLS);
    api->plan_free(plan);
    free(data);
    return wrong != 0;
}

static int try_plugin(const char *path)
{
    q35_plugin_query_fn query;
    const q35_plugin *api;
    guarded_info g = {.info.h = {sizeof g.info, Q35_STRUCT_DEVICE_INFO, NULL}};
    q35_open_options options = {.h = {sizeof options, Q35_STRUCT_OPEN_OPTIONS, NULL}};
    q35_device *dev;
    uint32_t n = 0;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL), *symbol = handle ? dlsym(handle, Q35_PLUGIN_SYMBOL) : NULL;
    if (!symbol) {
        printf("%s: %s\n", path, dlerror());
        return 1;
    }
    memcpy(&query, &symbol, sizeof query);
    memset(g.guard, 0x5a, sizeof g.guard);
    NEED(query(&table, &api));
    if (api->abi_major != Q35_ABI_MAJOR || !Q35_HAS_SLOT(api, q35_plugin, plan_run)) {
        printf("%s: table of ABI %u.%u\n", path, api->abi_major, api->abi_minor);
        return 1;
    }
    NEED(api->enumerate(&n));
    NEED(api->device_info(0, &g.info));
    for (size_t i = 0; i < sizeof g.guard; i++)
        if (g.guard[i] != 0x5a) {
            printf("%s: device_info wrote past the struct\n", path);
            return 1;
        }
    NEED(api->device_open(0, &options, &dev));
    int bad = run_addition(path, api, dev);
    api->device_close(dev);
    if (Q35_HAS_SLOT(api, q35_plugin, shutdown))
        api->shutdown();
    if (!bad)
        printf("host of ABI %u.%u: plugin %s %s of ABI %u.%u: ok\n", Q35_ABI_MAJOR, Q35_ABI_MINOR, api->id,
               api->version, api->abi_major, api->abi_minor);
    return bad;
}

int main(int argc, char **argv)
{
    int bad = argc < 2;
    for (int i = 1; i < argc; i++)
        bad |= try_plugin(argv[i]);
    return bad;
}
