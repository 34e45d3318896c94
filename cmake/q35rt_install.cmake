# SPDX-License-Identifier: Apache-2.0
# Headers, documents and the pkg-config file, which finds its prefix from its own place (cmake --install --prefix).
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/q35rt DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" Q35RT_PC_TO_PREFIX ${up})
configure_file(${PROJECT_SOURCE_DIR}/cmake/q35rt.pc.in ${CMAKE_BINARY_DIR}/q35rt.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/q35rt.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/PLUGINS.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
# Starting points for plugins: `pkg-config --variable=examplesdir q35rt`.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples/my-accelerator ${PROJECT_SOURCE_DIR}/plugins/template
        DESTINATION ${CMAKE_INSTALL_DATADIR}/q35rt/examples)
