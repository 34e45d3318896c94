# SPDX-License-Identifier: Apache-2.0
# q35rt_target(<target>): the warning set and sanitizers of every target of ours.
function(q35rt_target target)
  target_link_libraries(${target} PRIVATE q35rt_headers)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wundef
    -Wvla -Wcast-qual -Wformat=2 -Wnull-dereference -Wdouble-promotion -ffp-contract=off)
  if(Q35RT_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(Q35RT_SANITIZE STREQUAL "address")
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-sanitize-recover=all
                                             -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=address,undefined)
  elseif(Q35RT_SANITIZE STREQUAL "thread")
    target_compile_options(${target} PRIVATE -fsanitize=thread -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=thread)
  elseif(Q35RT_SANITIZE)
    message(FATAL_ERROR "Q35RT_SANITIZE is '${Q35RT_SANITIZE}', need empty, 'address' or 'thread'")
  endif()
endfunction()

# q35rt_module(<name> <module>...): a static library of all .c files of this folder, and the modules it uses.
function(q35rt_module name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  add_library(${name} STATIC ${sources})
  q35rt_target(${name})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC q35rt_headers ${ARGN})
endfunction()
