/* SPDX-License-Identifier: Apache-2.0
 *
 * Two plugins may reach one physical device. */
#ifndef Q35I_SAME_H
#define Q35I_SAME_H

#include <q35rt/plugin.h>

/* 1: descriptions by different plugins are of the same physical device. Where both uuids are of 32 hexadecimal
 * digits (in either case, with or without dashes), these alone decide: parts of one card have uuids of their own.
 * Otherwise equal uuids or, where both say one, equal PCI addresses. */
int q35i_same_device(const q35_device_info *a, const q35_device_info *b);

#endif
