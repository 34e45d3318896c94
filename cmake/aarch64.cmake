# SPDX-License-Identifier: Apache-2.0
# Toolchain: cross-compiles for aarch64 with Debian's gcc; qemu-aarch64 runs the tests. Libraries are those that
# fetch_sysroot_aarch64 of scripts/lib.sh unpacked, or -DQ35RT_SYSROOT=<folder with usr/lib/aarch64-linux-gnu>.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(cross /usr/aarch64-linux-gnu) # the C library of libc6-dev-arm64-cross

if(NOT Q35RT_SYSROOT)
  set(cache $ENV{XDG_CACHE_HOME})
  if(NOT cache)
    set(cache $ENV{HOME}/.cache)
  endif()
  set(Q35RT_SYSROOT ${cache}/q35rt/sysroot-aarch64-1)
endif()
set(Q35RT_SYSROOT ${Q35RT_SYSROOT} CACHE PATH "Libraries for aarch64")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES Q35RT_SYSROOT)
if(NOT IS_DIRECTORY ${Q35RT_SYSROOT}/usr/lib/aarch64-linux-gnu)
  message(FATAL_ERROR "${Q35RT_SYSROOT} has no usr/lib/aarch64-linux-gnu: "
                      "run scripts/check aarch64, which fetches the libraries")
endif()

set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH ${Q35RT_SYSROOT} ${cross})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${Q35RT_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${Q35RT_SYSROOT})
# QEMU_CPU in the environment chooses the processor; without it qemu has every extension it knows.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L ${cross})
