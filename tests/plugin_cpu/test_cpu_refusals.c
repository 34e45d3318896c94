/* SPDX-License-Identifier: Apache-2.0
 *
 * What the CPU plugin refuses, each with a reason that names the value found: options, regions, bindings and step
 * values. Also its answers: description, costs, layouts, and structs of an older host. */
#include "fixture.h"
#include "support/suite.h"

#define TOKEN_ROWS ((uint32_t)Q35_TF_TOKEN_ROWS)
enum { CAPACITY = 4, K = 64, N = 20, PAGES = 3 };

/* Tensor indices of base_region. */
typedef struct base_region {
    uint32_t ids, table, x, norm_weight, normed, weight, y, k_state, v_state, att;
    fixture_sequence at;
} base_region;

/* get_rows, rms_norm, linear, kv_append, attention: something of everything. */
static base_region build(fixture *f, const char *isa)
{
    fixture_params norm = {.norm = {{sizeof(q35_norm_params), Q35_STRUCT_NORM_PARAMS, NULL}, 1e-5f, 0}};
    fixture_params kv = {.kv = {{sizeof(q35_kv_params), Q35_STRUCT_KV_PARAMS, NULL}, 2, 10}};
    fixture_params att = {
        .attention = {{sizeof(q35_attention_params), Q35_STRUCT_ATTENTION_PARAMS, NULL}, 2, 2, 10, 0.5f}};
    int64_t ids_dim[1] = {CAPACITY}, state_dim[4] = {10, Q35_KV_PAGE, 2, PAGES}, w_dim[2] = {K, N};
    base_region r;
    fixture_open(f, isa, 2);
    r.ids = fixture_tensor(f, Q35_ROLE_INPUT, Q35_DT_I32, 1, ids_dim, TOKEN_ROWS);
    r.table = fixture_matrix(f, Q35_ROLE_WEIGHT, K, 5, 0);
    r.x = fixture_matrix(f, Q35_ROLE_TEMP, K, CAPACITY, TOKEN_ROWS);
    r.norm_weight = fixture_vector(f, Q35_ROLE_WEIGHT, K);
    r.normed = fixture_matrix(f, Q35_ROLE_TEMP, K, CAPACITY, TOKEN_ROWS);
    r.weight = fixture_tensor(f, Q35_ROLE_WEIGHT, Q35_DT_Q8_0, 2, w_dim, 0);
    r.y = fixture_matrix(f, Q35_ROLE_TEMP, N, CAPACITY, TOKEN_ROWS);
    r.k_state = fixture_tensor(f, Q35_ROLE_STATE, Q35_DT_F32, 4, state_dim, 0);
    r.v_state = fixture_tensor(f, Q35_ROLE_STATE, Q35_DT_F32, 4, state_dim, 0);
    r.att = fixture_matrix(f, Q35_ROLE_OUTPUT, N, CAPACITY, TOKEN_ROWS);
    memset(f->memory[r.ids], 0, f->bindings[r.ids].bytes);
    memset(f->memory[r.weight], 0, f->bindings[r.weight].bytes);
    memset(f->memory[r.k_state], 0, f->bindings[r.k_state].bytes);
    memset(f->memory[r.v_state], 0, f->bindings[r.v_state].bytes);
    fixture_node(f, Q35_OP_GET_ROWS, NULL, 2, (uint32_t[]){r.ids, r.table}, 1, &r.x);
    fixture_node(f, Q35_OP_RMS_NORM, &norm, 2, (uint32_t[]){r.x, r.norm_weight}, 1, &r.normed);
    fixture_node(f, Q35_OP_LINEAR, NULL, 2, (uint32_t[]){r.normed, r.weight}, 1, &r.y);
    r.at = fixture_one_sequence(f, CAPACITY, PAGES);
    fixture_node(f, Q35_OP_KV_APPEND, &kv, 5, (uint32_t[]){r.y, r.y, r.k_state, r.v_state, r.at.slots}, 0, NULL);
    fixture_node(f, Q35_OP_ATTENTION, &att, 6,
                 (uint32_t[]){r.y, r.k_state, r.v_state, r.at.positions, r.at.sequence, r.at.pages}, 1, &r.att);
    return r;
}

