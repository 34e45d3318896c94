/* SPDX-License-Identifier: Apache-2.0
 *
 * A libnvidia-ml.so.1 with one counter, which a reading moves by 1.5 J. Q35RT_MOCK_NVML: "silent", the board does
 * not count; "dead", the library does not start. */
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, DRIVER_NOT_LOADED = 9 };

#define EXPORT __attribute__((visibility("default")))

EXPORT int nvmlInit_v2(void);
EXPORT int nvmlShutdown(void);
EXPORT const char *nvmlErrorString(int error);
EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, void **out);
EXPORT int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *out_mj);

static int starts;

static int is(const char *fault)
{
    const char *value = getenv("Q35RT_MOCK_NVML");
    return value && strcmp(value, fault) == 0;
}

int nvmlInit_v2(void)
{
    if (is("dead"))
        return DRIVER_NOT_LOADED;
    starts++;
    return SUCCESS;
}

int nvmlShutdown(void)
{
    starts--;
    return SUCCESS;
}

const char *nvmlErrorString(int error)
{
    return error == NOT_SUPPORTED ? "Not Supported" : error == NOT_FOUND ? "Not Found" : "Driver Not Loaded";
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **out)
{
    static char device;
    *out = &device;
    return starts < 1                                            ? DRIVER_NOT_LOADED
           : strncmp(uuid, "GPU-", 4) == 0 && strlen(uuid) == 40 ? SUCCESS
                                                                 : NOT_FOUND;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *out_mj)
{
    static unsigned long long mj = 123456;
    (void)device;
    if (is("silent"))
        return NOT_SUPPORTED;
    *out_mj = mj += 1500;
    return SUCCESS;
}
