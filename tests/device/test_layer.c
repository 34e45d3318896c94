/* SPDX-License-Identifier: Apache-2.0
 *
 * The layer around plugins (Q35RT_PLUGIN_CHECK, Q35RT_PLUGIN_TRACE): what host and plugins do right passes, every
 * kind of mistake of either is refused with a sentence, and each call leaves a line. */
#define _GNU_SOURCE
#include "device_support.h"

#include "runtime/device/extension.h"

static q35_runtime *runtime;
static q35i_device *device;
static const q35_plugin *api;
static char trace_path[TEST_PATH];

static q35_status open_plugin(const char *from, const char *name)
{
    static unsigned n_opened;
    char path[TEST_PATH], to[64]; /* a path of its own: with a sanitizer files stay mapped */
    format(to, sizeof to, "%u/%s", n_opened++, name);
    setenv("Q35RT_PLUGIN_CHECK", "1", 1);
    format(trace_path, sizeof trace_path, "%s/trace", q35t_temp_dir());
    setenv("Q35RT_PLUGIN_TRACE", trace_path, 1);
    place_plugin(from, to, path);
    q35_status status = create_with(path, &runtime);
    if (status != Q35_OK)
        return status;
    EXPECT_OK(q35i_device_open(runtime, 0, &device));
    api = device->api;
    return Q35_OK;
}

static void close_plugin(void)
{
    q35i_device_close(device);
    q35_runtime_destroy(runtime);
}

static void expect_line(const char *text)
{
    size_t bytes;
    char *trace = q35t_read_file(trace_path, &bytes), *whole = strndup(trace, bytes);
    ck_assert_msg(strstr(whole, text) != NULL, "'%s' is not in the trace:\n%s", text, whole);
    free(whole);
    free(trace);
}

/* One node over rows of 8 f32. */
typedef struct one_node {
    q35_tensor_desc tensors[4];
    uint32_t roles[4], in[2], out[1];
    q35_node node;
    const q35_node *list[1];
    q35_region region;
} one_node;

static void make_node(one_node *n, uint32_t op)
{
    memset(n, 0, sizeof *n);
    for (int i = 0; i < 3; i++)
        n->tensors[i] =
            (q35_tensor_desc){.dtype = Q35_DT_F32, .rank = 2, .dim = {8, 1, 1, 1}, .stride = {4, 32, 32, 32}};
    n->tensors[3] =
        (q35_tensor_desc){.dtype = Q35_DT_I32, .rank = 1, .dim = {8, 1, 1, 1}, .stride = {4, 32, 32, 32}};
    n->roles[0] = n->roles[1] = Q35_ROLE_INPUT;
    n->roles[2] = Q35_ROLE_OUTPUT;
    n->roles[3] = Q35_ROLE_STEP;
    n->in[1] = 1;
    n->out[0] = 2;
    n->node = (q35_node){
        .h = {sizeof n->node, Q35_STRUCT_NODE, NULL}, .op = op, .n_in = 2, .n_out = 1, .in = n->in, .out = n->out};
    n->list[0] = &n->node;
    n->region = (q35_region){.h = {sizeof n->region, Q35_STRUCT_REGION, NULL},
                             .n_tensors = 4,
                             .n_nodes = 1,
                             .tensors = n->tensors,
                             .roles = n->roles,
                             .nodes = n->list,
                             .step = 3};
}

START_TEST(good_calls_pass)
{
    one_node n;
    q35_plan *plan;
    float a[8] = {1, 2, 3}, b[8] = {10, 20, 30}, y[8];
    q35_step step = {.n_tokens = 1};
    EXPECT_OK(open_plugin("plugins-extra/libq35rt-template.so", "libq35rt-template.so"));
    make_node(&n, Q35_OP_ADD);
    EXPECT_OK(api->plan_compile(device->dev, &n.region, &plan));
    const q35_binding bindings[] = {{.host = a}, {.host = b}, {.host = y}, {.host = &step}};
    EXPECT_OK(api->plan_bind(plan, bindings));
    EXPECT_OK(api->plan_run(plan));
    ck_assert(y[0] == 11.0f && y[1] == 22.0f && y[2] == 33.0f);
    api->plan_free(plan);
    close_plugin();
    expect_line("template plugin.plan_compile(dev=device1, region=op 10, out=plan1) 0 ");
    expect_line("template plugin.plan_run(plan=plan1) 0 ");
    expect_line("template plugin.plan_free(plan=plan1) 0 ");
}
END_TEST

