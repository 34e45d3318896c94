/* SPDX-License-Identifier: Apache-2.0
 *
 * What the mock driver is told to do, and what it counts. */
#include "mock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

pthread_mutex_t mock_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t mock_changed = PTHREAD_COND_INITIALIZER;
static const mock_faults sound = {.devices = 1, .version = 13000, .memory_mib = 4096, .capability = 87};
mock_faults mock_fault;
q35_mock_counts mock_counts;

static const struct {
    const char *name;
    size_t at;
} keys[] = {
#define KEY(name)                                                                                                 \
    {                                                                                                             \
#name, offsetof(mock_faults, name)                                                                        \
    }
    KEY(devices),     KEY(version),   KEY(init),          KEY(memory_mib), KEY(integrated),   KEY(lying),
    KEY(capability),  KEY(code),      KEY(early_capture), KEY(oom_at),     KEY(lost_at),      KEY(launch_fails_at),
    KEY(sticky_at),   KEY(no_module), KEY(copy_us),       KEY(alone),      KEY(access_fails), KEY(peer_fails_at),
    KEY(peer_damage), KEY(order),     KEY(wgmma)
#undef KEY
};

static void apply(const char *entry, size_t len)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const size_t n = strlen(keys[i].name);
        if (len <= n || strncmp(entry, keys[i].name, n) != 0 || entry[n] != '=')
            continue;
        const uint64_t value = strtoull(entry + n + 1, NULL, 10);
        memcpy((char *)&mock_fault + keys[i].at, &value, sizeof value);
        return;
    }
    fprintf(stderr, "mock libcuda: Q35RT_MOCK_CUDA has '%.*s', which means nothing\n", (int)len, entry);
    abort();
}

void q35_mock_set(const char *list)
{
    const uint64_t in_use = mock_counts.bytes_in_use, objects = mock_counts.objects;
    pthread_mutex_lock(&mock_lock);
    mock_fault = sound;
    mock_counts = (q35_mock_counts){.bytes_in_use = in_use, .objects = objects};
    const char *at = list ? list : getenv("Q35RT_MOCK_CUDA");
    while (at && *at) {
        const size_t len = strcspn(at, ",");
        apply(at, len);
        at += len + (at[len] == ',');
    }
    if (mock_fault.devices > MOCK_MAX_DEVICES)
        mock_fault.devices = MOCK_MAX_DEVICES;
    pthread_mutex_unlock(&mock_lock);
}

void q35_mock_get(q35_mock_counts *out)
{
    pthread_mutex_lock(&mock_lock);
    *out = mock_counts;
    pthread_mutex_unlock(&mock_lock);
}

__attribute__((constructor)) static void read_environment(void)
{
    q35_mock_set(NULL);
}
