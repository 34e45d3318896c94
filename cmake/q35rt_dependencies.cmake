# SPDX-License-Identifier: Apache-2.0
# Finds what the build can use and says what is missing and what for.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# q35rt_find(<name> <pkg-config module> <REQUIRED|OPTIONAL> <what for> <Debian package>)
function(q35rt_find name module need purpose package)
  pkg_check_modules(${name} QUIET IMPORTED_TARGET ${module})
  if(${name}_FOUND)
    message(STATUS "${module} ${${name}_VERSION}: ${purpose}")
  elseif(need STREQUAL "REQUIRED")
    message(FATAL_ERROR "${module} not found, needed for ${purpose}: install ${package}")
  else()
    message(STATUS "${module} not found: no ${purpose} (install ${package})")
  endif()
endfunction()

q35rt_find(PCRE2 libpcre2-8 REQUIRED "pre-tokenizers" libpcre2-dev)
q35rt_find(XXHASH libxxhash REQUIRED "checksums" libxxhash-dev)
q35rt_find(JANSSON jansson REQUIRED "JSON output" libjansson-dev)
q35rt_find(HWLOC hwloc OPTIONAL "core and NUMA placement" libhwloc-dev)
if(Q35RT_TESTS)
  q35rt_find(CHECK check OPTIONAL "unit tests" check)
endif()