START_TEST(the_host_is_watched)
{
    one_node n;
    q35_plan *plan;
    q35_buf *buf;
    q35_queue *queue;
    q35_timeline *go, *done;
    char bytes[64] = "";
    EXPECT_OK(open_plugin("plugins-extra/libq35rt-async1.so", "libq35rt-async1.so"));
    make_node(&n, Q35_OP_ADD);
    EXPECT_OK(api->plan_compile(device->dev, &n.region, &plan));
    EXPECT_OK(api->queue_create(device->dev, Q35_QUEUE_COMPUTE, &queue));
    EXPECT_OK(api->timeline_create(device->dev, 0, &go));
    EXPECT_OK(api->timeline_create(device->dev, 0, &done));
    EXPECT_OK(api->buf_alloc(device->dev, 0, 64, 64, Q35_USE_ACT, &buf));
    EXPECT_FAILURE(api->plan_submit(queue, plan, NULL, 0, NULL, 0), Q35_E_INVALID, "plan1 is not bound");
    q35_binding bindings[4] = {{0}};
    EXPECT_FAILURE(api->plan_bind(plan, bindings), Q35_E_INVALID, "neither address nor buffer");
    EXPECT_FAILURE(api->plan_submit((q35_queue *)(void *)bytes, plan, NULL, 0, NULL, 0), Q35_E_INVALID,
                   "queue: a queue that is unknown or released");

    const q35_binding host = {.host = bytes}, there = {.buf = buf, .bytes = 64};
    const q35_point wait = {go, 1}, signal = {done, 1};
    EXPECT_OK(api->copy(queue, &host, &there, 64, &wait, 1, &signal, 1));
    api->buf_free(buf); /* refused, so that the copy still has its memory */
    EXPECT_ERROR("check: host: plugin async1: plugin.buf_free: buf1 is used by queued work");
    EXPECT_OK(api->timeline_signal(go, 1));
    EXPECT_OK(api->timeline_wait(done, 1, UINT64_MAX));
    api->buf_free(buf);
    EXPECT_FAILURE(api->copy(queue, &host, &there, 64, NULL, 0, NULL, 0), Q35_E_INVALID,
                   "unknown or freed buffer");

    api->device_close(device->dev); /* refused */
    EXPECT_ERROR("of the device is still there");
    api->queue_destroy(queue);
    api->timeline_destroy(go);
    api->timeline_destroy(done);
    api->plan_free(plan);
    close_plugin();
}
END_TEST