/* ------------------------------------------------------------------ regions */

static void break_op(fixture *f, const base_region *r)
{
    (void)r;
    f->nodes[2].op = 0x77;
}

static void break_arity(fixture *f, const base_region *r)
{
    (void)r;
    f->nodes[1].n_in = 1;
}

static void break_index(fixture *f, const base_region *r)
{
    (void)r;
    f->in[2][1] = 200;
}

static void break_dtype(fixture *f, const base_region *r)
{
    f->tensors[r->normed].dtype = 0x4242;
}

static void break_weight_dtype(fixture *f, const base_region *r)
{
    f->tensors[r->weight].dtype = Q35_DT_I8;
    f->tensors[r->weight].stride[0] = 1;
}

static void break_block(fixture *f, const base_region *r)
{
    f->tensors[r->weight].dim[0] = 48;
}

static void break_cols(fixture *f, const base_region *r)
{
    f->tensors[r->norm_weight].dim[0] = K - 1;
}

static void break_rows(fixture *f, const base_region *r)
{
    f->tensors[r->normed].dim[1] = CAPACITY - 1;
}

static void break_flags(fixture *f, const base_region *r)
{
    f->tensors[r->y].flags = 0;
}

static void break_stride(fixture *f, const base_region *r)
{
    f->tensors[r->x].stride[1] = 4 * K - 4;
}

static void break_negative(fixture *f, const base_region *r)
{
    f->tensors[r->x].stride[1] = -4 * K;
}

static void break_huge(fixture *f, const base_region *r)
{
    f->tensors[r->x].stride[1] = INT64_MAX - 3;
}

static void break_dim(fixture *f, const base_region *r)
{
    f->tensors[r->x].dim[1] = 0;
}

static void break_rank(fixture *f, const base_region *r)
{
    f->tensors[r->x].rank = 9;
}

static void break_layout(fixture *f, const base_region *r)
{
    f->tensors[r->weight].layout = 1; /* no tiles for Q8_0 */
}

static void break_table_layout(fixture *f, const base_region *r)
{
    f->tensors[r->table].layout = 7;
}

static void break_state_role(fixture *f, const base_region *r)
{
    f->roles[r->k_state] = Q35_ROLE_INPUT;
}

static void break_state_shape(fixture *f, const base_region *r)
{
    f->tensors[r->v_state].dim[3] = PAGES - 1;
}

static void break_state_page(fixture *f, const base_region *r)
{
    f->tensors[r->k_state].dim[1] = Q35_KV_PAGE - 1;
}

static void break_positions(fixture *f, const base_region *r)
{
    f->tensors[r->at.positions].dim[0] = CAPACITY - 1;
}

static void break_sequence(fixture *f, const base_region *r)
{
    f->tensors[r->at.sequence].dtype = Q35_DT_F32;
}

static void break_slots(fixture *f, const base_region *r)
{
    f->tensors[r->at.slots].flags = Q35_TF_OUT_ROWS;
}

static void break_pages(fixture *f, const base_region *r)
{
    f->tensors[r->at.pages].flags = Q35_TF_TOKEN_ROWS;
}

static void break_state_blocks(fixture *f, const base_region *r)
{
    for (uint32_t i = 0; i < 2; i++) {
        q35_tensor_desc *d = &f->tensors[i ? r->v_state : r->k_state];
        d->dtype = Q35_DT_Q8_0;
        d->stride[0] = 34;
    }
}

static void break_state_dtype(fixture *f, const base_region *r)
{
    f->tensors[r->k_state].dtype = Q35_DT_I32;
}

static void break_output_role(fixture *f, const base_region *r)
{
    f->roles[r->y] = Q35_ROLE_WEIGHT;
}

static void break_params(fixture *f, const base_region *r)
{
    (void)r;
    f->nodes[1].params = NULL;
}

static void break_params_size(fixture *f, const base_region *r)
{
    (void)r;
    f->params[4].h.size = sizeof(q35_hdr);
}

