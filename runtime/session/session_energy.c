/* SPDX-License-Identifier: Apache-2.0
 *
 * What a session's devices say of the energy they used. */
#include "runtime/session/session.h"

#include "runtime/base/error.h"
#include "runtime/device/extension.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

Q35_PRINTF(2, 3) static void append(q35_energy_report *out, const char *fmt, ...)
{
    va_list args;
    size_t len = strlen(out->source);
    va_start(args, fmt);
    vsnprintf(out->source + len, sizeof out->source - len, fmt, args);
    va_end(args);
}

q35_status q35_session_energy(const q35_session *s, q35_energy_report *out)
{
    uint64_t microjoules = 0;
    *out = (q35_energy_report){0};
    for (uint32_t d = 0; d < s->n_devices; d++) {
        q35_energy_reading reading;
        q35_status status = q35i_device_energy(s->devices[d], &reading);
        out->n_silent += status == Q35_E_UNSUPPORTED;
        if (status == Q35_E_UNSUPPORTED)
            continue;
        if (status != Q35_OK)
            return status;
        append(out, "%s%s (%s, %s)", out->n_devices ? ", " : "", s->devices[d]->name, reading.covers,
               reading.source == Q35_ENERGY_MODEL ? "modelled" : "measured");
        microjoules += reading.microjoules;
        out->n_devices++;
    }
    if (out->n_devices == 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "energy: none of %u devices tells what it uses", s->n_devices);
    for (uint32_t d = 0, n = 0; d < s->n_devices; d++) {
        q35_energy_reading reading;
        if (q35i_device_energy(s->devices[d], &reading) == Q35_E_UNSUPPORTED)
            append(out, "%s%s", n++ ? ", " : "; silent: ", s->devices[d]->name);
    }
    out->joules = (double)microjoules * 1e-6;
    return Q35_OK;
}