START_TEST(recordings_take_no_points)
{
    q35_buf *buf;
    q35_queue *queue;
    q35_timeline *done;
    q35_recording *recording;
    char in[64] = "first", out[64] = "";
    EXPECT_OK(open_plugin("plugins-extra/libq35rt-async1.so", "libq35rt-async1.so"));
    const q35_capture *capture = q35i_device_capture(device);
    ck_assert_ptr_nonnull(capture);
    EXPECT_OK(api->queue_create(device->dev, Q35_QUEUE_COMPUTE, &queue));
    EXPECT_OK(api->timeline_create(device->dev, 0, &done));
    EXPECT_OK(api->buf_alloc(device->dev, 0, 64, 64, Q35_USE_ACT, &buf));
    const q35_binding from = {.host = in}, there = {.buf = buf, .bytes = 64}, to = {.host = out};
    EXPECT_OK(capture->begin(queue));
    const q35_point signal = {done, 1};
    EXPECT_FAILURE(api->copy(queue, &from, &there, 64, NULL, 0, &signal, 1), Q35_E_INVALID,
                   "signals of a command that is recorded");
    EXPECT_OK(api->copy(queue, &from, &there, 64, NULL, 0, NULL, 0));
    EXPECT_OK(api->copy(queue, &there, &to, 64, NULL, 0, NULL, 0));
    EXPECT_OK(capture->end(queue, &recording));
    ck_assert_str_eq(out, ""); /* recorded, not carried out */
    for (uint64_t i = 1; i <= 3; i++) {
        const q35_point ran = {done, i};
        format(in, sizeof in, "round %u", (unsigned)i);
        EXPECT_OK(capture->replay(queue, recording, NULL, 0, &ran, 1));
        EXPECT_OK(api->timeline_wait(done, i, UINT64_MAX));
        ck_assert_str_eq(out, in);
    }
    capture->free(recording);
    api->buf_free(buf);
    api->queue_destroy(queue);
    api->timeline_destroy(done);
    close_plugin();
    expect_line("async1 capture.replay(queue=queue1, recording=recording1, waits=none, n_waits=0, ");
}
END_TEST

START_TEST(plugins_are_watched)
{
    one_node n;
    q35_plan *plan;
    q35_support support = {.h = {sizeof support, Q35_STRUCT_SUPPORT, NULL}};
    EXPECT_FAILURE(open_plugin("plugins-test/header/libq35rt-broken.so", "libq35rt-broken.so"), Q35_E_INTERNAL,
                   "check: plugin: plugin broken: plugin.memory_info: the header of out was changed");
    EXPECT_OK(open_plugin("plugins-test/no_reason/libq35rt-broken.so", "libq35rt-broken.so"));
    make_node(&n, Q35_OP_LINEAR);
    EXPECT_FAILURE(api->op_support(device->dev, &n.region, &support), Q35_E_INTERNAL, "no without a reason");
    close_plugin();
    EXPECT_OK(open_plugin("plugins-test/promise/libq35rt-broken.so", "libq35rt-broken.so"));
    EXPECT_FAILURE(api->plan_compile(device->dev, &n.region, &plan), Q35_E_UNSUPPORTED,
                   "op_support said yes to a region that is not compiled: runs nothing");
    close_plugin();
}
END_TEST

/* More plugins than there are layers, one after another. */
START_TEST(layers_are_given_back)
{
    for (int i = 0; i < 12; i++) {
        EXPECT_OK(
            open_plugin(i % 2 ? "plugins-test/good/libq35rt-broken.so" : "plugins-test/promise/libq35rt-broken.so",
                        "libq35rt-broken.so"));
        close_plugin();
    }
}
END_TEST

START_TEST(wrong_settings_are_errors)
{
    char path[TEST_PATH];
    place_plugin("plugins-extra/libq35rt-template.so", "libq35rt-template.so", path);
    setenv("Q35RT_PLUGIN_CHECK", "yes", 1);
    EXPECT_FAILURE(create_with(path, &runtime), Q35_E_INVALID, "Q35RT_PLUGIN_CHECK: 'yes' found, 0 or 1 needed");
    setenv("Q35RT_PLUGIN_CHECK", "0", 1);
    setenv("Q35RT_PLUGIN_TRACE", "/nowhere/trace", 1);
    EXPECT_FAILURE(create_with(path, &runtime), Q35_E_IO, "Q35RT_PLUGIN_TRACE: cannot write /nowhere/trace");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layer");
    TCase *tc = tcase_create("layer");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, test_setup, test_teardown);
    tcase_add_test(tc, good_calls_pass);
    tcase_add_test(tc, the_host_is_watched);
    tcase_add_test(tc, recordings_take_no_points);
    tcase_add_test(tc, plugins_are_watched);
    tcase_add_test(tc, layers_are_given_back);
    tcase_add_test(tc, wrong_settings_are_errors);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
