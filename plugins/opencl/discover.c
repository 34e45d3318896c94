/* SPDX-License-Identifier: Apache-2.0
 *
 * What devices there are: those of all platforms that OpenCL 1.2 kernels can be built for, told apart by what they
 * can do. Discrete devices come first, host processors last. */
#include "plugins/opencl/opencl.h"

#include <stdio.h>
#include <string.h>

enum { MAX_PLATFORMS = 16, MAX_DEVICES = 16 };

/* Of extensions, whose header may be missing: ids from the Khronos registry. */
enum {
    DEVICE_UUID_KHR = 0x106a, /* cl_khr_device_uuid */
    PCI_BUS_INFO_KHR = 0x410f,
    PCI_BUS_ID_NV = 0x4008, /* cl_nv_device_attribute_query */
    PCI_SLOT_ID_NV = 0x4009,
    PCI_DOMAIN_ID_NV = 0x400a,
    TOPOLOGY_AMD = 0x4037 /* cl_amd_device_attribute_query */
};

static struct {
    pthread_mutex_t lock;
    bool done;
    uint32_t n;
    q35i_cl_found devices[MAX_DEVICES];
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool get(cl_device_id id, cl_device_info what, void *out, size_t bytes)
{
    return q35i_cl.GetDeviceInfo(id, what, bytes, out, NULL) == CL_SUCCESS;
}

/* "" when unknown; cut to cap. Runs of blanks become one. */
static void get_text(cl_device_id id, cl_device_info what, char *out, size_t cap)
{
    char text[1024] = "";
    size_t n = 0;
    if (q35i_cl.GetDeviceInfo(id, what, sizeof text - 1, text, NULL) != CL_SUCCESS)
        text[0] = '\0';
    for (const char *p = text; *p && n + 1 < cap; p++)
        if (*p != ' ' || (n > 0 && out[n - 1] != ' '))
            out[n++] = *p;
    while (n > 0 && out[n - 1] == ' ')
        n--;
    out[n] = '\0';
}

/* Extensions are words of a text that may be long. */
static bool has_extension(cl_device_id id, const char *name)
{
    size_t bytes = 0, len = strlen(name);
    bool found = false;
    if (q35i_cl.GetDeviceInfo(id, CL_DEVICE_EXTENSIONS, 0, NULL, &bytes) != CL_SUCCESS)
        return false;
    char *text = q35p_alloc(1, bytes + 1);
    if (text && get(id, CL_DEVICE_EXTENSIONS, text, bytes))
        for (const char *p = strstr(text, name); p && !found; p = strstr(p + len, name))
            found = (p == text || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0');
    q35p_free(text);
    return found;
}

static void find_pci(q35i_cl_found *d)
{
    cl_uint khr[4], bus, slot, domain = 0;
    cl_char amd[24];
    if (has_extension(d->id, "cl_khr_pci_bus_info") && get(d->id, PCI_BUS_INFO_KHR, khr, sizeof khr))
        snprintf(d->pci, sizeof d->pci, "%04x:%02x:%02x.%x", khr[0] & 0xffffu, khr[1] & 0xffu, khr[2] & 0xffu,
                 khr[3] & 7u);
    else if (has_extension(d->id, "cl_nv_device_attribute_query") && get(d->id, PCI_BUS_ID_NV, &bus, sizeof bus) &&
             get(d->id, PCI_SLOT_ID_NV, &slot, sizeof slot)) {
        (void)get(d->id, PCI_DOMAIN_ID_NV, &domain, sizeof domain);
        snprintf(d->pci, sizeof d->pci, "%04x:%02x:%02x.%x", domain & 0xffffu, bus & 0xffu, slot >> 3 & 31u,
                 slot & 7u);
    } else if (has_extension(d->id, "cl_amd_device_attribute_query") &&
               get(d->id, TOPOLOGY_AMD, amd, sizeof amd) && amd[0] == 1)
        snprintf(d->pci, sizeof d->pci, "0000:%02x:%02x.%x", (unsigned)amd[21] & 0xffu, (unsigned)amd[22] & 0xffu,
                 (unsigned)amd[23] & 7u);
}

/* The driver's UUID, else a hash of what names the device; `twin`: the how-manieth that looks the same. */
static void find_uuid(q35i_cl_found *d, uint32_t twin)
{
    uint8_t u[16] = {0};
    if (has_extension(d->id, "cl_khr_device_uuid") && get(d->id, DEVICE_UUID_KHR, u, sizeof u)) {
        size_t n = 0;
        for (int i = 0; i < 16; i++)
            n += (size_t)snprintf(d->uuid + n, sizeof d->uuid - n, "%s%02x",
                                  i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
        return;
    }
    q35i_cl_hash(u, d->platform_name, strlen(d->platform_name) + 1);
    q35i_cl_hash(u, d->name, strlen(d->name) + 1);
    q35i_cl_hash(u, d->driver, strlen(d->driver) + 1);
    q35i_cl_hash(u, d->pci, strlen(d->pci) + 1);
    q35i_cl_hash(u, &twin, sizeof twin);
    uint64_t h;
    memcpy(&h, u, sizeof h);
    snprintf(d->uuid, sizeof d->uuid, "opencl-%016llx", (unsigned long long)h);
}

/* Why kernels cannot run there; NULL: they can. */
static const char *unusable(const q35i_cl_found *d, const char *version)
{
    cl_bool available = CL_FALSE, compiler = CL_FALSE, little = CL_FALSE;
    int major = 0, minor = 0;
    (void)get(d->id, CL_DEVICE_AVAILABLE, &available, sizeof available);
    (void)get(d->id, CL_DEVICE_COMPILER_AVAILABLE, &compiler, sizeof compiler);
    (void)get(d->id, CL_DEVICE_ENDIAN_LITTLE, &little, sizeof little);
    if (sscanf(version, "OpenCL %d.%d", &major, &minor) != 2 || major < 1 || (major == 1 && minor < 2))
        return "it has an older OpenCL, need 1.2";
    if (!available)
        return "it is not available";
    if (!compiler)
        return "its driver has no compiler";
    if (!little)
        return "it is big-endian";
    if (d->local_bytes < 20480)
        return "it has less than 20 KiB of local memory";
    if (d->max_group < Q35I_CL_LANES && d->type != CL_DEVICE_TYPE_CPU)
        return "its work-groups are smaller than 64";
    return NULL;
}

static void describe(q35i_cl_found *d)
{
    cl_device_fp_config fp = 0;
    cl_bool unified = CL_FALSE;
    size_t group = 0;
    get_text(d->id, CL_DEVICE_NAME, d->name, sizeof d->name);
    get_text(d->id, CL_DRIVER_VERSION, d->driver, sizeof d->driver);
    (void)get(d->id, CL_DEVICE_TYPE, &d->type, sizeof d->type);
    (void)get(d->id, CL_DEVICE_GLOBAL_MEM_SIZE, &d->memory, sizeof d->memory);
    (void)get(d->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, &d->max_alloc, sizeof d->max_alloc);
    (void)get(d->id, CL_DEVICE_LOCAL_MEM_SIZE, &d->local_bytes, sizeof d->local_bytes);
    (void)get(d->id, CL_DEVICE_MAX_COMPUTE_UNITS, &d->units, sizeof d->units);
    (void)get(d->id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, &d->base_align_bits, sizeof d->base_align_bits);
    (void)get(d->id, CL_DEVICE_MAX_WORK_GROUP_SIZE, &group, sizeof group);
    (void)get(d->id, CL_DEVICE_HOST_UNIFIED_MEMORY, &unified, sizeof unified);
    (void)get(d->id, CL_DEVICE_SINGLE_FP_CONFIG, &fp, sizeof fp);
    d->max_group = group;
    d->unified = unified;
    d->coherent = unified && d->type == CL_DEVICE_TYPE_CPU;
    d->fp64 = has_extension(d->id, "cl_khr_fp64");
    d->divides = fp & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT;
    d->fma = fp & CL_FP_FMA;
    find_pci(d);
}

/* 0: discrete, 1: shares the host's memory, 2: is the host's processor */
static int rank_of(const q35i_cl_found *d)
{
    return d->type == CL_DEVICE_TYPE_CPU ? 2 : d->unified;
}

static void add_device(const q35i_cl_found *d)
{
    uint32_t twin = 0, at = all.n;
    if (all.n == MAX_DEVICES) {
        q35p_log(1, "opencl: more than %d devices, %s is left out", (int)MAX_DEVICES, d->name);
        return;
    }
    for (uint32_t i = 0; i < all.n; i++)
        twin += strcmp(all.devices[i].name, d->name) == 0 && strcmp(all.devices[i].pci, d->pci) == 0 &&
                strcmp(all.devices[i].platform_name, d->platform_name) == 0;
    while (at > 0 && rank_of(&all.devices[at - 1]) > rank_of(d)) {
        all.devices[at] = all.devices[at - 1];
        at--;
    }
    all.devices[at] = *d;
    find_uuid(&all.devices[at], twin);
    all.n++;
}

static void add_platform(cl_platform_id platform)
{
    cl_device_id ids[MAX_DEVICES];
    cl_uint n = 0;
    q35i_cl_found d = {.platform = platform};
    (void)q35i_cl.GetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof d.platform_name - 1, d.platform_name, NULL);
    if (q35i_cl.GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, MAX_DEVICES, ids, &n) != CL_SUCCESS || n == 0) {
        q35p_log(2, "opencl: platform %s has no device", d.platform_name);
        return;
    }
    for (cl_uint i = 0; i < n && i < MAX_DEVICES; i++) {
        q35i_cl_found one = d;
        char version[64];
        one.id = ids[i];
        describe(&one);
        get_text(one.id, CL_DEVICE_VERSION, version, sizeof version);
        const char *why = unusable(&one, version);
        if (why)
            q35p_log(2, "opencl: %s of %s is not used: %s", one.name, d.platform_name, why);
        else
            add_device(&one);
    }
}

static void discover(void)
{
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint n = 0;
    char why[Q35I_CL_TEXT];
    if (!q35i_cl_load(why, sizeof why)) {
        q35p_log(2, "%s", why);
        return;
    }
    if (q35i_cl.GetPlatformIDs(MAX_PLATFORMS, platforms, &n) != CL_SUCCESS || n == 0) {
        q35p_log(2, "the OpenCL library knows no platform (no driver is installed)");
        return;
    }
    for (cl_uint i = 0; i < n && i < MAX_PLATFORMS; i++)
        add_platform(platforms[i]);
    if (all.n == 0)
        q35p_log(2, "none of %u OpenCL platforms has a usable device", n);
}

q35_status q35i_cl_enumerate(uint32_t *out_n)
{
    pthread_mutex_lock(&all.lock);
    if (!all.done)
        q35i_cl_keep_process(discover);
    all.done = true;
    *out_n = all.n;
    pthread_mutex_unlock(&all.lock);
    return Q35_OK;
}

const q35i_cl_found *q35i_cl_device_at(uint32_t i)
{
    uint32_t n;
    (void)q35i_cl_enumerate(&n);
    if (i < n)
        return &all.devices[i];
    (void)q35p_fail(Q35_E_RANGE, "opencl device %u: need less than %u", i, n);
    return NULL;
}

void q35i_cl_forget_devices(void)
{
    pthread_mutex_lock(&all.lock);
    all.done = false;
    all.n = 0;
    pthread_mutex_unlock(&all.lock);
}
