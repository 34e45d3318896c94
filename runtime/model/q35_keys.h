/* SPDX-License-Identifier: Apache-2.0
 *
 * Metadata keys of a file with 3.5-bit tensors. Such a tensor is stored as I8 with dims [row bytes, rows]; the
 * keys give its true shape and its certificate. Arrays have one element (dims: two) per tensor, in the order of
 * q35.tensors. */
#ifndef Q35I_Q35_KEYS_H
#define Q35I_Q35_KEYS_H

#define Q35I_KEY_VERSION            "q35.version"            /* u32 */
#define Q35I_KEY_CODEBOOK           "q35.codebook"           /* i8 [128][2]: of all 7-bit codes */
#define Q35I_KEY_CODEBOOK_8         "q35.codebook8"          /* i8 [256][2]: of all 8-bit codes */
#define Q35I_KEY_TENSORS            "q35.tensors"            /* strings: tensor names */
#define Q35I_KEY_CODECS             "q35.codecs"             /* strings [n]: Q35I_CODEC_* */
#define Q35I_KEY_DIMS               "q35.dims"               /* u64 [n][2]: inputs K, rows N */
#define Q35I_KEY_ROTATION_SEED      "q35.rotation_seed"      /* u64 [n]: of the signs of the input's rotation */
#define Q35I_KEY_ROTATION_WIDTH     "q35.rotation_width"     /* u32 [n]: of its blocks, 0: not rotated */
#define Q35I_KEY_ACTIVATION_BLOCK   "q35.activation_block"   /* u32 [n]: inputs per int8 scale, 0: one per token */
#define Q35I_KEY_MAX_ERROR          "q35.max_error"          /* f32 [n]: largest |w - w^| */
#define Q35I_KEY_RELATIVE_ERROR     "q35.relative_error"     /* f32 [n]: sum (w - w^)^2 / sum w^2 */
#define Q35I_KEY_CHECKSUM           "q35.checksum"           /* u64 [n]: XXH3-64 of the tensor's bytes */
#define Q35I_KEY_FILE_CHECKSUM      "q35.file_checksum"      /* u64 [1]: XXH3-64 of the file, this as 0 */
#define Q35I_KEY_CALIBRATION_TOKENS "q35.calibration_tokens" /* u32, 0: none; optional */
#define Q35I_KEY_SOURCE             "q35.source"             /* string: what was converted; optional */

/* What --target-bpw measured and chose by; all optional, for people to read. Arrays have one element per tensor of
 * Q35I_KEY_PLAN_TENSORS. */
#define Q35I_KEY_PLAN          "q35.plan"          /* string: the target in words */
#define Q35I_KEY_PLAN_TENSORS  "q35.plan.tensors"  /* strings: those that were measured */
#define Q35I_KEY_PLAN_ALONE    "q35.plan.alone"    /* f32 [n]: KL when that tensor alone has 3.5 bits */
#define Q35I_KEY_PLAN_EXPECTED "q35.plan.expected" /* f32 [n]: its share of the KL in the type it got */

#define Q35I_FORMAT_VERSION 3u

#endif
