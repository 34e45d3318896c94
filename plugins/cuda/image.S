/* SPDX-License-Identifier: Apache-2.0
 *
 * Q35I_CUDA_IMAGE: path of the fatbin; undefined in a build without nvcc. */
    .section .note.GNU-stack, "", %progbits
    .section .rodata
    .global q35i_cuda_image
    .hidden q35i_cuda_image
    .global q35i_cuda_image_bytes
    .hidden q35i_cuda_image_bytes
    .balign 64
q35i_cuda_image:
#ifdef Q35I_CUDA_IMAGE
    .incbin Q35I_CUDA_IMAGE
#endif
image_end:
    .balign 8
q35i_cuda_image_bytes:
    .quad image_end - q35i_cuda_image
