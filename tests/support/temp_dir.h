/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory of the test program's own, removed with everything in it when the program ends. */
#ifndef Q35T_TEMP_DIR_H
#define Q35T_TEMP_DIR_H

#define Q35T_PATH_BYTES 512

/* Call once in main, before the suite runs: test cases run in forked children and share the directory. Ends the
 * program with a message when no directory can be made. */
void q35t_temp_dir_create(void);

/* Path of a file in it. */
void q35t_temp_path(char out[Q35T_PATH_BYTES], const char *name);

/* Files in it, temporary and hidden ones too. */
int q35t_temp_dir_count(void);

#endif