/* A newer host's parameters; nodes copy their addresses, so the field goes behind the known ones in place. */
static void break_params_newer(fixture *f, const base_region *r)
{
    (void)r;
    f->params[1].h.size = sizeof(q35_norm_params) + 8;
    ((unsigned char *)&f->params[1])[sizeof(q35_norm_params) + 3] = 7;
}

static void break_eps(fixture *f, const base_region *r)
{
    (void)r;
    f->params[1].norm.eps = -1;
}

static void break_length(fixture *f, const base_region *r)
{
    f->tensors[r->weight].dim[0] = INT64_MAX / 32 * 32;
}

static void break_heads(fixture *f, const base_region *r)
{
    (void)r;
    f->params[4].attention.n_kv_heads = 0;
}

static void break_step(fixture *f, const base_region *r)
{
    (void)r;
    f->region.step = Q35_NONE;
}

static void break_step_size(fixture *f, const base_region *r)
{
    (void)r;
    f->tensors[f->region.step].dim[0] = 2;
}

static void break_node(fixture *f, const base_region *r)
{
    (void)r;
    f->node_list[3] = NULL;
}

static void break_empty(fixture *f, const base_region *r)
{
    (void)r;
    f->region.n_nodes = 0;
}

static void break_book(fixture *f, const base_region *r)
{
    f->tensors[r->weight].dtype = Q35_DT_Q35_PAIR;
    f->tensors[r->weight].stride[0] = sizeof(q35_pair_block);
}

static const struct {
    void (*apply)(fixture *f, const base_region *r);
    const char *reason; /* part of it */
} breaks[] = {
    {break_op, "op is 0x77"},
    {break_arity, "rms_norm (node 1): 1 inputs"},
    {break_index, "input 1 is tensor 200"},
    {break_dtype, "dtype 0x4242"},
    {break_weight_dtype, "weight is I8"},
    {break_block, "rows of 48"},
    {break_cols, "length 63, need 64"},
    {break_rows, "3 rows, need 4"},
    {break_flags, "flags 0, need 0x1"},
    {break_stride, "stride[1] 252"},
    {break_negative, "stride[1] -256"},
    {break_huge, "larger than memory"},
    {break_dim, "dim[1] 0"},
    {break_rank, "rank 9"},
    {break_layout, "layout 1"},
    {break_table_layout, "layout 7"},
    {break_state_role, "state k has role 1"},
    {break_state_shape, "2 pages"},
    {break_state_page, "state k is [pages][2][31][10], need [pages][2][32][10]"},
    {break_positions, "positions has 3 rows, need 4"},
    {break_sequence, "sequence is F32, need I32"},
    {break_slots, "slots has flags 0x2, need 0x1"},
    {break_pages, "pages have flags 0x1"},
    {break_state_blocks, "state k is Q8_0 with head_dim 10, need a multiple of 32"},
    {break_state_dtype, "state k is I32, need F16, F32 or Q8_0"},
    {break_output_role, "output has role 4"},
    {break_params, "type 0 and 0 bytes"},
    {break_params_size, "parameters have type 19"},
    {break_params_newer, "parameters have 7 at byte 27, need 0 past the 24 bytes"},
    {break_eps, "eps is -1"},
    {break_length, "need 1 to 1099511627776"},
    {break_heads, "need a multiple of n_kv_heads 0"},
    {break_step, "no step tensor"},
    {break_step_size, "step tensor is I32 of 2"},
    {break_node, "node 3 is missing"},
    {break_empty, "region has 0 nodes"},
    {break_book, "2 inputs, need 3"},
};

