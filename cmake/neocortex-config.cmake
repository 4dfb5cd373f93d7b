# find_package(neocortex [4] [COMPONENTS shared static] CONFIG)
#
#   neocortex::neocortex_shared   libneocortex.so
#   neocortex::neocortex_static   libneocortex.a, with the system libraries it needs
#   neocortex::neocortex          the shared one; the static one where neocortex_USE_STATIC_LIBS is on, or where it
#                                 is the only one installed
#
# In a project with C++ they ask for C++17, which neocortex.hpp needs (cxx_std_17).
#
# Nothing in here is a path of the machine that installed it: the folder above share/cmake/neocortex is the prefix, so
# it may be moved as a whole. Found there: include, and the libraries in lib, lib64 or lib/<architecture>.

get_filename_component(_neocortex_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(_neocortex_include "${_neocortex_prefix}/include")

# A project in C alone knows no such feature.
set(_neocortex_features)
if("cxx_std_17" IN_LIST CMAKE_CXX_COMPILE_FEATURES)
    set(_neocortex_features cxx_std_17)
endif()

# Where a distribution keeps libraries of this architecture, before where it may keep those of another one.
set(_neocortex_folders)
if(CMAKE_LIBRARY_ARCHITECTURE)
    list(APPEND _neocortex_folders "lib/${CMAKE_LIBRARY_ARCHITECTURE}")
endif()
if(CMAKE_SIZEOF_VOID_P EQUAL 8)
    list(APPEND _neocortex_folders lib64)
endif()
list(APPEND _neocortex_folders lib)

foreach(_neocortex_folder IN LISTS _neocortex_folders)
    set(_neocortex_library
        "${_neocortex_prefix}/${_neocortex_folder}/${CMAKE_SHARED_LIBRARY_PREFIX}neocortex${CMAKE_SHARED_LIBRARY_SUFFIX}")
    if(NOT TARGET neocortex::neocortex_shared AND EXISTS "${_neocortex_library}")
        add_library(neocortex::neocortex_shared SHARED IMPORTED)
        set_target_properties(neocortex::neocortex_shared PROPERTIES
            IMPORTED_LOCATION "${_neocortex_library}"
            INTERFACE_INCLUDE_DIRECTORIES "${_neocortex_include}"
            INTERFACE_COMPILE_FEATURES "${_neocortex_features}")
    endif()

    set(_neocortex_library
        "${_neocortex_prefix}/${_neocortex_folder}/${CMAKE_STATIC_LIBRARY_PREFIX}neocortex${CMAKE_STATIC_LIBRARY_SUFFIX}")
    set(_neocortex_pc "${_neocortex_prefix}/${_neocortex_folder}/pkgconfig/neocortex.pc")
    if(NOT TARGET neocortex::neocortex_static AND EXISTS "${_neocortex_library}" AND EXISTS "${_neocortex_pc}")
        # What the Rust compiler said that it needs, when the library was built.
        file(STRINGS "${_neocortex_pc}" _neocortex_needs REGEX "^Libs.private:")
        string(REGEX REPLACE "^Libs.private: *" "" _neocortex_needs "${_neocortex_needs}")
        separate_arguments(_neocortex_needs UNIX_COMMAND "${_neocortex_needs}")
        add_library(neocortex::neocortex_static STATIC IMPORTED)
        set_target_properties(neocortex::neocortex_static PROPERTIES
            IMPORTED_LOCATION "${_neocortex_library}"
            IMPORTED_LINK_INTERFACE_LANGUAGES C
            INTERFACE_INCLUDE_DIRECTORIES "${_neocortex_include}"
            INTERFACE_COMPILE_FEATURES "${_neocortex_features}"
            INTERFACE_LINK_LIBRARIES "${_neocortex_needs}")
    endif()
endforeach()

foreach(_neocortex_kind shared static)
    if(TARGET neocortex::neocortex_${_neocortex_kind})
        set(neocortex_${_neocortex_kind}_FOUND TRUE)
    else()
        set(neocortex_${_neocortex_kind}_FOUND FALSE)
    endif()
endforeach()

set(neocortex_FOUND TRUE)
if(NOT EXISTS "${_neocortex_include}/neocortex.h")
    set(neocortex_FOUND FALSE)
    set(neocortex_NOT_FOUND_MESSAGE "neocortex.h is not in ${_neocortex_include}")
elseif(NOT (neocortex_shared_FOUND OR neocortex_static_FOUND))
    set(neocortex_FOUND FALSE)
    set(neocortex_NOT_FOUND_MESSAGE "no neocortex library in ${_neocortex_prefix} (${_neocortex_folders})")
endif()
foreach(_neocortex_component IN LISTS neocortex_FIND_COMPONENTS)
    if(neocortex_FIND_REQUIRED_${_neocortex_component} AND NOT neocortex_${_neocortex_component}_FOUND)
        set(neocortex_FOUND FALSE)
        set(neocortex_NOT_FOUND_MESSAGE "no component ${_neocortex_component} in ${_neocortex_prefix}")
    endif()
endforeach()

if(neocortex_FOUND AND NOT TARGET neocortex::neocortex)
    if(neocortex_static_FOUND AND (neocortex_USE_STATIC_LIBS OR NOT neocortex_shared_FOUND))
        set(_neocortex_kind static)
    else()
        set(_neocortex_kind shared)
    endif()
    if(neocortex_USE_STATIC_LIBS AND NOT neocortex_static_FOUND)
        set(neocortex_FOUND FALSE)
        set(neocortex_NOT_FOUND_MESSAGE "neocortex_USE_STATIC_LIBS is on, but there is no static library")
    else()
        add_library(neocortex::neocortex INTERFACE IMPORTED)
        set_target_properties(neocortex::neocortex PROPERTIES
            INTERFACE_LINK_LIBRARIES neocortex::neocortex_${_neocortex_kind})
    endif()
endif()

unset(_neocortex_component)
unset(_neocortex_features)
unset(_neocortex_folder)
unset(_neocortex_folders)
unset(_neocortex_include)
unset(_neocortex_kind)
unset(_neocortex_library)
unset(_neocortex_needs)
unset(_neocortex_pc)
unset(_neocortex_prefix)
