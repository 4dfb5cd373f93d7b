/* Lets GCC's unwinder, as Debian builds it, work with musl: it asks glibc's _dl_find_object (2.35) where a
 * function's frames are described. Linked into the tests of .ci/targets only. */
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stddef.h>

/* The unwinder refers to these weakly, which brings nothing in from a static library, and calls them all the same. */
void (*const neocortex_needs[])(void) = {
    (void (*)(void))pthread_once,         (void (*)(void))pthread_mutex_lock,
    (void (*)(void))pthread_mutex_unlock, (void (*)(void))pthread_getspecific,
    (void (*)(void))pthread_setspecific,  (void (*)(void))pthread_key_create,
};

struct found { /* struct dl_find_object of glibc's <dlfcn.h>, x86-64 */
    unsigned long long flags;
    void *start, *end;
    struct link_map *map;
    void *frames;
    unsigned long long reserved[7];
};

struct question {
    ElfW(Addr) address;
    struct found *found;
};

static int look(struct dl_phdr_info *info, size_t size, void *data)
{
    struct question *question = data;
    int is_here = 0;
    void *frames = NULL;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        ElfW(Addr) start = info->dlpi_addr + part->p_vaddr;

        if (part->p_type == PT_LOAD && question->address - start < part->p_memsz) {
            is_here = 1;
            question->found->start = (void *)start;
            question->found->end = (void *)(start + part->p_memsz);
        } else if (part->p_type == PT_GNU_EH_FRAME) {
            frames = (void *)start;
        }
    }
    question->found->frames = frames;
    return is_here && frames != NULL;
}

int _dl_find_object(void *address, struct found *found)
{
    struct question question = {(ElfW(Addr))address, found};

    found->flags = 0;
    found->map = NULL;
    return dl_iterate_phdr(look, &question) ? 0 : -1;
}