START_TEST(broken_regions_are_refused)
{
    fixture f;
    base_region r = build(&f, NULL);
    breaks[_i].apply(&f, &r);
    q35_support support = {.h = {sizeof support, Q35_STRUCT_SUPPORT, NULL}};
    ck_assert_uint_eq(f.api->op_support(f.dev, &f.region, &support), Q35_OK);
    ck_assert_uint_eq(support.ok, 0);
    ck_assert_msg(strstr(support.reason, breaks[_i].reason), "'%s' lacks '%s'", support.reason, breaks[_i].reason);
    q35_plan *plan = NULL;
    q35_cost cost = {.h = {sizeof cost, Q35_STRUCT_COST, NULL}};
    ck_assert_uint_eq(f.api->plan_compile(f.dev, &f.region, &plan), Q35_E_UNSUPPORTED);
    ck_assert_ptr_null(plan);
    ck_assert_msg(strstr(fixture_error(), breaks[_i].reason), "'%s'", fixture_error());
    ck_assert_uint_eq(f.api->op_cost(f.dev, &f.region, &cost), Q35_E_UNSUPPORTED);
    fixture_close(&f);
}
END_TEST

START_TEST(newer_parameters_of_zeros_are_taken)
{
    fixture f;
    build(&f, NULL);
    f.params[1].h.size = sizeof(fixture_params);
    q35_support support = {.h = {sizeof support, Q35_STRUCT_SUPPORT, NULL}};
    ck_assert_uint_eq(f.api->op_support(f.dev, &f.region, &support), Q35_OK);
    ck_assert_msg(support.ok == 1, "%s", support.reason);
    fixture_close(&f);
}
END_TEST

/* ------------------------------------------------------------------ bindings and step values */

static void expect_bind(fixture *f, q35_binding *binding, q35_binding value, const char *reason)
{
    q35_binding saved = *binding;
    *binding = value;
    ck_assert_uint_eq(f->api->plan_bind(f->plan, f->bindings), Q35_E_INVALID);
    ck_assert_msg(strstr(fixture_error(), reason), "'%s' lacks '%s'", fixture_error(), reason);
    ck_assert_uint_eq(f->api->plan_run(f->plan), Q35_E_INVALID); /* a failed bind leaves nothing bound */
    *binding = saved;
}

START_TEST(bad_bindings_are_refused)
{
    fixture f;
    base_region r = build(&f, NULL);
    fixture_set_step(&f, 1, 0, 1);
    ck_assert_uint_eq(f.api->plan_compile(f.dev, &f.region, &f.plan), Q35_OK);
    ck_assert_uint_eq(f.api->plan_run(f.plan), Q35_E_INVALID);
    q35_binding x = f.bindings[r.x];
    expect_bind(&f, &f.bindings[r.x], (q35_binding){.bytes = x.bytes}, "no host address");
    expect_bind(&f, &f.bindings[r.x], (q35_binding){.host = x.host, .bytes = 100}, "bound to 100 bytes");
    expect_bind(&f, &f.bindings[r.x], (q35_binding){.host = (char *)x.host + 2, .bytes = x.bytes}, "off by 2");
    expect_bind(&f, &f.bindings[r.y], f.bindings[r.normed], "linear (node 2) overwrites its operand 0");
    ck_assert_uint_eq(f.api->plan_bind(f.plan, f.bindings), Q35_OK);
    ck_assert_uint_eq(fixture_run(&f), Q35_OK);
    fixture_close(&f);
}
END_TEST

static void expect_range(fixture *f, int32_t n_tokens, int32_t n_out, int32_t n_sequences, const char *reason)
{
    fixture_set_step(f, n_tokens, n_out, n_sequences);
    ck_assert_uint_eq(fixture_run(f), Q35_E_RANGE);
    ck_assert_msg(strstr(fixture_error(), reason), "'%s' lacks '%s'", fixture_error(), reason);
}

