# The version is the header's. Compatible: the same major version, and not older than asked for.

set(PACKAGE_VERSION)
foreach(_neocortex_part MAJOR MINOR PATCH)
    file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/../../../include/neocortex.h" _neocortex_line
        REGEX "^#define NEOCORTEX_VERSION_${_neocortex_part} ")
    string(REGEX REPLACE "^.* " "" _neocortex_line "${_neocortex_line}")
    list(APPEND PACKAGE_VERSION "${_neocortex_line}")
    if(_neocortex_part STREQUAL MAJOR)
        set(_neocortex_major "${_neocortex_line}")
    endif()
endforeach()
string(REPLACE ";" "." PACKAGE_VERSION "${PACKAGE_VERSION}")

set(PACKAGE_VERSION_EXACT FALSE)
set(PACKAGE_VERSION_COMPATIBLE FALSE)
if(PACKAGE_FIND_VERSION_RANGE)
    # find_package(neocortex 4.0...<5)
    if(PACKAGE_VERSION VERSION_GREATER_EQUAL PACKAGE_FIND_VERSION_MIN
        AND PACKAGE_FIND_VERSION_MIN_MAJOR EQUAL _neocortex_major
        AND (PACKAGE_VERSION VERSION_LESS PACKAGE_FIND_VERSION_MAX
            OR (PACKAGE_FIND_VERSION_RANGE_MAX STREQUAL "INCLUDE"
                AND PACKAGE_VERSION VERSION_EQUAL PACKAGE_FIND_VERSION_MAX)))
        set(PACKAGE_VERSION_COMPATIBLE TRUE)
    endif()
elseif(PACKAGE_FIND_VERSION_MAJOR EQUAL _neocortex_major AND PACKAGE_VERSION VERSION_GREATER_EQUAL PACKAGE_FIND_VERSION)
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
    if(PACKAGE_VERSION VERSION_EQUAL PACKAGE_FIND_VERSION)
        set(PACKAGE_VERSION_EXACT TRUE)
    endif()
endif()

unset(_neocortex_line)
unset(_neocortex_major)
unset(_neocortex_part)
