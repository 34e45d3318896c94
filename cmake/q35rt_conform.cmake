# SPDX-License-Identifier: Apache-2.0
# q35rt_conform_test(<name> <plugin target> [ARGS...]): the conformance kit on a plugin, with further arguments of
# q35rt-conform. Callable from the plugin's own CMakeLists.txt. Under AddressSanitizer a hit on a guard page must stay
# a signal; a plugin built with ThreadSanitizer has a kit of its own, too.
set(Q35RT_CONFORM_ENV "ASAN_OPTIONS=handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:handle_abort=0:allocator_may_return_null=1")
function(q35rt_conform_test name target)
  if(NOT Q35RT_TESTS)
    return()
  endif()
  add_test(NAME ${name} COMMAND q35rt_conform ${ARGN} $<TARGET_FILE:${target}>)
  set_tests_properties(${name} PROPERTIES LABELS conform TIMEOUT 600 COST 30 ENVIRONMENT "${Q35RT_CONFORM_ENV}")
endfunction()