START_TEST(bad_step_values_are_refused)
{
    fixture f;
    base_region r = build(&f, NULL);
    int32_t *ids = f.memory[r.ids], *slots = f.memory[r.at.slots], *positions = f.memory[r.at.positions];
    int32_t *sequence = f.memory[r.at.sequence], *pages = f.memory[r.at.pages];
    fixture_prepare(&f);
    fixture_blank(&f, r.att);
    expect_range(&f, -1, 0, 1, "n_tokens -1");
    expect_range(&f, INT32_MIN, INT32_MIN, 1, "n_tokens -2147483648");
    expect_range(&f, CAPACITY + 1, 0, 1, "n_tokens 5, need at most 4");
    expect_range(&f, 1, 2, 1, "n_out 2, n_sequences 1, need at most n_tokens 1");
    expect_range(&f, 1, 0, 2, "n_out 0, n_sequences 2, need at most n_tokens 1");
    expect_range(&f, 2, 0, 2, "n_sequences 2, need at most 1");
    expect_range(&f, 1, 0, 0, "sequence 0 of row 0, need 0 to -1");
    ids[1] = -1;
    expect_range(&f, 2, 0, 1, "id -1 of row 1");
    ids[1] = 5;
    expect_range(&f, 2, 0, 1, "id 5 of row 1, need 0 to 4");
    ids[1] = 0;
    slots[1] = PAGES * Q35_KV_PAGE;
    expect_range(&f, 2, 0, 1, "slot 96 of row 1, need 0 to 95");
    slots[1] = 0;
    positions[1] = PAGES * Q35_KV_PAGE;
    expect_range(&f, 2, 0, 1, "position 96 of row 1, need 0 to 95");
    positions[1] = -1;
    expect_range(&f, 2, 0, 1, "position -1 of row 1");
    positions[1] = Q35_KV_PAGE;
    sequence[1] = 1;
    expect_range(&f, 2, 0, 1, "sequence 1 of row 1, need 0 to 0");
    sequence[1] = 0;
    pages[1] = PAGES;
    expect_range(&f, 2, 0, 1, "page 3 at 1 of sequence 0, need 0 to 2");
    positions[0] = Q35_KV_PAGE; /* not in order: the first row's pages count too */
    positions[1] = 0;
    expect_range(&f, 2, 0, 1, "page 3 at 1 of sequence 0, need 0 to 2");
    ck_assert(fixture_row_blank(&f, r.att, 0));
    positions[0] = 0;
    ids[1] = -1;
    fixture_set_step(&f, 1, 0, 1);
    ck_assert_uint_eq(fixture_run(&f), Q35_OK); /* what is bad is not in a valid row any more */
    fixture_close(&f);
}
END_TEST

/* ------------------------------------------------------------------ opening */

static void expect_open(const char *key, const char *value, q35_status code, const char *reason)
{
    const q35_plugin *api = fixture_plugin();
    q35_device *dev = NULL;
    q35_open_options options = {
        .h = {sizeof options, Q35_STRUCT_OPEN_OPTIONS, NULL}, .n_options = 1, .keys = &key, .values = &value};
    ck_assert_uint_eq(api->device_open(0, &options, &dev), code);
    ck_assert_ptr_null(dev);
    ck_assert_msg(strstr(fixture_error(), reason), "'%s' lacks '%s'", fixture_error(), reason);
    ck_assert_uint_eq(fixture_live_allocs(), 0);
}

START_TEST(bad_options_are_refused)
{
    q35_device *dev = NULL;
    expect_open("threads", "2", Q35_E_INVALID, "'threads': unknown, need isa");
    expect_open("isa", "sse9", Q35_E_INVALID,
                "cpu option isa: value 'sse9', need auto, ref, avx2, avxvnni, avx512, amx, neon, neon_dot or "
                "neon_i8mm");
    const char *other = fixture_offers("neon") ? "avx2" : "neon";
    expect_open("isa", other, Q35_E_UNAVAILABLE, fixture_offers("neon") ? "need AVX2" : "need NEON");
    if (!fixture_offers("amx"))
        expect_open("isa", "amx", Q35_E_UNAVAILABLE, "need AMX-INT8");
    expect_open("isa", "", Q35_E_INVALID, "''");
    expect_open("isa", NULL, Q35_E_INVALID, "missing");
    ck_assert_uint_eq(fixture_plugin()->device_open(1, NULL, &dev), Q35_E_RANGE);
    ck_assert_uint_eq(fixture_plugin()->device_open(0, NULL, &dev), Q35_OK);
    fixture_plugin()->device_close(dev);
}
END_TEST

