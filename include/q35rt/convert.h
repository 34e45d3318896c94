/* SPDX-License-Identifier: Apache-2.0
 *
 * From a model file to a 3.5-bit model file, and checks of the result. */
#ifndef Q35RT_CONVERT_H
#define Q35RT_CONVERT_H

#include <q35rt/device.h>
#include <q35rt/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How codes are chosen.
 * FEEDBACK  inputs rotated, layer by layer with error feedback on a calibration text, one scale per row (pair-row)
 * FAST      weights weighed by the importance of their input channel on the text, scales per 128 weights
 * PLAIN     nearest codes, no text */
enum { Q35_METHOD_FEEDBACK = 0, Q35_METHOD_FAST = 1, Q35_METHOD_PLAIN = 2 };

/* Of FAST and PLAIN. */
enum { Q35_CODEC_PAIR = 0, Q35_CODEC_SPLIT = 1 };

/* Steps of a conversion, in order. done and total are in weights (CALIBRATE: tokens; MEASURE: thousandths of a
 * layer; WRITE: bytes). FEEDBACK has no CALIBRATE and no CODEBOOK. */
enum {
    Q35_STAGE_CALIBRATE = 0,
    Q35_STAGE_CODEBOOK = 1,
    Q35_STAGE_MEASURE = 2, /* sensitivity, with a target */
    Q35_STAGE_QUANTISE = 3,
    Q35_STAGE_WRITE = 4
};

/* What became of a tensor of rank 2. */
typedef struct q35_convert_choice {
    const char *tensor, *type; /* type: "pair-row", "Q8_0" ...; static */
    uint64_t weights, bytes;
    int linear;         /* of a layer */
    double sensitivity; /* KL when it alone has 3.5 bits; NaN: not measured */
    double expected;    /* KL that its type is expected to bring; NaN: not measured */
} q35_convert_choice;

/* What a conversion takes, told before it begins. */
typedef struct q35_convert_needs {
    uint64_t windows;   /* of 512 calibration tokens; 0: none */
    uint64_t memory;    /* most beside mapped files, bytes: an estimate from above */
    uint64_t bound;     /* that it was fitted to, bytes; UINT64_MAX: what there is is unknown */
    uint64_t hidden;    /* hidden states of all windows, bytes; 0: none are kept */
    int hidden_in_file; /* 1: in a scratch file in the folder of the output, which has no name and goes with the
                           process */
} q35_convert_needs;

typedef struct q35_convert_options {
    uint32_t method; /* Q35_METHOD_* */
    uint32_t codec;  /* Q35_CODEC_* */
    int overwrite;   /* 1: replace an existing output */
    uint64_t seed;   /* of the codebook training or the rotations' signs, default 1 */
    /* Text the model runs over, UTF-8, borrowed; not read by PLAIN, else INVALID when it has fewer tokens than one
     * window of 512. */
    const char *calibration_text;
    uint64_t calibration_len;
    /* Regular expressions (PCRE2) on tensor names, borrowed: linears that match a `keep`, or with any `only` none
     * of those, stay as they are. INVALID for one that is wrong or matches nothing. */
    const char *const *keep, *const *only;
    uint32_t n_keep, n_only;
    /* FEEDBACK: bits per weight, scales and all, that the whole file's tensors (or the layers' linears) may take;
     * 0: all linears in 3.5 bits. Types are chosen by measured sensitivity. INVALID states the reachable range. */
    double target_bpw;
    int target_linears;
    /* With a target: points of the curve of least expected KL over bits per weight, in order, then every choice,
     * before the last pass. From the calling thread; may be NULL. */
    void (*frontier)(void *user, double bits, double kl);
    void (*choice)(void *user, const q35_convert_choice *choice);
    /* Most memory beside mapped files, bytes; what does not fit is kept in a scratch file or done in several
     * passes, and the output is the same. 0: what is available, less an eighth. NOFIT, before anything long
     * begins, names what is needed. */
    uint64_t memory;
    /* Told once, from the calling thread; may be NULL. */
    void (*needs)(void *user, const q35_convert_needs *needs);
    /* Called now and then from the calling thread; return non-zero to cancel (CANCELLED, no output file). May be
     * NULL. */
    int (*progress)(void *user, uint32_t stage, uint64_t done, uint64_t total);
    void *user;
} q35_convert_options;

Q35_API q35_convert_options q35_convert_options_default(void);

typedef struct q35_convert_result {
    uint64_t tensors, weights; /* quantised */
    uint64_t weight_bytes;     /* codes and scales before row padding */
    uint64_t padded_bytes;     /* as stored */
    uint64_t file_bytes;
    double relative_error; /* sum (w - w^)^2 / sum w^2 over quantised weights */
    uint64_t calibration_tokens;
    uint64_t resumed; /* tensors that an earlier run had finished */
} q35_convert_result;

/* Quantises the linear layers of `in` and writes `path`: same bytes for same input, options and seed, any thread
 * count. Appears whole or not at all; finished
 * tensors lie in `path`.partial until then, and the same conversion run again goes on from there. UNAVAILABLE:
 * FEEDBACK without OpenBLAS. Embedding, head and norms stay as they are (F32, F16 and BF16 embedding and
 * head become Q8_0). FORMAT names a tensor with NaN or infinite weights. */
Q35_API q35_status q35_convert(q35_runtime *runtime, const q35_model *in, const char *path,
                               const q35_convert_options *options, q35_convert_result *out);

/* One tensor's outcome of a verification. */
typedef struct q35_verify_report {
    const char *tensor;
    int ok;
    const char *problem;              /* "" when ok */
    double max_error, relative_error; /* recomputed (with source), else the certificate's */
    double output_bound; /* K * max_error: bound on any output's error for inputs |x| <= 1 (docs/formats.md) */
} q35_verify_report;

/* Checks every 3.5-bit tensor: checksum, codes and scales valid; with source, recomputes the certificates. each is
 * called per tensor. Then the checksum of the whole file, so that any changed byte is seen. FORMAT when any fails.
 */
Q35_API q35_status q35_verify(q35_runtime *runtime, const q35_model *file, const q35_model *source,
                              void (*each)(void *user, const q35_verify_report *report), void *user);

#ifdef __cplusplus
}
#endif
#endif
