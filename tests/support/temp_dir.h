/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory of the test program's own, removed with everything in it when the program ends, or before. */
#ifndef Q35T_TEMP_DIR_H
#define Q35T_TEMP_DIR_H

#define Q35T_PATH_BYTES 512

/* Call in main, before the suite runs, and the test cases (forked children) share the directory; or in a checked
 * fixture, and each has its own. Ends the program with a message when no directory can be made. */
void q35t_temp_dir_create(void);

/* For the other half of a fixture. 0, or not 0 when something stayed behind. */
int q35t_temp_dir_remove(void);

/* Absolute path of it. */
const char *q35t_temp_dir(void);

/* Path of a file in it. */
void q35t_temp_path(char out[Q35T_PATH_BYTES], const char *name);

/* Files in it, temporary and hidden ones too. */
int q35t_temp_dir_count(void);

#endif
