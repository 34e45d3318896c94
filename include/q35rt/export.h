/* SPDX-License-Identifier: Apache-2.0
 *
 * Visibility and attribute macros of the library API. */
#ifndef Q35RT_EXPORT_H
#define Q35RT_EXPORT_H

#if defined(__GNUC__)
#define Q35_API               __attribute__((visibility("default")))
#define Q35_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define Q35_API
#define Q35_PRINTF(fmt, args)
#endif

#endif
