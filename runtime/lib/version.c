/* SPDX-License-Identifier: Apache-2.0 */
#include <q35rt/q35rt.h>

const char *q35_version(void)
{
    return Q35_VERSION_STRING;
}