START_TEST(memory_cap_is_kept)
{
    fixture f;
    build(&f, NULL);
    f.api->device_close(f.dev);
    q35_open_options options = {.h = {sizeof options, Q35_STRUCT_OPEN_OPTIONS, NULL}, .memory_cap = 1000};
    ck_assert_uint_eq(f.api->device_open(0, &options, &f.dev), Q35_OK);
    ck_assert_uint_eq(f.api->plan_compile(f.dev, &f.region, &f.plan), Q35_E_NOFIT);
    ck_assert_msg(strstr(fixture_error(), "at most 1000"), "%s", fixture_error());
    fixture_close(&f);
}
END_TEST

START_TEST(failed_allocations_leave_nothing)
{
    enum { COMPILE_ALLOCS = 6 };
    fixture f;
    q35_device *dev = NULL;
    build(&f, NULL);
    fixture_fail_alloc(1);
    ck_assert_uint_eq(f.api->device_open(0, NULL, &dev), Q35_E_NOMEM);
    ck_assert_ptr_null(dev);
    for (uint64_t n = 1; n <= COMPILE_ALLOCS; n++) {
        fixture_fail_alloc(n);
        ck_assert_uint_eq(f.api->plan_compile(f.dev, &f.region, &f.plan), Q35_E_NOMEM);
        ck_assert_uint_eq(fixture_live_allocs(), 1); /* the device */
    }
    fixture_fail_alloc(COMPILE_ALLOCS + 1);
    ck_assert_uint_eq(f.api->plan_compile(f.dev, &f.region, &f.plan), Q35_OK);
    fixture_fail_alloc(0);
    fixture_close(&f);
}
END_TEST

START_TEST(other_abi_is_refused)
{
    const q35_plugin *api = NULL;
    q35_host host = fixture_host;
    host.abi_major = Q35_ABI_MAJOR + 1;
    ck_assert_uint_eq(fixture_query()(&host, &api), Q35_E_VERSION);
    host.abi_major = Q35_ABI_MAJOR;
    host.h.size = offsetof(q35_host, parallel); /* no pool services */
    ck_assert_uint_eq(fixture_query()(&host, &api), Q35_E_VERSION);
    ck_assert_uint_eq(fixture_query()(NULL, &api), Q35_E_INVALID);
    ck_assert_ptr_null(api);
    ck_assert_uint_eq(fixture_plugin()->abi_major, Q35_ABI_MAJOR);
    ck_assert_str_eq(fixture_plugin()->id, "cpu");
}
END_TEST

/* ------------------------------------------------------------------ answers */

START_TEST(answers_fit_the_caller)
{
    const q35_plugin *api = fixture_plugin();
    q35_device_info info = {.h = {sizeof info, Q35_STRUCT_DEVICE_INFO, NULL}};
    ck_assert_uint_eq(api->device_info(0, &info), Q35_OK);
    ck_assert_str_eq(info.uuid, "cpu-0");
    ck_assert_uint_gt(strlen(info.name), 4);
    ck_assert_uint_eq(info.device_class, Q35_CLASS_CPU);
    ck_assert_uint_eq(api->device_info(1, &info), Q35_E_RANGE);
    q35_device_info older;
    memset(&older, 0x77, sizeof older);
    older.h = (q35_hdr){offsetof(q35_device_info, host_numa), Q35_STRUCT_DEVICE_INFO, NULL};
    ck_assert_uint_eq(api->device_info(0, &older), Q35_OK);
    ck_assert_str_eq(older.name, info.name);
    ck_assert_int_eq(older.host_numa, 0x77777777);
    q35_memory_info memory = {.h = {sizeof memory, Q35_STRUCT_MEMORY_INFO, NULL}};
    ck_assert_uint_eq(api->memory_info(0, 0, &memory), Q35_OK);
    ck_assert_uint_eq(memory.kind, Q35_MEM_HOST);
    ck_assert_uint_ge(memory.capacity, memory.available);
    ck_assert_uint_eq(api->memory_info(0, 1, &memory), Q35_E_RANGE);
}
END_TEST

