/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt library API: include this one header.
 *
 *   q35_runtime    plugins, devices, threads            one per process is enough   (device.h)
 *   q35_model      weights and hyper-parameters of a file, immutable                 (model.h)
 *   q35_tokenizer  text <-> token ids, immutable                                     (tokenizer.h)
 *   q35_session    one timeline: KV cache, position, plans                           (session.h)
 *   q35_sampler    logits -> token id                                                (sampler.h)
 *   q35_convert    a model file -> a 3.5-bit model file                              (convert.h)
 *   q35_cache      the folder of packed weights                                      (cache.h)
 */
#ifndef Q35RT_Q35RT_H
#define Q35RT_Q35RT_H

#include <q35rt/cache.h>
#include <q35rt/convert.h>
#include <q35rt/device.h>
#include <q35rt/export.h>
#include <q35rt/generate.h>
#include <q35rt/log.h>
#include <q35rt/measure.h>
#include <q35rt/model.h>
#include <q35rt/power.h>
#include <q35rt/sampler.h>
#include <q35rt/session.h>
#include <q35rt/status.h>
#include <q35rt/tokenizer.h>

#define Q35_VERSION_STRING "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* Version of the loaded library; Q35_VERSION_STRING is the header's. */
Q35_API const char *q35_version(void);

#ifdef __cplusplus
}
#endif
#endif
