/* The status of a mirrored cortex: what `neocortex-mirror` tells local programs, in C99 and C++.
 *
 * It is the value of a cortex of its own, whose name is "neocortex-mirror/NAME" for the local cortex NAME. With the
 * library of neocortex:
 *
 *     neocortex_options options = NEOCORTEX_OPTIONS_INIT;
 *     options.flags = NEOCORTEX_READ_ONLY;
 *     options.schema = NEOCORTEX_MIRROR_STATUS_SCHEMA;
 *     neocortex_mirror_status status;
 *     neocortex_segment *segment = neocortex_attach_named("neocortex-mirror/arm/pose", sizeof status, &options);
 *     neocortex_read(segment, &status, sizeof status);
 *
 * In C++: `neocortex::observer<neocortex_mirror_status>::attach("neocortex-mirror/arm/pose", ...)`.
 *
 * Attach read-only: the cortex has room for one participant, which is the mirror.
 *
 * Times are nanoseconds of CLOCK_MONOTONIC of this host, 0 is never. The fields have these places for ever; a
 * structure with other ones would have another schema.
 */
#ifndef NEOCORTEX_MIRROR_H
#define NEOCORTEX_MIRROR_H

#include <stdint.h>

/* neocortex_schema_of("neocortex-mirror status 1") */
#define NEOCORTEX_MIRROR_STATUS_SCHEMA UINT64_C(0x0f796b35e0442501)

#define NEOCORTEX_MIRROR_PUBLISHES 1u
#define NEOCORTEX_MIRROR_FOLLOWS 2u

typedef struct neocortex_mirror_status {
    uint64_t role;           /* NEOCORTEX_MIRROR_PUBLISHES or _FOLLOWS */
    uint64_t alive;          /* 1: the origin is there. It is as old as updated_at: look at both */
    uint64_t updated_at;     /* when the mirror wrote this, four times a second at least; if older, the mirror is gone */
    uint64_t heard_at;       /* when the origin was heard last; for a publisher, when a follower asked last */
    uint64_t applied_at;     /* when the value was stored in the local cortex; for a publisher, sent */
    uint64_t age_at_most;    /* how old the value was at most when it was stored, in nanoseconds */
    uint64_t origin_version; /* the version of that value at its origin */
    uint64_t known_version;  /* the newest version at the origin that is known here */
    uint64_t local_version;  /* the version of the local cortex that has that value */
    uint64_t term;           /* of the origin's claim */
    uint64_t epoch;          /* of the origin's claim: versions of two epochs are not to be compared */
    uint64_t applied;        /* values stored; for a publisher, sent */
    uint64_t conflated;      /* commits of the origin that were left out, for a newer one was there */
    uint64_t missed;         /* commits that were lost where every commit was asked for */
    uint64_t refused;        /* answers that were refused */
    uint64_t foreign;        /* commits of others to the local cortex; they are overwritten */
    uint64_t process;        /* the mirror, in its own PID namespace: information for people */
    char origin[64];         /* the origin's name: ASCII, filled up with zeros */
} neocortex_mirror_status;

#endif