START_TEST(costs_count_work)
{
    fixture f;
    base_region r = build(&f, NULL);
    q35_cost cost = {.h = {sizeof cost, Q35_STRUCT_COST, NULL}};
    f.node_list[0] = &f.nodes[2]; /* the linear node alone */
    f.region.n_nodes = 1;
    ck_assert_uint_eq(f.api->op_cost(f.dev, &f.region, &cost), Q35_OK);
    ck_assert_uint_eq(cost.flops, 2 * CAPACITY * N * K);
    ck_assert_uint_ge(cost.bytes_read, f.bindings[r.weight].bytes + CAPACITY * K * 4);
    ck_assert_uint_ge(cost.ns, cost.launch_ns);
    ck_assert_uint_eq(cost.source, Q35_COST_MODEL);
    fixture_close(&f);
}
END_TEST

START_TEST(layouts_are_offered_where_they_help)
{
    fixture f;
    uint8_t key[32], again[32];
    q35_layout layout = {.h = {sizeof layout, Q35_STRUCT_LAYOUT, NULL}};
    q35_tensor_desc w = {
        .dtype = Q35_DT_Q35_PAIR, .rank = 2, .dim = {256, 40, 1, 1}, .stride = {58, 116, 4640, 4640}};
    fixture_open(&f, "ref", 0);
    ck_assert_uint_eq(f.api->layout_query(f.dev, Q35_OP_LINEAR, &w, 0, &layout), Q35_E_RANGE);
    fixture_close(&f);
    fixture_open(&f, NULL, 0);
    w.dtype = Q35_DT_Q8_0;
    ck_assert_uint_eq(f.api->layout_query(f.dev, Q35_OP_LINEAR, &w, 0, &layout), Q35_E_RANGE);
    w.dtype = Q35_DT_Q35_PAIR;
    ck_assert_uint_eq(f.api->layout_query(f.dev, Q35_OP_GET_ROWS, &w, 0, &layout), Q35_E_RANGE);
    if (f.api->layout_query(f.dev, Q35_OP_LINEAR, &w, 0, &layout) == Q35_OK) {
        char rows[32 * 116] = {0};
        ck_assert_uint_eq(layout.slice_rows, 16);
        ck_assert_uint_eq(layout.reversible, 1);
        ck_assert_uint_eq(f.api->layout_query(f.dev, Q35_OP_LINEAR, &w, 1, &layout), Q35_E_RANGE);
        ck_assert_uint_eq(f.api->pack(f.dev, 99, &w, 0, 16, rows, rows), Q35_E_INVALID);
        ck_assert_uint_eq(f.api->pack(f.dev, layout.layout, &w, 3, 16, rows, rows), Q35_E_RANGE);
        ck_assert_uint_eq(f.api->pack(f.dev, layout.layout, &w, 0, 17, rows, rows), Q35_E_RANGE);
        ck_assert_uint_eq(f.api->pack_key(f.dev, layout.layout, key), Q35_OK);
        ck_assert_uint_eq(f.api->pack_key(f.dev, layout.layout, again), Q35_OK);
        ck_assert_mem_eq(key, again, sizeof key);
        ck_assert_uint_eq(f.api->pack_key(f.dev, 99, key), Q35_E_INVALID);
    }
    fixture_close(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plugin_cpu_refusals");
    TCase *tcase = tcase_create("refusals");
    tcase_add_test(tcase, newer_parameters_of_zeros_are_taken);
    tcase_add_loop_test(tcase, broken_regions_are_refused, 0, sizeof breaks / sizeof breaks[0]);
    tcase_add_test(tcase, bad_bindings_are_refused);
    tcase_add_test(tcase, bad_step_values_are_refused);
    tcase_add_test(tcase, bad_options_are_refused);
    tcase_add_test(tcase, memory_cap_is_kept);
    tcase_add_test(tcase, failed_allocations_leave_nothing);
    tcase_add_test(tcase, other_abi_is_refused);
    tcase_add_test(tcase, answers_fit_the_caller);
    tcase_add_test(tcase, costs_count_work);
    tcase_add_test(tcase, layouts_are_offered_where_they_help);
    suite_add_tcase(suite, tcase);
    return q35t_run(suite);
}
